#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include "clients/cpp/transportctl/commands.h"
#include "clients/cpp/transportctl/exit_code.h"
#include "clients/cpp/transportctl/json.h"
#include "clients/cpp/transportctl/service_loop.h"
#include "clients/cpp/transportctl/stdio.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

// A Unix datagram socket can be answered only when it has a name: unix(7). Nobody else has this one.
std::string FreshAbstractName() {
  std::random_device random;
  const uint64_t number = (uint64_t{random()} << 32) | random();
  return StrCat(std::string_view("\0transportctl-", 14), number);
}

// What a datagram can hold: 16 bits of length, less the headers of UDP (8) and, in it, of IPv4 (20). RFC 768, 791,
// 8200.
size_t MaxBytes(AddressFamily family) {
  switch (family) {
    case AddressFamily::kInet:
      return 65535 - 8 - 20;
    case AddressFamily::kInet6:
      return 65535 - 8;
    default:
      return kMaxDatagramBytes;
  }
}

// `udp`. Threading: loop thread only.
class UdpCommand final : public StdinReader::Handler, public StdoutWriter::Handler {
 public:
  UdpCommand(const Arguments& arguments, const ConnectOptions& service)
      : arguments_(arguments), udp_(arguments.udp), service_loop_(service) {}

  int Run() {
    if (const absl::Status status = service_loop_.Open(); !status.ok()) {
      Fail(status);
    } else {
      Start();
    }
    return service_loop_.Run();
  }

 private:
  class EndpointProtocol;

  EventLoop& loop() { return service_loop_.loop(); }

  void Start() {
    Reactor& reactor = service_loop_.loop().reactor();
    input_ = std::make_unique<StdinReader>(reactor, InheritedFd(STDIN_FILENO), *this);
    output_ = std::make_unique<StdoutWriter>(reactor, InheritedFd(STDOUT_FILENO), *this);
    CreateDatagramEndpointOptions options;
    options.timeout = service_loop_.Remaining();
    if (arguments_.endpoint.is_unix()) {
      options.remote_path = arguments_.endpoint.unix_path;
      options.local_path = arguments_.source ? arguments_.source->unix_path : FreshAbstractName();
    } else {
      options.remote = arguments_.endpoint.host_port;
      if (arguments_.source) options.local = arguments_.source->host_port;
      options.family = arguments_.family;
    }
    loop().CreateDatagramEndpoint([this] { return MakeProtocol(); }, std::move(options),
                                  [this](const absl::StatusOr<DatagramEndpoint>& endpoint) {
                                    if (!endpoint.ok()) Fail(endpoint.status());
                                  });
  }

  std::shared_ptr<DatagramProtocol> MakeProtocol();

  // --- The endpoint

  void OnMade(std::shared_ptr<DatagramTransport> transport) {
    transport_ = std::move(transport);
    const ExtraInfo& info = transport_->GetExtraInfo();
    const std::string sockname = info.sockname ? EndpointText(*info.sockname) : "?";
    const std::string peername = info.peername ? EndpointText(*info.peername) : "?";
    max_bytes_ = MaxBytes(info.peername ? info.peername->family : AddressFamily::kUnspecified);
    Note(StrCat("connection_made ", sockname, " <-> ", peername));
    Print("connection_made", JsonObject().Add("sockname", sockname).Add("peername", peername));
    input_->Resume();
  }

  void OnDatagram(std::string_view data) {
    if (udp_.count && answer_count_ >= *udp_.count) return;
    ++answer_count_;
    if (arguments_.json) {
      Print("datagram_received", JsonObject().Add("length", uint64_t{data.size()}).Add("data", Base64(data)));
    } else if (udp_.whole) {
      Write(data);
    } else {
      Write(StrCat(data, "\n"));
    }
    if (udp_.count && answer_count_ >= *udp_.count) return End();
    if (input_ended_) Wait();
  }

  void OnError(const absl::Status& status) {
    PrintLinesToStderr(service_loop_.Explain(status));
    Print("error_received", JsonObject().Add("error", std::string(status.message())));
    failed_ = true;
    if (IsOfOneDatagram(ToTransportError(status).errno_number)) {
      ++unsent_count_;
    } else {
      nobody_is_there_ = true;
    }
    if (input_ended_ && NoAnswerCanCome()) End();
  }

  void OnLost(const DatagramEnd& end) {
    Note(StrCat("connection_lost ", EndCauseName(end.cause), ": ", end.counts.received_count, " datagrams received, ",
                end.counts.sent_count, " sent, ", end.counts.dropped_sent_count, " dropped"));
    Print("connection_lost", JsonObject()
                                 .Add("cause", EndCauseName(end.cause))
                                 .Add("received_count", end.counts.received_count)
                                 .Add("sent_count", end.counts.sent_count)
                                 .Add("dropped_sent_count", end.counts.dropped_sent_count));
    transport_ = nullptr;
    if (!end.status.ok()) return Fail(end.status);
    WhenWritten(ExitCodeOf(end.counts));
  }

  ExitCode ExitCodeOf(const DatagramCounts& counts) const {
    if (counts.dropped_sent_count != 0 && !failed_) {
      PrintToStderr(StrCat(counts.dropped_sent_count, " of the datagrams could not be sent"));
    }
    const bool has_failed = failed_ || counts.dropped_sent_count != 0;
    if (udp_.no_reply || answer_count_ != 0 || NoAnswerCanCome()) return has_failed ? kFailed : kOk;
    PrintLinesToStderr({StrCat("no answer within ", DurationText(udp_.reply_timeout)),
                        "give it longer with --timeout, or expect none with --no-reply"});
    return has_failed ? kFailed : kTimedOut;
  }

  // Others may have arrived all the same.
  static bool IsOfOneDatagram(int errno_number) { return errno_number == EMSGSIZE || errno_number == ENOBUFS; }

  // After the end of the input.
  bool NoAnswerCanCome() const {
    return failed_ && answer_count_ == 0 && (nobody_is_there_ || unsent_count_ >= datagram_count_);
  }

  // --- Standard input and output

  void OnInput(std::string_view data) override {
    if (udp_.whole) {
      Keep(data);
      if (!is_too_long_) return;
      input_->Pause();
      Send();
      return End();
    }
    for (size_t end = data.find('\n'); end != std::string_view::npos; end = data.find('\n')) {
      Keep(data.substr(0, end));
      Send();
      data.remove_prefix(end + 1);
    }
    Keep(data);
  }

  void OnInputEnded(const absl::Status& status) override {
    if (!status.ok()) return Fail(status);
    if (transport_ == nullptr) return;
    input_ended_ = true;
    // The whole may be empty; a line ends with a line end, but for the last one.
    if (udp_.whole || !datagram_.empty() || is_too_long_) Send();
    if (udp_.no_reply || NoAnswerCanCome()) return End();
    Wait();
  }

  void Keep(std::string_view data) {
    is_too_long_ = is_too_long_ || datagram_.size() + data.size() > max_bytes_;
    if (is_too_long_) {
      datagram_.clear();
    } else {
      datagram_ += data;
    }
  }

  void Send() {
    ++datagram_count_;
    if (std::exchange(is_too_long_, false)) {
      // Told here: what the service says of it may come after the last answer that is waited for.
      const std::string text = StrCat(udp_.whole ? "standard input" : "a line", " of more than ", max_bytes_,
                                      " bytes is too long for a datagram (EMSGSIZE)");
      PrintToStderr(text);
      Print("error_received", JsonObject().Add("error", text));
      failed_ = true;
      ++unsent_count_;
      return;
    }
    if (transport_ != nullptr) transport_->SendTo(datagram_).IgnoreError();
    datagram_.clear();
  }

  void Write(std::string_view data) {
    output_->Write(data);
    // What comes meanwhile may be dropped by the kernel, as it is with UDP.
    if (!output_->empty() && transport_ != nullptr) transport_->PauseReading();
  }

  void OnOutputDrained() override {
    if (transport_ != nullptr) transport_->ResumeReading();
    if (when_written_) service_loop_.Stop(*when_written_);
  }

  void OnOutputFailed(const absl::Status& status) override {
    if (!service_loop_.stopped()) PrintLinesToStderr(service_loop_.Explain(status));
    service_loop_.Stop(kFailed);
  }

  // --- The end

  // For one more answer.
  void Wait() {
    loop().CancelTimer(timer_);
    timer_ = loop().CallLater(udp_.reply_timeout, [this] { End(); });
  }

  void End() {
    loop().CancelTimer(timer_);
    if (transport_ != nullptr) transport_->Close();
  }

  void Fail(const absl::Status& status) {
    if (service_loop_.stopped() || when_written_) return;
    PrintLinesToStderr(service_loop_.Explain(status));
    WhenWritten(ctl::ExitCodeFor(status));
  }

  void WhenWritten(ExitCode code) {
    when_written_ = code;
    if (output_ == nullptr || output_->empty()) service_loop_.Stop(code);
  }

  void Print(std::string_view callback, const JsonObject& arguments) {
    if (!arguments_.json) return;
    JsonObject line;
    line.Add("callback", callback).AddRaw("args", arguments.ToString());
    Write(line.ToString() + "\n");
  }

  void Note(std::string_view text) const {
    if (arguments_.verbose) PrintToStderr(text);
  }

  const Arguments& arguments_;
  const UdpArguments& udp_;
  ServiceLoop service_loop_;
  // They go before the loop does.
  std::unique_ptr<StdinReader> input_;
  std::unique_ptr<StdoutWriter> output_;
  std::shared_ptr<DatagramTransport> transport_;  // Held by the loop, too. Null before it is made and after it is lost.
  std::string datagram_;                          // What has been read of the next one.
  size_t max_bytes_ = kMaxDatagramBytes;          // It can have.
  bool is_too_long_ = false;                      // It is, and so is not kept.
  bool input_ended_ = false;
  bool failed_ = false;           // What it was has been told.
  bool nobody_is_there_ = false;  // An error was not of one datagram alone.
  uint64_t datagram_count_ = 0;   // Of the input.
  uint64_t unsent_count_ = 0;     // Of those, told of by an error of their own.
  uint64_t answer_count_ = 0;
  TimerId timer_ = 0;
  std::optional<ExitCode> when_written_;
};

// Threading: loop thread only.
class UdpCommand::EndpointProtocol final : public DatagramProtocol {
 public:
  // `command` must outlive it.
  explicit EndpointProtocol(UdpCommand& command) : command_(command) {}

  void ConnectionMade(std::shared_ptr<DatagramTransport> transport) override { command_.OnMade(std::move(transport)); }
  void DatagramReceived(std::string_view data, const SocketAddress* /*address*/) override { command_.OnDatagram(data); }
  void ErrorReceived(const absl::Status& status) override { command_.OnError(status); }
  void PauseWriting() override { command_.input_->Pause(); }
  void ResumeWriting() override { command_.input_->Resume(); }
  void ConnectionLost(const DatagramEnd& end) override { command_.OnLost(end); }

 private:
  UdpCommand& command_;
};

std::shared_ptr<DatagramProtocol> UdpCommand::MakeProtocol() { return std::make_shared<EndpointProtocol>(*this); }

}  // namespace

int RunUdp(const Arguments& arguments, const ConnectOptions& service) { return UdpCommand(arguments, service).Run(); }

}  // namespace transportd::ctl
