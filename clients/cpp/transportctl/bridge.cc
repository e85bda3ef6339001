#include "clients/cpp/transportctl/bridge.h"

#include <utility>

#include "clients/cpp/remote_transport.h"
#include "clients/cpp/transportctl/endpoint.h"
#include "clients/cpp/transportctl/json.h"
#include "clients/cpp/transportctl/standard_error.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

std::string AddressText(const std::optional<SocketAddress>& address) {
  return address.has_value() ? EndpointText(*address) : "?";
}

// "commonName=example.org, organizationName=Example".
std::string NameText(const TlsName& name) {
  std::string text;
  for (const auto& attributes : name) {
    for (const TlsNameAttribute& attribute : attributes) {
      text += StrCat(text.empty() ? "" : ", ", attribute.name, "=", attribute.value);
    }
  }
  return text;
}

std::string TlsText(const TlsInfo& tls) {
  std::string text = StrCat("tls ", tls.version, ", ", tls.cipher.name);
  if (tls.alpn_protocol) text += StrCat(", alpn ", *tls.alpn_protocol);
  if (!tls.peer_certificate) return text + ", no certificate of the peer's";
  return text + StrCat(", peer ", NameText(tls.peer_certificate->subject),
                       tls.peer_certificate_verified ? "" : " (not verified)");
}

std::string TlsJson(const TlsInfo& tls) {
  JsonObject json;
  json.Add("version", tls.version).Add("cipher", tls.cipher.name);
  if (tls.alpn_protocol) json.Add("alpn", *tls.alpn_protocol);
  if (tls.peer_certificate) {
    json.Add("peer_subject", NameText(tls.peer_certificate->subject))
        .Add("peer_verified", tls.peer_certificate_verified);
  }
  return json.ToString();
}

}  // namespace

// --- Console

Console::Console(Reactor& reactor, int input_fd, int output_fd,
                 absl::AnyInvocable<void(const absl::Status&)> on_output_failed)
    : reader_(reactor, input_fd, *this),
      writer_(reactor, output_fd, *this),
      on_output_failed_(std::move(on_output_failed)) {}

void Console::Lend(std::shared_ptr<BridgeProtocol> bridge) {
  borrowers_.push_back(std::move(bridge));
  if (borrowers_.size() == 1) BeginNext();
}

void Console::GiveBack(const BridgeProtocol& bridge) {
  if (borrowers_.empty()) return;
  const bool had_input = borrowers_.front().get() == &bridge;
  std::erase_if(borrowers_, [&](const auto& borrower) { return borrower.get() == &bridge; });
  if (!had_input) return;
  reader_.Pause();
  if (!borrowers_.empty()) BeginNext();
}

void Console::BeginNext() {
  const std::shared_ptr<BridgeProtocol> bridge = borrowers_.front();
  bridge->Begin();
  if (reader_.ended()) {
    bridge->OnInputEnded(input_status_);
  } else {
    reader_.Resume();
  }
}

void Console::ResumeInput() {
  if (!borrowers_.empty()) reader_.Resume();
}

void Console::OnInput(std::string_view data) {
  if (borrowers_.empty()) return;
  const std::shared_ptr<BridgeProtocol> bridge = borrowers_.front();
  bridge->OnInput(data);
}

void Console::OnInputEnded(const absl::Status& status) {
  input_status_ = status;
  if (borrowers_.empty()) return;
  const std::shared_ptr<BridgeProtocol> bridge = borrowers_.front();
  bridge->OnInputEnded(status);
}

bool Console::Write(BridgeProtocol& bridge, std::string_view data) {
  writer_.Write(data);
  if (writer_.empty()) return true;
  waiting_for_output_.push_back(bridge.weak_from_this());
  return false;
}

void Console::WhenWritten(absl::AnyInvocable<void()> done) {
  if (writer_.empty()) return done();
  when_written_ = std::move(done);
}

void Console::OnOutputDrained() {
  for (const auto& weak : std::exchange(waiting_for_output_, {})) {
    if (const auto bridge = weak.lock(); bridge != nullptr) bridge->OnOutputDrained();
  }
  if (when_written_) std::exchange(when_written_, nullptr)();
}

void Console::OnOutputFailed(const absl::Status& status) {
  if (on_output_failed_) std::exchange(on_output_failed_, nullptr)(status);
}

// --- BridgeProtocol

BridgeProtocol::BridgeProtocol(Console& console, Options options,
                               absl::AnyInvocable<void(const ConnectionEnd&)> on_ended)
    : console_(console), options_(options), on_ended_(std::move(on_ended)) {}

void BridgeProtocol::ConnectionMade(std::shared_ptr<Transport> transport) {
  transport_ = std::move(transport);
  if (const auto* remote = dynamic_cast<const RemoteTransport*>(transport_.get()); remote != nullptr) {
    id_ = remote->id();
  }
  const ExtraInfo& info = transport_->GetExtraInfo();
  Note(StrCat("connection_made ", AddressText(info.sockname), " <-> ", AddressText(info.peername)));
  if (info.tls != nullptr) Note(TlsText(*info.tls));
  JsonObject arguments;
  arguments.Add("sockname", AddressText(info.sockname)).Add("peername", AddressText(info.peername));
  if (info.tls != nullptr) arguments.AddRaw("tls", TlsJson(*info.tls));
  Print("connection_made", arguments.ToString());
  if (options_.echo) return;
  SetHeld(waits_for_console_, true);
  console_.Lend(shared_from_this());
}

void BridgeProtocol::Begin() { SetHeld(waits_for_console_, false); }

void BridgeProtocol::DataReceived(std::string_view data) {
  if (options_.json) {
    Print("data_received", JsonObject().Add("length", uint64_t{data.size()}).Add("data", Base64(data)).ToString());
  } else if (!options_.echo) {
    if (!console_.Write(*this, data)) SetHeld(waits_for_output_, true);
  }
  if (options_.echo && transport_ != nullptr) transport_->Write(data).IgnoreError();
}

bool BridgeProtocol::EofReceived() {
  eof_received_ = true;
  Note("eof_received");
  Print("eof_received", "{}");
  // The other direction goes on until the input ends. What is echoed has been written already.
  return !options_.echo && !input_ended_;
}

void BridgeProtocol::PauseWriting() {
  Print("pause_writing", "{}");
  if (options_.echo) {
    SetHeld(waits_for_peer_, true);
  } else {
    console_.PauseInput();
  }
}

void BridgeProtocol::ResumeWriting() {
  Print("resume_writing", "{}");
  if (options_.echo) {
    SetHeld(waits_for_peer_, false);
  } else {
    console_.ResumeInput();
  }
}

void BridgeProtocol::ConnectionLost(const ConnectionEnd& end) {
  const std::string error = end.status.ok() ? "" : std::string(end.status.message());
  Note(StrCat("connection_lost ", EndCauseName(end.cause), ": ", end.received_bytes, " bytes received, ",
              end.sent_bytes, " sent, ", end.dropped_bytes, " dropped"));
  JsonObject arguments;
  arguments.Add("cause", EndCauseName(end.cause));
  if (end.status.ok()) {
    arguments.AddRaw("error", "null");
  } else {
    arguments.Add("error", error);
  }
  arguments.Add("received_bytes", end.received_bytes)
      .Add("sent_bytes", end.sent_bytes)
      .Add("dropped_bytes", end.dropped_bytes);
  Print("connection_lost", arguments.ToString());
  transport_ = nullptr;
  console_.GiveBack(*this);
  on_ended_(end);
}

void BridgeProtocol::OnInput(std::string_view data) {
  if (transport_ != nullptr) transport_->Write(data).IgnoreError();
}

void BridgeProtocol::OnInputEnded(const absl::Status& status) {
  input_ended_ = true;
  if (transport_ == nullptr) return;
  if (!status.ok()) {
    transport_->Abort(/*reset=*/true);
  } else if (eof_received_ || options_.close_at_eof) {
    transport_->Close();
  } else if (options_.half_close) {
    transport_->WriteEof();
  }
}

void BridgeProtocol::OnOutputDrained() { SetHeld(waits_for_output_, false); }

void BridgeProtocol::SetHeld(bool& reason, bool on) {
  reason = on;
  if (transport_ == nullptr) return;
  if (waits_for_console_ || waits_for_output_ || waits_for_peer_) {
    transport_->PauseReading();
  } else {
    transport_->ResumeReading();
  }
}

void BridgeProtocol::Print(std::string_view callback, std::string_view arguments) {
  if (!options_.json) return;
  JsonObject line;
  line.Add("callback", callback).Add("transport", uint64_t{id_}).AddRaw("args", arguments);
  if (!console_.Write(*this, line.ToString() + "\n")) SetHeld(waits_for_output_, true);
}

void BridgeProtocol::Note(std::string_view text) const {
  if (options_.verbose) PrintToStderr(StrCat("transport ", id_, ": ", text));
}

}  // namespace transportd::ctl
