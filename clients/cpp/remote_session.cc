#include "clients/cpp/remote_session.h"

#include <optional>
#include <utility>

#include "clients/cpp/convert.h"
#include "clients/cpp/remote_server.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

constexpr uint32_t kRevision = 1;
// Below this a frame does not hold the commands that a client must be able to send.
constexpr uint64_t kLeastFrameBytes = 1024;
constexpr size_t kMaxClientNameBytes = 128;

}  // namespace

RemoteSession::RemoteSession(Reactor& reactor, std::unique_ptr<FrameChannel> channel, Observer& observer)
    : reactor_(reactor), observer_(observer), channel_(std::move(channel)), outbox_(reactor, *channel_, *this) {}

RemoteSession::~RemoteSession() { CHECK(state_ == State::kShutDown); }

void RemoteSession::Start(const std::string& client_name) {
  channel_->Start(reactor_, weak_from_this());
  v1::Open open;
  open.set_revision(kRevision);
  open.set_acknowledged(true);
  open.set_client_name(client_name.substr(0, kMaxClientNameBytes));
  outbox_.SendOpen(open);
}

void RemoteSession::Shutdown() {
  state_ = State::kShutDown;
  outbox_.Close();
  channel_->HalfClose();
  // Moved out first: destructors of what they hold may come back here.
  const auto transports = std::move(transports_);
  const auto servers = std::move(servers_);
  const auto requests = std::move(requests_);
  transports_.clear();
  servers_.clear();
  requests_.clear();
  for (const auto& [id, transport] : transports) transport->OnLoopDestroyed();
  for (const auto& [id, server] : servers) server->OnLoopDestroyed();
  channel_.reset();
}

uint32_t RemoteSession::NextRequestId() {
  do {
    if (++last_request_id_ == 0) ++last_request_id_;
  } while (requests_.contains(last_request_id_));
  return last_request_id_;
}

uint32_t RemoteSession::Request(v1::Command command, ReplyCallback done) {
  const uint32_t request_id = NextRequestId();
  command.set_request_id(request_id);
  absl::Status status = lost_status_;
  if (status.ok() && !outbox_.AppendCommand(command)) {
    status = MakeError(absl::StatusCode::kResourceExhausted, "FRAME_TOO_LARGE",
                       "the request does not fit into one frame of this session");
  }
  if (!status.ok()) {
    reactor_.CallSoon([done = std::move(done), status]() mutable { done(status); });
    return request_id;
  }
  requests_.emplace(request_id, std::move(done));
  return request_id;
}

void RemoteSession::Send(const v1::Command& command) {
  const bool fits = outbox_.AppendCommand(command);
  CHECK(fits);  // Only commands of a few bytes come this way.
}

void RemoteSession::Write(uint32_t transport_id, std::string_view data) {
  CHECK_LE(data.size(), SendCredit());
  unwritten_bytes_ += data.size();
  outbox_.AppendWrite(transport_id, data);
}

bool RemoteSession::HasCreditFor(uint64_t size_bytes) const {
  return unwritten_bytes_ == 0 || size_bytes <= SendCredit();
}

void RemoteSession::SendTo(uint32_t transport_id, std::string_view data, std::optional<std::string_view> address,
                           uint64_t weight_bytes) {
  unwritten_bytes_ += weight_bytes;
  outbox_.AppendSendTo(transport_id, data, address);
}

void RemoteSession::Written(uint64_t size_bytes) {
  CHECK_LE(size_bytes, unwritten_bytes_);
  unwritten_bytes_ -= size_bytes;
  // Each once around: one that still wants more goes to the back.
  for (size_t count = waiting_for_credit_.size(); count > 0 && SendCredit() > 0; --count) {
    const uint32_t transport_id = waiting_for_credit_.front();
    waiting_for_credit_.pop_front();
    if (const auto transport = FindTransport(transport_id); transport != nullptr) transport->OnCredit();
  }
}

void RemoteSession::WaitForCredit(uint32_t transport_id) { waiting_for_credit_.push_back(transport_id); }

void RemoteSession::AcknowledgeLater(uint32_t transport_id, uint64_t weight_bytes, bool is_urgent) {
  if (state_ != State::kOpen) return;
  to_acknowledge_.insert(transport_id);
  unacknowledged_weight_bytes_ += weight_bytes;
  // A quarter of a window keeps the service sending without a pause, and costs few frames.
  if (!is_urgent && unacknowledged_weight_bytes_ < limits_.session_receive_window_bytes / 4) return;
  acknowledgements_are_urgent_ = true;
  outbox_.FlushAtTurnEnd();
}

void RemoteSession::AppendAcknowledgements() {
  for (const uint32_t transport_id : to_acknowledge_) {
    const std::shared_ptr<RemoteHandle> transport = FindTransport(transport_id);
    if (transport == nullptr) continue;
    const Consumed consumed = transport->TakeConsumed();
    outbox_.AppendAcknowledgement(transport_id, consumed.data_bytes, consumed.data_count);
  }
  to_acknowledge_.clear();
  unacknowledged_weight_bytes_ = 0;
  acknowledgements_are_urgent_ = false;
}

void RemoteSession::AddTransport(uint32_t transport_id, std::shared_ptr<RemoteHandle> transport) {
  transports_[transport_id] = std::move(transport);
}

std::shared_ptr<RemoteHandle> RemoteSession::RemoveTransport(uint32_t transport_id) {
  const auto it = transports_.find(transport_id);
  if (it == transports_.end()) return nullptr;
  std::shared_ptr<RemoteHandle> transport = std::move(it->second);
  transports_.erase(it);
  return transport;
}

void RemoteSession::AddServer(uint32_t server_id, std::shared_ptr<RemoteServer> server) {
  servers_[server_id] = std::move(server);
}

void RemoteSession::RemoveServer(uint32_t server_id) {
  const auto it = servers_.find(server_id);
  if (it == servers_.end()) return;
  reactor_.DeferredDelete(std::move(it->second));
  servers_.erase(it);
}

std::shared_ptr<RemoteServer> RemoteSession::FindServer(uint32_t server_id) const {
  const auto it = servers_.find(server_id);
  return it == servers_.end() ? nullptr : it->second;
}

std::shared_ptr<RemoteHandle> RemoteSession::FindTransport(uint32_t transport_id) const {
  const auto it = transports_.find(transport_id);
  return it == transports_.end() ? nullptr : it->second;
}

void RemoteSession::RefuseTransport(uint32_t transport_id, bool reset) {
  v1::Command command;
  command.mutable_abort()->set_transport_id(transport_id);
  command.mutable_abort()->set_reset(reset);
  Send(command);
}

void RemoteSession::FailContract(std::string_view what) {
  Lose(MakeError(absl::StatusCode::kDataLoss, "BAD_FRAME", StrCat("the service broke the contract: ", what)));
}

void RemoteSession::OnFrameSent() { outbox_.OnFrameSent(); }

void RemoteSession::OnClosed(absl::Status status) {
  if (status.ok()) status = absl::UnavailableError("the service ended the session");
  Lose(std::move(status));
}

void RemoteSession::OnFrame(std::span<const std::string_view> pieces) {
  if (state_ != State::kOpening && state_ != State::kOpen) return;
  // Callbacks may come back here through a reactor that runs inside a callback; the views must not be overwritten.
  FrameView frame = std::move(frame_);
  if (!ReadFrame(pieces, FrameKind::kCallbacks, frame)) return FailContract("a frame that cannot be read");
  if (frame.sequence != received_sequence_ + 1) return FailContract("a gap in the numbers of its frames");
  if (frame.acknowledged_sequence > outbox_.sent_sequence()) return FailContract("it acknowledged what was not sent");
  if (frame.opening.has_value() != (state_ == State::kOpening)) {
    return FailContract(state_ == State::kOpening ? "its first frame is not `opened`" : "a second `opened`");
  }
  received_sequence_ = frame.sequence;
  outbox_.SetReceivedSequence(received_sequence_);
  if (frame.opening.has_value() && !OnOpened(*frame.opening)) return;
  for (const EntryView& entry : frame.entries) {
    OnCallback(entry);
    if (state_ != State::kOpen) return;
  }
  frame.Rest();
  frame_ = std::move(frame);
}

bool RemoteSession::OnOpened(std::string_view bytes) {
  v1::Opened opened;
  const bool is_valid = opened.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) &&
                        opened.revision() == kRevision &&
                        opened.limits().max_client_frame_bytes() >= kLeastFrameBytes &&
                        opened.limits().send_window_bytes() > 0 && opened.limits().session_send_window_bytes() > 0;
  if (!is_valid) {
    FailContract("an `opened` of another revision, or without limits");
    return false;
  }
  const v1::Limits& limits = opened.limits();
  limits_.receive_window_bytes = limits.receive_window_bytes();
  limits_.callback_charge_bytes = limits.callback_charge_bytes();
  limits_.session_receive_window_bytes = limits.session_receive_window_bytes();
  limits_.send_window_bytes = limits.send_window_bytes();
  limits_.session_send_window_bytes = limits.session_send_window_bytes();
  state_ = State::kOpen;
  outbox_.Opened(limits.max_client_frame_bytes());
  return true;
}

void RemoteSession::OnCallback(const EntryView& entry) {
  const std::optional<HotEntry> hot = ReadHotCallback(entry);
  if (!hot.has_value()) {
    v1::Callback callback;
    if (!callback.ParseFromArray(entry.bytes.data(), static_cast<int>(entry.bytes.size()))) {
      return FailContract("a callback that cannot be read");
    }
    return OnRareCallback(callback);
  }
  const std::shared_ptr<RemoteHandle> transport = FindTransport(hot->transport_id);
  if (transport == nullptr) return;
  bool is_valid = false;
  switch (hot->kind) {
    case HotEntry::Kind::kData:
      is_valid = transport->OnDataReceived(hot->data, hot->more_data.empty());
      for (size_t i = 0; i < hot->more_data.size(); ++i) {
        is_valid = transport->OnDataReceived(hot->more_data[i], i + 1 == hot->more_data.size()) && is_valid;
      }
      break;
    case HotEntry::Kind::kProgress:
      is_valid = transport->OnWriteProgress(hot->sent_bytes);
      break;
    case HotEntry::Kind::kDatagram:
      is_valid = transport->OnDatagramReceived(hot->data, hot->address);
      break;
  }
  if (!is_valid) FailContract("data that its transport cannot have, or more written than it was given");
}

void RemoteSession::OnRareCallback(const v1::Callback& callback) {
  using Case = v1::Callback::CallbackCase;
  switch (callback.callback_case()) {
    case Case::kReply:
      return OnReply(callback.reply());
    case Case::kConnectionMade:
      // A pipe: its subprocess's connection_made has said all of it.
      if (callback.connection_made().subprocess_id() != 0) return;
      if (transports_.contains(callback.transport_id())) return FailContract("an id used twice");
      return observer_.OnConnectionMade(callback.transport_id(), callback.connection_made());
    case Case::kCallExceptionHandler: {
      const v1::ExceptionContext& context = callback.call_exception_handler();
      const std::shared_ptr<RemoteServer> server = FindServer(callback.transport_id());
      return observer_.ReportException(
          {.message = context.message(),
           .status = context.has_error() ? remote::ToStatus(context.error()) : absl::OkStatus(),
           .server = server.get()});
    }
    case Case::kDraining:
      return observer_.OnDraining(remote::FromProto(callback.draining().time_left()));
    case Case::CALLBACK_NOT_SET:
      return;  // A variant that is not known is to be ignored.
    default:
      break;
  }
  const std::shared_ptr<RemoteHandle> transport = FindTransport(callback.transport_id());
  if (transport != nullptr && !transport->OnCallback(callback))
    FailContract("a callback that its transport cannot have");
}

void RemoteSession::OnReply(const v1::Reply& reply) {
  const auto it = requests_.find(reply.request_id());
  if (it == requests_.end()) return;
  ReplyCallback done = std::move(it->second);
  requests_.erase(it);
  if (reply.has_error()) {
    done(remote::ToStatus(reply.error()));
  } else {
    done(reply);
  }
}

void RemoteSession::Lose(absl::Status stream_status) {
  if (state_ != State::kOpening && state_ != State::kOpen) return;
  state_ = State::kLost;
  lost_status_ = MakeError(absl::StatusCode::kUnavailable, "SESSION_LOST",
                           StrCat("the session with the service is lost: ", std::string(stream_status.message())));
  stream_status_ = std::move(stream_status);
  outbox_.Close();
  channel_->HalfClose();

  std::vector<std::shared_ptr<RemoteHandle>> transports;
  transports.reserve(transports_.size());
  for (const auto& [id, transport] : transports_) transports.push_back(transport);
  std::vector<std::shared_ptr<RemoteServer>> servers;
  servers.reserve(servers_.size());
  for (const auto& [id, server] : servers_) servers.push_back(server);
  auto requests = std::move(requests_);
  requests_.clear();
  // Whoever is called may do anything but destroy the loop.
  for (const auto& server : servers) server->OnSessionLost();
  // First what was asked of the transports: `done`, then ConnectionLost.
  for (auto& [id, done] : requests) done(lost_status_);
  for (const auto& transport : transports) transport->OnSessionLost(lost_status_);
}

}  // namespace transportd
