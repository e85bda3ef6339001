#include "clients/cpp/remote_transport.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "clients/cpp/convert.h"
#include "clients/cpp/remote_socket_option.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/transport_lost.h"

namespace transportd {
namespace {

// As DataReceived promises.
constexpr size_t kMaxDataReceivedBytes = 262144;

// A start_tls that failed so has changed nothing. Any other is the transport's end, which follows.
bool LeavesTransport(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnimplemented:
      return true;
    default:
      return ToTransportError(status).reason == "START_TLS_IMPOSSIBLE";
  }
}

// True: what reading meets, and a paused transport therefore does not notice.
bool IsReadSide(EndCause cause) {
  switch (cause) {
    case EndCause::kEof:
    case EndCause::kReset:
    case EndCause::kTimedOut:
    case EndCause::kUnreachable:
    case EndCause::kTlsAlert:
    case EndCause::kTlsError:
    case EndCause::kOsError:
    case EndCause::kRaggedEof:
      return true;
    case EndCause::kLocalClose:
    case EndCause::kLocalAbort:
    case EndCause::kBrokenPipe:
    case EndCause::kOperator:
    case EndCause::kPolicyRevoked:
    case EndCause::kSessionLost:
    case EndCause::kServiceStopping:
      return false;
  }
  return false;
}

}  // namespace

RemoteTransport::RemoteTransport(RemoteSession& session, uint32_t id, std::shared_ptr<BaseProtocol> protocol,
                                 Options options)
    : session_(&session),
      id_(id),
      extra_info_(std::move(options.extra_info)),
      rules_(RulesOf(extra_info_)),
      on_lost_(std::move(options.on_lost)),
      held_(options.held),
      watermarks_(options.write_buffer_marks) {
  BindProtocol(std::move(protocol));
}

RemoteTransport::Rules RemoteTransport::RulesOf(const ExtraInfo& extra_info) {
  if (extra_info.tls != nullptr) return {.can_write_eof = false, .eof_closes = true, .close_ends_write = true};
  if (!extra_info.pipe) return {};
  const PipeInfo& pipe = *extra_info.pipe;
  const bool is_write_pipe = !pipe.can_read;
  return {.can_read = pipe.can_read,
          .can_write = pipe.can_write,
          .can_write_eof = is_write_pipe,
          .eof_closes = true,
          .write_eof_closes = is_write_pipe,
          .close_ends_write = true};
}

RemoteTransport::~RemoteTransport() { CHECK(state_ == State::kLost); }

void RemoteTransport::AssertInLoopThread() const {
  if (session_ != nullptr) session_->reactor().AssertInLoopThread();
}

void RemoteTransport::Start() { protocol_->ConnectionMade(shared_from_this()); }

void RemoteTransport::Release() {
  held_ = false;
  DeliverHeld();
}

void RemoteTransport::BindProtocol(std::shared_ptr<BaseProtocol> protocol) {
  protocol_ = std::move(protocol);
  plain_protocol_ = dynamic_cast<Protocol*>(protocol_.get());
  buffered_protocol_ = dynamic_cast<BufferedProtocol*>(protocol_.get());
  CHECK(plain_protocol_ != nullptr || buffered_protocol_ != nullptr);
}

void RemoteTransport::SetProtocol(std::shared_ptr<BaseProtocol> protocol) {
  AssertInLoopThread();
  if (state_ == State::kLost) return;
  // The old one may be what called this.
  session_->reactor().DeferredDelete(std::move(protocol_));
  BindProtocol(std::move(protocol));
}

bool RemoteTransport::OnCallback(const v1::Callback& callback) {
  switch (callback.callback_case()) {
    case v1::Callback::kEofReceived:
      OnEofReceived();
      return true;
    case v1::Callback::kConnectionLost:
      return OnConnectionLost(remote::FromProto(callback.connection_lost()));
    default:
      // The watermarks are kept here, so what the service says of its own is of no interest.
      return true;
  }
}

// --- Reading

bool RemoteTransport::OnDataReceived(std::string_view data, bool is_last) {
  size_t delivered = 0;
  const bool is_wanted = state_ == State::kOpen && !held_end_.has_value();
  if (is_wanted && held_data_.empty() && !held_eof_) delivered = Deliver(data);
  if (!is_wanted || state_ != State::kOpen || delivered == data.size()) {
    AddConsumed(data.size(), is_last ? 1 : 0);
    return true;
  }
  if (delivered > 0) AddConsumed(delivered, 0);
  held_data_.push_back({.data = std::string(data.substr(delivered)), .is_last = is_last});
  return true;
}

size_t RemoteTransport::Deliver(std::string_view data) {
  size_t delivered = 0;
  while (delivered < data.size() && CanDeliver()) {
    const std::string_view rest = data.substr(delivered);
    if (buffered_protocol_ != nullptr) {
      // asyncio's protocols._feed_data_to_buffered_proto.
      const std::span<char> buffer = buffered_protocol_->GetBuffer(rest.size());
      if (buffer.empty()) {
        if (!paused_reading_) FailEmptyBuffer();
        break;
      }
      const size_t count = std::min(rest.size(), buffer.size());
      std::memcpy(buffer.data(), rest.data(), count);
      delivered += count;
      received_bytes_ += count;
      buffered_protocol_->BufferUpdated(count);
    } else {
      const size_t count = std::min(rest.size(), kMaxDataReceivedBytes);
      delivered += count;
      received_bytes_ += count;
      plain_protocol_->DataReceived(rest.substr(0, count));
    }
  }
  return delivered;
}

void RemoteTransport::FailEmptyBuffer() {
  const absl::Status status =
      MakeError(absl::StatusCode::kInternal, "EMPTY_BUFFER", "the protocol's GetBuffer returned an empty buffer");
  SendAbort(false);
  EnterEnding(EndCause::kLocalAbort, status);
  session_->observer().ReportException(
      {.message = "Fatal error: protocol.get_buffer() call failed.", .status = status, .server = nullptr});
}

void RemoteTransport::OnEofReceived() {
  if (received_eof_ || held_eof_ || held_end_.has_value()) return;
  // The peer's answer to TLS's leave is told too.
  if (state_ == State::kClosing && IsTls()) return CallEofReceived();
  if (state_ != State::kOpen) return;
  if (CanDeliver() && held_data_.empty()) {
    CallEofReceived();
  } else {
    held_eof_ = true;
  }
}

void RemoteTransport::CallEofReceived() {
  received_eof_ = true;
  const bool keeps_open =
      buffered_protocol_ != nullptr ? buffered_protocol_->EofReceived() : plain_protocol_->EofReceived();
  if (!keeps_open || rules_.eof_closes) Close();
}

void RemoteTransport::DeliverHeld() {
  if (state_ == State::kLost) return;
  while (CanDeliver() && !held_data_.empty()) {
    // Out of the queue, which Close and Abort empty.
    HeldData held = std::move(held_data_.front());
    held_data_.pop_front();
    const size_t delivered = Deliver(held.data);
    const bool is_done = delivered == held.data.size() || state_ != State::kOpen;
    if (!held.is_acknowledged) AddConsumed(is_done ? held.data.size() : delivered, is_done && held.is_last ? 1 : 0);
    if (!is_done) {
      held.data.erase(0, delivered);
      held_data_.push_front(std::move(held));
    }
  }
  if (CanDeliver() && held_data_.empty() && held_eof_) {
    held_eof_ = false;
    CallEofReceived();
  }
  const bool can_end = state_ == State::kEnding || (CanDeliver() && held_data_.empty() && !held_eof_);
  if (held_end_.has_value() && can_end) return CallConnectionLost(*std::exchange(held_end_, std::nullopt));
  SyncReadingSoon();
}

void RemoteTransport::DeliverHeldSoon() {
  if (delivery_is_due_) return;
  delivery_is_due_ = true;
  session_->reactor().CallSoon([self = shared_from_this()] {
    self->delivery_is_due_ = false;
    self->DeliverHeld();
  });
}

void RemoteTransport::DropHeld() {
  for (const HeldData& held : held_data_) {
    if (!held.is_acknowledged) AddConsumed(held.data.size(), held.is_last ? 1 : 0);
  }
  held_data_.clear();
  held_eof_ = false;
}

void RemoteTransport::PauseReading() {
  AssertInLoopThread();
  if (!IsReading()) return;
  paused_reading_ = true;
  SyncReadingSoon();
}

void RemoteTransport::ResumeReading() {
  AssertInLoopThread();
  if (state_ != State::kOpen || !paused_reading_) return;
  paused_reading_ = false;
  if (!held_data_.empty() || held_eof_ || held_end_.has_value()) DeliverHeldSoon();
  SyncReadingSoon();
}

// The window alone would stop the service. But what is held back here would then also weigh on the session's window,
// and enough paused transports would stall all others: so the service is told, and what is held here is acknowledged as
// soon as it is certain that no more follows. It is at most what was on its way then: a window's worth.
void RemoteTransport::SyncReadingSoon() {
  if (sync_is_due_ || state_ != State::kOpen) return;
  if (WantsPaused() == told_paused_) return;
  sync_is_due_ = true;
  session_->reactor().AtTurnEnd([self = shared_from_this()] {
    self->sync_is_due_ = false;
    self->SyncReading();
  });
}

void RemoteTransport::SyncReading() {
  if (state_ != State::kOpen || held_end_.has_value()) return;
  const bool wants_paused = WantsPaused();
  if (wants_paused == told_paused_) return;
  told_paused_ = wants_paused;
  pause_confirmed_ = false;
  v1::Command command;
  if (!wants_paused) {
    command.mutable_resume_reading()->set_transport_id(id_);
    session_->Send(command);
    return;
  }
  command.mutable_pause_reading()->set_transport_id(id_);
  session_->Request(std::move(command), [weak = weak_from_this()](const absl::StatusOr<v1::Reply>& reply) {
    const std::shared_ptr<RemoteTransport> self = weak.lock();
    if (self != nullptr && reply.ok()) self->OnPauseConfirmed();
  });
}

void RemoteTransport::OnPauseConfirmed() {
  if (state_ != State::kOpen || !told_paused_) return;
  pause_confirmed_ = true;
  for (HeldData& held : held_data_) {
    if (held.is_acknowledged) continue;
    held.is_acknowledged = true;
    AddConsumed(held.data.size(), held.is_last ? 1 : 0);
  }
  if (issue_start_tls_) Pump();
}

void RemoteTransport::AddConsumed(uint64_t size_bytes, uint64_t count) {
  const RemoteLimits& limits = session_->limits();
  const uint64_t weight_bytes = size_bytes + count * limits.callback_charge_bytes;
  consumed_.data_bytes += size_bytes;
  consumed_.data_count += count;
  unacknowledged_weight_bytes_ += weight_bytes;
  session_->AcknowledgeLater(id_, weight_bytes, unacknowledged_weight_bytes_ >= limits.receive_window_bytes / 4);
}

Consumed RemoteTransport::TakeConsumed() {
  unacknowledged_weight_bytes_ = 0;
  return consumed_;
}

// --- Writing

absl::Status RemoteTransport::Write(std::string_view data) { return Writelines({&data, 1}); }

absl::Status RemoteTransport::Writelines(std::span<const std::string_view> lines) {
  AssertInLoopThread();
  if (write_eof_ != WriteEofState::kNone) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "WRITE_AFTER_EOF", "write after write_eof");
  }
  if (!rules_.can_write) {
    return MakeError(absl::StatusCode::kUnimplemented, "WRONG_KIND", "this transport can only be read");
  }
  size_t size_bytes = 0;
  for (const std::string_view line : lines) size_bytes += line.size();
  if (size_bytes == 0) return absl::OkStatus();
  if (sending_file_ && IsWritable()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "SENDFILE_IN_PROGRESS", "a file is being sent");
  }
  if (rules_.close_ends_write && IsClosing()) {
    dropped_bytes_ += size_bytes;
    return absl::OkStatus();
  }
  accepted_bytes_ += size_bytes;
  if (!IsWritable()) return absl::OkStatus();
  if (held_end_.has_value()) {
    // A write is what tells a paused transport that its connection is gone.
    EnterEnding(std::nullopt, absl::OkStatus());
    return absl::OkStatus();
  }
  for (const std::string_view line : lines) Accept(line);
  if (watermarks_.Grew(GetWriteBufferSize())) PauseProtocol();
  return absl::OkStatus();
}

void RemoteTransport::Accept(std::string_view data) {
  if (issue_start_tls_) return written_for_tls_.Append(data);
  while (pending_.empty() && !data.empty()) {
    const uint64_t window_bytes = session_->limits().send_window_bytes - (issued_bytes_ - sent_bytes_);
    const uint64_t count =
        std::min<uint64_t>({data.size(), window_bytes, session_->SendCredit(), session_->max_write_bytes()});
    if (count == 0) break;
    session_->Write(id_, data.substr(0, count));
    issued_bytes_ += count;
    data.remove_prefix(count);
  }
  if (data.empty()) return;
  pending_.Append(data);
  Pump();  // Nothing can be sent, but somebody must wake it.
}

void RemoteTransport::Pump() {
  while (!pending_.empty()) {
    const uint64_t window_bytes = session_->limits().send_window_bytes - (issued_bytes_ - sent_bytes_);
    if (window_bytes == 0) return;  // The next write_progress comes back here.
    if (session_->SendCredit() == 0) {
      if (!waits_for_credit_) {
        waits_for_credit_ = true;
        session_->WaitForCredit(id_);
      }
      return;
    }
    iovec piece{};
    pending_.Peek({&piece, 1});
    const uint64_t count =
        std::min<uint64_t>({piece.iov_len, window_bytes, session_->SendCredit(), session_->max_write_bytes()});
    session_->Write(id_, {static_cast<const char*>(piece.iov_base), count});
    issued_bytes_ += count;
    pending_.Consume(count);
  }
  if (auto issue = std::exchange(issue_sendfile_, nullptr)) issue(absl::OkStatus());
  if (issue_start_tls_ && pause_confirmed_) return IssueStartTls();
  if (write_eof_ == WriteEofState::kAsked) SendWriteEof();
  if (close_ == CloseState::kDue) SendClose();
}

absl::Status RemoteTransport::BeginSendfile(absl::AnyInvocable<void(absl::Status)> issue) {
  AssertInLoopThread();
  if (IsClosing()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "TRANSPORT_CLOSING", "the transport is closing");
  }
  if (write_eof_ != WriteEofState::kNone) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "WRITE_AFTER_EOF", "sendfile after write_eof");
  }
  if (sending_file_) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "SENDFILE_IN_PROGRESS", "a file is being sent");
  }
  sending_file_ = true;
  issue_sendfile_ = std::move(issue);
  Pump();
  return absl::OkStatus();
}

void RemoteTransport::DropSendfile() {
  if (auto issue = std::exchange(issue_sendfile_, nullptr)) {
    issue(MakeError(absl::StatusCode::kFailedPrecondition, "TRANSPORT_LOST",
                    "the transport was lost before the file was sent"));
  }
}

absl::Status RemoteTransport::BeginStartTls(absl::AnyInvocable<void(absl::StatusOr<std::string>)> issue) {
  AssertInLoopThread();
  if (IsClosing() || received_eof_ || held_end_.has_value() || write_eof_ != WriteEofState::kNone || sending_file_ ||
      starting_tls_) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "START_TLS_IMPOSSIBLE",
                     "the transport is not open both ways, or a file is being sent, or TLS is being started already");
  }
  starting_tls_ = true;
  issue_start_tls_ = std::move(issue);
  SyncReadingSoon();
  // Nothing comes any more when it was paused already; but not at once.
  if (pause_confirmed_) {
    session_->reactor().CallSoon([self = shared_from_this()] {
      if (self->IsWritable()) self->Pump();
    });
  }
  return absl::OkStatus();
}

void RemoteTransport::IssueStartTls() {
  tls_incoming_.clear();
  for (const HeldData& held : held_data_) tls_incoming_ += held.data;
  DropHeld();
  pending_ = std::exchange(written_for_tls_, ByteQueue());
  std::exchange(issue_start_tls_, nullptr)(tls_incoming_);
  Pump();
}

void RemoteTransport::EndStartTls(const absl::StatusOr<std::shared_ptr<const TlsInfo>>& tls) {
  starting_tls_ = false;
  std::string incoming = std::exchange(tls_incoming_, {});
  if (state_ == State::kLost) return;
  if (tls.ok()) {
    extra_info_.tls = *tls;
    rules_ = RulesOf(extra_info_);
    if (watermarks_.SetMarks(kTlsWriteBufferMarks, GetWriteBufferSize()) && IsWritable()) PauseProtocol();
  } else if (state_ == State::kOpen && !incoming.empty() && LeavesTransport(tls.status())) {
    held_data_.push_front({.data = std::move(incoming), .is_acknowledged = true});
  }
  if (state_ == State::kOpen) DeliverHeldSoon();
}

void RemoteTransport::DropStartTls() {
  written_for_tls_.Clear();
  if (auto issue = std::exchange(issue_start_tls_, nullptr)) {
    issue(MakeError(absl::StatusCode::kCancelled, "CANCELLED", "the transport was closed first"));
  }
}

void RemoteTransport::OnCredit() {
  waits_for_credit_ = false;
  if (IsWritable()) Pump();
}

bool RemoteTransport::OnWriteProgress(uint64_t sent_bytes) {
  if (sent_bytes > issued_bytes_) return false;
  if (sent_bytes <= sent_bytes_) return true;
  const uint64_t written_bytes = sent_bytes - std::exchange(sent_bytes_, sent_bytes);
  session_->Written(written_bytes);
  if (!IsWritable()) return true;
  Pump();
  protocol_->BytesSent(sent_bytes_);
  if (IsWritable() && watermarks_.Shrank(GetWriteBufferSize())) ResumeProtocol();
  if (state_ == State::kClosing && close_ == CloseState::kSent && sent_bytes_ == accepted_bytes_ && !IsTls()) {
    EnterEnding(received_eof_ ? EndCause::kEof : EndCause::kLocalClose, absl::OkStatus());
  }
  return true;
}

void RemoteTransport::PauseProtocol() {
  paused_writer_.Set(*session_, true);
  protocol_->PauseWriting();
}

void RemoteTransport::ResumeProtocol() {
  paused_writer_.Set(*session_, false);
  protocol_->ResumeWriting();
}

size_t RemoteTransport::GetWriteBufferSize() const { return IsWritable() ? accepted_bytes_ - sent_bytes_ : 0; }

absl::Status RemoteTransport::SetWriteBufferLimits(const WriteBufferLimits& limits) {
  AssertInLoopThread();
  const absl::StatusOr<WriteBufferMarks> marks =
      ResolveWriteBufferLimits(limits, IsTls() ? kTlsWriteBufferMarks : WriteBufferMarks());
  if (!marks.ok()) return marks.status();
  if (watermarks_.SetMarks(*marks, GetWriteBufferSize()) && IsWritable()) PauseProtocol();
  return absl::OkStatus();
}

void RemoteTransport::WriteEof() {
  AssertInLoopThread();
  if (IsClosing() || write_eof_ != WriteEofState::kNone || !rules_.can_write_eof || starting_tls_) return;
  if (rules_.write_eof_closes) return Close();
  write_eof_ = WriteEofState::kAsked;
  if (pending_.empty()) SendWriteEof();
}

void RemoteTransport::SendWriteEof() {
  write_eof_ = WriteEofState::kSent;
  v1::Command command;
  command.mutable_write_eof()->set_transport_id(id_);
  session_->Send(command);
}

// --- Ending

void RemoteTransport::Close() {
  AssertInLoopThread();
  if (IsClosing()) return;
  eof_before_close_ = received_eof_;
  if (starting_tls_) {
    // asyncio: closing during the handshake is aborting.
    SendAbort(false);
    EnterEnding(EndCause::kLocalClose, absl::OkStatus());
    return;
  }
  if (sent_bytes_ == accepted_bytes_ && !IsTls()) {
    SendClose();
    EnterEnding(received_eof_ ? EndCause::kEof : EndCause::kLocalClose, absl::OkStatus());
    return;
  }
  state_ = State::kClosing;
  DropHeld();
  close_ = CloseState::kAsked;
  // Not before the end of the turn, so that what is written after this call goes first.
  session_->reactor().AtTurnEnd([self = shared_from_this()] {
    if (self->state_ != State::kClosing) return;
    self->close_ = CloseState::kDue;
    self->Pump();
  });
}

void RemoteTransport::SendClose() {
  close_ = CloseState::kSent;
  if (held_end_.has_value()) return;
  v1::Command command;
  command.mutable_close()->set_transport_id(id_);
  session_->Send(command);
}

void RemoteTransport::Abort(bool reset) {
  AssertInLoopThread();
  if (!IsWritable()) return;
  SendAbort(reset);
  EnterEnding(EndCause::kLocalAbort, absl::OkStatus());
}

void RemoteTransport::SendAbort(bool reset) {
  if (!held_end_.has_value()) session_->RefuseTransport(id_, reset);
}

void RemoteTransport::EnterEnding(std::optional<EndCause> cause, absl::Status status) {
  state_ = State::kEnding;
  ending_cause_ = cause;
  ending_status_ = std::move(status);
  pending_.Clear();
  DropSendfile();
  DropStartTls();
  DropHeld();
  if (held_end_.has_value()) DeliverHeldSoon();
}

bool RemoteTransport::MustHold(const ConnectionEnd& end) const {
  if (state_ != State::kOpen) return false;
  if (held_) return true;
  // Bytes that the kernel never took: the write error that they met is noticed, paused or not.
  if (paused_reading_) return IsReadSide(end.cause) && sent_bytes_ == accepted_bytes_;
  return !held_data_.empty() || held_eof_;
}

bool RemoteTransport::OnConnectionLost(ConnectionEnd end) {
  // A sendfile that was cancelled here did not tell how much of the file was sent.
  const uint64_t of_file_bytes = sending_file_ ? end.sent_bytes : file_bytes_;
  end.sent_bytes -= std::min(of_file_bytes, end.sent_bytes - std::min(end.sent_bytes, sent_bytes_));
  if (end.sent_bytes > issued_bytes_) return false;
  if (held_end_.has_value()) return true;
  // The last bytes may have reached the kernel in the turn that ended it: the protocol hears of them first.
  pending_.Clear();
  if (!OnWriteProgress(end.sent_bytes)) return false;
  if (issue_start_tls_) {
    // Its `done` comes first, and that in a later turn.
    starting_tls_ = false;
    written_for_tls_.Clear();
    std::exchange(issue_start_tls_, nullptr)(
        end.status.ok() ? MakeError(absl::StatusCode::kUnavailable, "HANDSHAKE_EOF", "the connection ended first")
                        : end.status);
    DropHeld();
    held_end_ = std::move(end);
    DeliverHeldSoon();
    return true;
  }
  if (MustHold(end)) {
    held_end_ = std::move(end);
  } else {
    CallConnectionLost(std::move(end));
  }
  return true;
}

void RemoteTransport::OnSessionLost(const absl::Status& status) {
  if (state_ == State::kLost) return;
  ending_cause_.reset();
  ConnectionEnd end{.cause = EndCause::kSessionLost, .status = status, .received_bytes = received_bytes_};
  if (issue_start_tls_ == nullptr) return CallConnectionLost(std::move(end));
  // Its `done` comes first, and that in a later turn.
  state_ = State::kEnding;
  std::exchange(issue_start_tls_, nullptr)(status);
  session_->reactor().CallSoon([self = shared_from_this(), end = std::move(end)]() mutable {
    if (self->state_ != State::kLost) self->CallConnectionLost(std::move(end));
  });
}

void RemoteTransport::CallConnectionLost(ConnectionEnd end) {
  if (ending_cause_.has_value()) {
    end.cause = *ending_cause_;
    end.status = ending_status_;
  } else if (end.cause == EndCause::kEof && !rules_.can_read) {
    // The reader is gone. The service had nothing buffered, but bytes may have been on their way to it.
    if (sent_bytes_ < accepted_bytes_) {
      end.cause = EndCause::kBrokenPipe;
      end.status = ErrnoToStatus(EPIPE, "write");
    }
  } else if ((end.cause == EndCause::kEof || end.cause == EndCause::kRaggedEof) && !eof_before_close_) {
    // The peer ended too, but the protocol was not told before it closed.
    end.cause = EndCause::kLocalClose;
  }
  end.sent_bytes = sent_bytes_ + file_bytes_;
  end.dropped_bytes = accepted_bytes_ - sent_bytes_ + dropped_bytes_;
  received_bytes_ = end.received_bytes;
  const std::shared_ptr<BaseProtocol> protocol = std::move(protocol_);
  auto on_lost = std::move(on_lost_);
  Reactor& reactor = session_->reactor();
  reactor.DeferredDelete(Detach());
  protocol->ConnectionLost(end);
  if (on_lost) on_lost(*this);
}

std::shared_ptr<RemoteHandle> RemoteTransport::Detach() {
  DropSendfile();
  DropStartTls();
  RemoteSession* const session = std::exchange(session_, nullptr);
  state_ = State::kLost;
  plain_protocol_ = nullptr;
  buffered_protocol_ = nullptr;
  pending_.Clear();
  held_data_.clear();
  held_eof_ = false;
  held_end_.reset();
  std::shared_ptr<RemoteHandle> self = session->RemoveTransport(id_);
  paused_writer_.Set(*session, false);
  session->Written(issued_bytes_ - sent_bytes_);
  return self;
}

void RemoteTransport::OnLoopDestroyed() {
  // Moved out, because its destructor may call back.
  const std::shared_ptr<BaseProtocol> protocol = std::move(protocol_);
  const auto on_lost = std::move(on_lost_);
  // They hold the operation, which holds this.
  const auto issue_sendfile = std::exchange(issue_sendfile_, nullptr);
  const auto issue_start_tls = std::exchange(issue_start_tls_, nullptr);
  state_ = State::kLost;
  plain_protocol_ = nullptr;
  buffered_protocol_ = nullptr;
  session_ = nullptr;
  pending_.Clear();
  held_data_.clear();
  held_end_.reset();
}

// --- Socket options

void RemoteTransport::Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) {
  AssertInLoopThread();
  if (session_ == nullptr) return done(TransportLost());
  RequestGetsockopt(*session_, id_, option, std::move(done));
}

void RemoteTransport::Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) {
  AssertInLoopThread();
  if (session_ == nullptr) return done(TransportLost());
  RequestSetsockopt(*session_, id_, option, value, std::move(done));
}

}  // namespace transportd
