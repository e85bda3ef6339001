#include "server/session/session.h"

#include <algorithm>
#include <utility>

#include "server/session/convert.h"
#include "server/session/server_handle.h"
#include "transports/api/error.h"
#include "transports/base/logging.h"
#include "transports/base/str_cat.h"

namespace transportd {

namespace {

using absl::StatusCode;

constexpr uint32_t kRevision = 1;
constexpr uint64_t kSmallestWindowBytes = 4096;
constexpr size_t kLongestClientNameBytes = 128;
constexpr Duration kDefaultLease = std::chrono::seconds(60);
constexpr Duration kShortestLease = std::chrono::seconds(1);
constexpr Duration kLongestLease = std::chrono::hours(1);
// How long an ending session waits for a client that does not read what is left.
constexpr Duration kEndTimeout = std::chrono::seconds(5);
// A frame with up to this many commands is carried out at once; a longer one is looked at every so often, and goes on
// in the next turn when it has had its slice of this one.
constexpr size_t kEntriesAtOnce = 256;
constexpr size_t kShortFrameBytes = 4096;
constexpr size_t kEntriesBetweenLooks = 16;
constexpr Duration kSlice = std::chrono::milliseconds(2);
// When data alone goes out although an earlier frame of data is not acknowledged; as
// SessionRequest.acknowledged_sequence says.
constexpr uint64_t kWorthyFrameBytes = 128 * 1024;
constexpr Duration kLongestHold = std::chrono::milliseconds(1);
// What may wait to be sent, and what one read of bulk adds to it. More would only add to how long a small message waits
// behind it.
constexpr int64_t kMostOutboxBytes = 2 * 1024 * 1024;
constexpr int64_t kUsualReadBytes = 64 * 1024;
// When write_progress alone makes a frame, unless the client wants it at once: a small reply mostly comes sooner, and
// takes it along. As SessionRequest.prompt_write_progress says.
constexpr uint64_t kWorthyProgressBytes = 16 * 1024;
constexpr Duration kLongestProgressDelay = std::chrono::milliseconds(5);
// How often a session that the service's budget holds up looks again.
constexpr Duration kBudgetRetry = std::chrono::milliseconds(10);
// How often a frame is read of a client that has written more than its share while a budget is used up.
constexpr Duration kHeldFramePeriod = std::chrono::milliseconds(100);
// When it is first looked whether what a program left has ended, and how rarely in the end: nothing tells.
constexpr Duration kFirstPrune = std::chrono::milliseconds(50);
constexpr Duration kRarestPrune = std::chrono::seconds(10);

absl::Status BadFrame(std::string_view message) {
  return MakeError(StatusCode::kInvalidArgument, "BAD_FRAME", message);
}

absl::Status NoLongerAllowed(std::string_view what) {
  return MakeError(StatusCode::kPermissionDenied, "POLICY_DENIED",
                   StrCat("the policy does not allow this ", what, " any more"));
}

}  // namespace

absl::Status EndedByOperator() {
  return MakeError(StatusCode::kAborted, "ENDED_BY_OPERATOR", "an operator of the service ended it");
}

Session::Session(EpollEventLoop& loop, Options options)
    : loop_(loop), options_(std::move(options)), open_time_(std::chrono::system_clock::now()) {}

// On whatever thread let go last: the loop is not touched.
Session::~Session() { options_.budget->AddBufferedBytes(-accounted_bytes_); }

// --- Opening ---------------------------------------------------------------------------------------------------------

void Session::StartStreaming(std::shared_ptr<FrameStream> stream) {
  stream_ = std::move(stream);
  stream_->Start(loop_.reactor(), weak_from_this());
  AskForFrame();
}

absl::StatusOr<v1::Opened> Session::StartUnary(const v1::Open& open) {
  if (absl::Status status = Open(open); !status.ok()) return status;
  v1::Opened opened;
  opened.set_session_id(options_.id);
  opened.set_revision(kRevision);
  ToProto(options_.limits, *opened.mutable_limits());
  opened.set_instance_target(options_.instance_target);
  opened.mutable_lease()->set_seconds(std::chrono::duration_cast<std::chrono::seconds>(lease_).count());
  RestartLease();
  return opened;
}

absl::Status Session::Open(const v1::Open& open) {
  if (open.revision() != kRevision) {
    return MakeError(StatusCode::kInvalidArgument, "UNSUPPORTED_REVISION",
                     StrCat("revision ", open.revision(), " is not spoken here; open.revision must be ", kRevision));
  }
  if (open.acknowledged() && !options_.streaming) {
    return InvalidArgument("NOT_STREAMING", "open.acknowledged",
                           "must be false: only the Session stream can acknowledge");
  }
  if (open.client_name().size() > kLongestClientNameBytes) {
    return InvalidArgument("INVALID_CLIENT_NAME", "open.client_name",
                           StrCat("may have ", kLongestClientNameBytes, " bytes at the most"));
  }
  if (open.has_receive_window_bytes()) {
    if (open.receive_window_bytes() < kSmallestWindowBytes) {
      return InvalidArgument("INVALID_WINDOW", "open.receive_window_bytes",
                             StrCat("must be at least ", kSmallestWindowBytes));
    }
    options_.limits.receive_window_bytes = std::min(options_.limits.receive_window_bytes, open.receive_window_bytes());
    options_.limits.max_receive_window_bytes = options_.limits.receive_window_bytes;
  }
  const Duration lease = open.has_lease() ? FromProto(open.lease()) : Duration{0};
  if (options_.streaming) {
    if (lease != Duration{0}) {
      return InvalidArgument("INVALID_LEASE", "open.lease",
                             "must be unset or 0: a session on the Session stream ends with its stream");
    }
  } else {
    lease_ = open.has_lease() ? lease : kDefaultLease;
    if (lease_ < kShortestLease || lease_ > kLongestLease) {
      return InvalidArgument("INVALID_LEASE", "open.lease", "must be from 1 s to 1 h");
    }
  }
  // The policy may have changed since its guard was made, when Recheck did not know of it.
  if (options_.guard != nullptr && !options_.guard->StillAllows(Action())) {
    return NoLongerAllowed("session");
  }
  acknowledged_ = open.acknowledged();
  client_name_ = open.client_name();
  state_ = State::kOpen;
  stats().opened_session_count.Add();
  open_at_ = active_at_ = loop_.Time();
  StartBounds();
  // What clients that keep to their windows have written is within their principal's quota, whoever of its sessions it
  // is: nobody is held up who could not have known. What is received is held back at its sockets instead.
  SessionLimits& limits = options_.limits;
  for (uint64_t* const window :
       {&limits.receive_window_bytes, &limits.max_receive_window_bytes, &limits.session_receive_window_bytes}) {
    *window = std::min(*window, bounds_.buffered_bytes / 2);
  }
  const uint64_t send_window_bytes = std::max(kSmallestWindowBytes, bounds_.buffered_share_bytes / 2);
  for (uint64_t* const window : {&limits.send_window_bytes, &limits.session_send_window_bytes}) {
    *window = std::min(*window, send_window_bytes);
  }

  v1::Opened opened;
  opened.set_revision(kRevision);
  opened.set_session_id(options_.id);
  opened.mutable_lease()->set_seconds(std::chrono::duration_cast<std::chrono::seconds>(lease_).count());
  opened.set_instance_target(options_.instance_target);
  ToProto(options_.limits, *opened.mutable_limits());
  outbox_ = std::make_unique<Outbox>(options_.limits.max_server_frame_bytes, /*keep_shares=*/!acknowledged_);
  outbox_->AppendOpened(opened);
  if (drain_deadline_) EmitDraining();
  ScheduleFlush();
  return absl::OkStatus();
}

void Session::RestartLease() {
  loop_.CancelTimer(std::exchange(lease_timer_, 0));
  if (options_.streaming || stream_ != nullptr || !calls_.empty() || state_ != State::kOpen) return;
  lease_timer_ = loop_.CallLater(lease_, [this] {
    lease_timer_ = 0;
    End(absl::OkStatus(), std::nullopt);
  });
}

absl::StatusOr<std::shared_ptr<OperationGate>> Session::BeginOperation(Call& call, GuardedOperation operation) {
  if (options_.guard == nullptr) return nullptr;
  absl::StatusOr<std::shared_ptr<OperationGate>> gate = options_.guard->Begin(std::move(operation));
  if (gate.ok()) call.SetGate(*gate);
  return gate;
}

void Session::AddSettings(uint32_t id, const std::vector<Need>& needs) {
  const absl::StatusOr<Handle*> handle = FindHandle(id);
  if (needs.empty() || !handle.ok() || *handle == nullptr) return;
  (*handle)->AddSettings(needs);
  RecheckSoon(**handle);
}

void Session::RemoveSettings(uint32_t id, const std::vector<Need>& needs) {
  const absl::StatusOr<Handle*> handle = FindHandle(id);
  if (handle.ok() && *handle != nullptr) (*handle)->RemoveSettings(needs);
}

void Session::StartBounds() {
  loop_.CancelTimer(std::exchange(age_timer_, 0));
  loop_.CancelTimer(std::exchange(idle_timer_, 0));
  if (options_.guard == nullptr || state_ != State::kOpen) return;
  bounds_ = options_.guard->GetBounds();
  if (bounds_.age) {
    age_timer_ = loop_.CallAt(open_at_ + *bounds_.age, [this] {
      age_timer_ = 0;
      Expire("is as old as its quota allows");
    });
  }
  if (bounds_.idle) {
    idle_timer_ = loop_.CallAt(active_at_ + *bounds_.idle, [this] {
      idle_timer_ = 0;
      CheckIdle();
    });
  }
}

void Session::Drain(Duration time_left) {
  if (drain_deadline_) return;
  drain_deadline_ = loop_.Time() + time_left;
  if (state_ == State::kOpen) EmitDraining();
}

void Session::EmitDraining() {
  v1::Callback callback;
  ToProto(std::max(*drain_deadline_ - loop_.Time(), Duration{0}), *callback.mutable_draining()->mutable_time_left());
  Emit(callback);
}

void Session::CheckIdle() {
  if (!handles_.empty() || !calls_.empty()) active_at_ = loop_.Time();
  if (bounds_.idle && loop_.Time() - active_at_ >= *bounds_.idle) return Expire("was idle as long as its quota allows");
  StartBounds();
}

void Session::Expire(std::string_view what) {
  expired_ = true;
  End(MakeError(StatusCode::kDeadlineExceeded, "SESSION_EXPIRED", StrCat("the session ", what)), std::nullopt);
}

void Session::Recheck() {
  if (options_.guard == nullptr || state_ > State::kOpen) return;
  if (!options_.guard->StillAllows(Action())) {
    End(NoLongerAllowed("session"), EndCause::kPolicyRevoked);
    return;
  }
  std::vector<CallPtr> denied_calls;
  for (const auto& [number, call] : calls_) {
    if (!IsStillAllowed(*call)) denied_calls.push_back(call);
  }
  std::vector<std::shared_ptr<Handle>> denied;
  for (const auto& [id, handle] : handles_) {
    if (!IsStillAllowed(*handle)) denied.push_back(handle);
  }
  // Before a call that ends takes its transport along.
  for (const std::shared_ptr<Handle>& handle : denied) SetEndedBy(EndCause::kPolicyRevoked, *handle);
  for (const CallPtr& call : denied_calls) call->Revoke();
  for (const std::shared_ptr<Handle>& handle : denied) handle->End();
  StartBounds();
  ScheduleFlush();
}

bool Session::IsStillAllowed(const Handle& handle) const {
  if (options_.guard == nullptr) return true;
  const auto is_allowed = [this](const auto& entry) { return options_.guard->StillAllows(ActionOf(entry.first)); };
  return handle.IsStillAllowed() && std::all_of(handle.settings().begin(), handle.settings().end(), is_allowed);
}

bool Session::IsStillAllowed(const Call& call) const {
  if (call.gate() != nullptr && !call.gate()->StillAllows(nullptr, nullptr, /*accepted=*/false)) return false;
  const auto is_allowed = [this](const Need& need) { return options_.guard->StillAllows(ActionOf(need)); };
  return std::all_of(call.needs().begin(), call.needs().end(), is_allowed);
}

void Session::RecheckSoon(const Handle& handle) {
  if (IsStillAllowed(handle)) return;
  loop_.CallSoon([weak_session = weak_from_this(), id = handle.id()] {
    const std::shared_ptr<Session> session = weak_session.lock();
    if (session == nullptr) return;
    const auto found = session->handles_.find(id);
    if (found != session->handles_.end()) {
      session->EndBy(EndCause::kPolicyRevoked, *std::shared_ptr<Handle>(found->second));
    }
  });
}

bool Session::EndTransport(uint32_t id) {
  const auto found = handles_.find(id);
  if (found == handles_.end()) return false;
  EndBy(EndCause::kOperator, *std::shared_ptr<Handle>(found->second));
  return true;
}

void Session::EndBy(EndCause cause, Handle& handle) {
  SetEndedBy(cause, handle);
  handle.End();
}

void Session::SetEndedBy(EndCause cause, Handle& handle) {
  handle.SetEndedBy(cause);
  if (handle.kind() != Handle::Kind::kServer) return;
  for (const auto& [id, other] : handles_) {
    if (other->server_id() == handle.id()) other->SetEndedBy(cause);
  }
}

void Session::AttachCallbacks(std::shared_ptr<FrameStream> stream) {
  if (state_ == State::kEnded) {
    stream->Finish(MakeError(StatusCode::kNotFound, "UNKNOWN_SESSION", "the session has ended"));
    return;
  }
  if (options_.streaming || stream_ != nullptr) {
    stream->Finish(MakeError(StatusCode::kFailedPrecondition, "CALLBACKS_ATTACHED",
                             "another stream is reading this session's callbacks; one may at a time"));
    return;
  }
  stream_ = std::move(stream);
  stream_->Start(loop_.reactor(), weak_from_this());
  RestartLease();
  ScheduleFlush();
}

// --- Frames in -------------------------------------------------------------------------------------------------------

bool Session::MayReadFrame() const {
  return stream_ != nullptr && options_.streaming && !half_closed_ && state_ <= State::kOpen &&
         over_send_window_count_ == 0 &&
         write_buffer_bytes_ <= static_cast<int64_t>(options_.limits.session_send_window_bytes) &&
         OutboxBytes() <= options_.limits.session_receive_window_bytes && !frame_unfinished_ && !HoldsBackFrames();
}

bool Session::HoldsBackFrames() const {
  // For what they may add. But frames also acknowledge, close and abort, which is how buffers empty: so not for good.
  return loop_.Time() - frame_time_ < kHeldFramePeriod && IsOverBudget(write_buffer_bytes_);
}

bool Session::IsOverBudget(int64_t held_bytes) const {
  const auto bytes = static_cast<uint64_t>(held_bytes);
  if (bytes > options_.budget->BufferedShareBytes() && options_.budget->OverBufferedBytes()) return true;
  return bytes > bounds_.buffered_share_bytes && options_.guard->PrincipalBufferedBytes() > bounds_.buffered_bytes;
}

int64_t Session::UnreadBytes() const {
  // What is unacknowledged may still be in the outbox, and what is in the outbox may be of transports that are lost.
  return std::max(unacknowledged_bytes_, static_cast<int64_t>(OutboxBytes()));
}

void Session::AskForFrame() {
  if (reading_frame_ || !MayReadFrame()) return;
  reading_frame_ = true;
  stream_->ReadFrame();
}

void Session::OnFrame(std::span<const std::string_view> pieces) {
  reading_frame_ = false;
  uint64_t frame_bytes = 0;
  for (const std::string_view piece : pieces) frame_bytes += piece.size();
  stats().received_frame_bytes.Record(frame_bytes);
  frame_time_ = loop_.Time();
  if (idle_timer_ != 0) active_at_ = loop_.Time();
  if (state_ > State::kOpen || stream_ == nullptr) return;
  absl::Status status = ReadFrame(pieces, FrameKind::kCommands, frame_)
                            ? BeginFrame(frame_)
                            : BadFrame("the message is no SessionRequest, or has more than 65,536 commands");
  if (status.ok()) {
    next_entry_ = 0;
    // The next one travels while this one runs, unless this one is run sooner than asked: gRPC answers the client with
    // a packet of its own.
    const bool is_short = pieces.size() <= 1 && (pieces.empty() || pieces.front().size() <= kShortFrameBytes);
    if (!is_short && frame_.entries.size() <= kEntriesAtOnce) AskForFrame();
    status = RunEntries();
  }
  if (status.ok() && frame_unfinished_) {
    for (const std::string_view piece : pieces) kept_frame_.append(piece);
    ReadFrame(kept_frame_, frame_);
  } else {
    frame_.Rest();
  }
  if (!status.ok()) EndStream(std::move(status));
  ScheduleFlush();
}

absl::Status Session::RunEntries() {
  frame_unfinished_ = false;
  const TimePoint begin = loop_.reactor().clock().Now();
  while (next_entry_ < frame_.entries.size() && state_ == State::kOpen) {
    if (absl::Status status = RunEntry(frame_.entries[next_entry_++]); !status.ok()) {
      SendGathered();
      return status;
    }
    // A frame of very many commands must not hold up the other sessions of this loop.
    if (next_entry_ % kEntriesBetweenLooks == 0 && next_entry_ >= kEntriesAtOnce &&
        next_entry_ < frame_.entries.size() && loop_.reactor().clock().Now() - begin > kSlice) {
      SendGathered();
      frame_unfinished_ = true;
      loop_.CallSoon([session = shared_from_this()] { session->RunRestOfFrame(); });
      return absl::OkStatus();
    }
  }
  SendGathered();
  ++client_sequence_;
  return absl::OkStatus();
}

void Session::RunRestOfFrame() {
  if (state_ != State::kOpen) return;
  absl::Status status = RunEntries();
  if (!frame_unfinished_) {
    kept_frame_ = std::string();
    frame_.Rest();
  }
  if (!status.ok()) EndStream(std::move(status));
  ScheduleFlush();
}

absl::Status Session::BeginFrame(const FrameView& frame) {
  if (frame.sequence != client_sequence_ + 1) {
    return BadFrame(StrCat("frame number ", frame.sequence, " where sequence must be ", client_sequence_ + 1));
  }
  if (state_ == State::kOpening) {
    if (!frame.opening.has_value()) {
      return MakeError(StatusCode::kInvalidArgument, "OPEN_EXPECTED", "the first frame must have `open`");
    }
    v1::Open open;
    if (!open.ParseFromArray(frame.opening->data(), static_cast<int>(frame.opening->size()))) {
      return BadFrame("`open` is no Open");
    }
    if (absl::Status status = Open(open); !status.ok()) return status;
  } else if (frame.opening.has_value()) {
    return MakeError(StatusCode::kInvalidArgument, "OPEN_REPEATED", "only the first frame may have `open`");
  }
  if (frame.acknowledged_sequence > outbox_->sequence()) {
    return BadFrame(StrCat("acknowledged_sequence ", frame.acknowledged_sequence, " where ", outbox_->sequence(),
                           " was the last sent"));
  }
  acknowledged_data_frame_ = std::max(acknowledged_data_frame_, frame.acknowledged_sequence);
  prompt_progress_ = frame.prompt_write_progress;
  for (std::string_view bytes : frame.acknowledgements) {
    if (absl::Status status = RunAcknowledgement(bytes); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Session::RunAcknowledgement(std::string_view bytes) {
  if (!acknowledged_) return BadFrame("acknowledgements in a session that was opened without open.acknowledged");
  const std::optional<AcknowledgementView> acknowledgement = ReadAcknowledgement(bytes);
  if (!acknowledgement.has_value()) return BadFrame("an acknowledgement is no Acknowledgement");
  FlowHandle* const flow = FindFlow(acknowledgement->transport_id);
  if (flow == nullptr || flow->Acknowledge(acknowledgement->data_bytes, acknowledgement->data_count)) {
    return absl::OkStatus();
  }
  return BadFrame(StrCat("transport ", flow->id(), ": more is acknowledged than was sent"));
}

absl::Status Session::RunEntry(const EntryView& entry) {
  if (const std::optional<HotEntry> hot = ReadHotCommand(entry)) {
    if (hot->kind == HotEntry::Kind::kData) {
      RunWrite(*hot);
      return absl::OkStatus();
    }
    v1::Datagram& datagram = *sendto_request_.mutable_datagram();
    if (hot->address && (!datagram.has_address() || *hot->address != sendto_address_bytes_)) {
      if (!datagram.mutable_address()->ParseFromArray(hot->address->data(), static_cast<int>(hot->address->size()))) {
        datagram.clear_address();
        return BadFrame("a command is no Command");
      }
      sendto_address_bytes_ = *hot->address;
    }
    RunSendTo(*hot, hot->address ? &datagram.address() : nullptr);
    return absl::OkStatus();
  }
  if (!command_.ParseFromArray(entry.bytes.data(), static_cast<int>(entry.bytes.size()))) {
    return BadFrame("a command is no Command");
  }
  if (command_.command_case() == v1::Command::kWrite) {
    RunWrite({.transport_id = command_.transport_id(), .request_id = command_.request_id(), .data = command_.write()});
    return absl::OkStatus();
  }
  SendGathered();
  if (command_.command_case() == v1::Command::kSendto) {
    *sendto_request_.mutable_datagram() = command_.sendto();
    sendto_request_.mutable_datagram()->clear_data();
    sendto_address_bytes_.clear();
    RunSendTo({.kind = HotEntry::Kind::kDatagram,
               .transport_id = command_.transport_id(),
               .request_id = command_.request_id(),
               .data = command_.sendto().data()},
              command_.sendto().has_address() ? &command_.sendto().address() : nullptr);
    SendGathered();
    return absl::OkStatus();
  }
  Run(command_, MakeCall(command_.request_id(), nullptr), /*from_stream=*/true);
  return absl::OkStatus();
}

// --- Frames out ------------------------------------------------------------------------------------------------------

void Session::Emit(const v1::Callback& callback) {
  outbox_->Append(callback);
  ScheduleFlush();
}

void Session::EmitConnectionLost(uint32_t id, const ConnectionEnd& end, const DatagramCounts* datagrams) {
  v1::Callback callback;
  callback.set_transport_id(id);
  v1::ConnectionLost& lost = *callback.mutable_connection_lost();
  const auto found = handles_.find(id);
  const Handle* const handle = found == handles_.end() ? nullptr : found->second.get();
  ConnectionEnd told = end;
  if (end_cause_.has_value() && end.cause == EndCause::kLocalAbort) {
    told.cause = *end_cause_;
    told.status = end_status_;
  } else if (handle != nullptr && handle->ended_by() && end.cause == EndCause::kLocalAbort) {
    told.cause = *handle->ended_by();
    told.status = told.cause == EndCause::kOperator ? EndedByOperator() : NoLongerAllowed("transport");
  }
  stats().lost_count[static_cast<size_t>(told.cause)].Add();
  if (datagrams != nullptr) {
    stats().dropped_received_count.Add(datagrams->dropped_received_count);
    stats().dropped_sent_count.Add(datagrams->dropped_sent_count);
  }
  ToProto(told, lost);
  if (handle != nullptr && handle->gate() != nullptr) {
    handle->gate()->Closed({.transport_id = id,
                            .received_bytes = told.received_bytes,
                            .sent_bytes = told.sent_bytes,
                            .duration = handle->age(),
                            .cause = EndCauseName(told.cause),
                            .returncode = handle->Returncode(),
                            .accepted = handle->server_id() != 0});
  }
  if (datagrams != nullptr) ToProto(*datagrams, *lost.mutable_datagrams());
  Emit(callback);
}

void Session::AddUnsettled(uint32_t id) {
  unsettled_.push_back(id);
  ScheduleFlush();
}

void Session::AddUnacknowledged(int64_t delta_bytes) {
  unacknowledged_bytes_ += delta_bytes;
  AccountBuffers();
  // Not at the end of the turn: many sockets may be readable in this one.
  if (delta_bytes > 0) UpdateReceiving();
}

void Session::AddWriteBuffer(int64_t delta_bytes) {
  write_buffer_bytes_ += delta_bytes;
  AccountBuffers();
}

void Session::AccountBuffers() {
  const int64_t held_bytes = write_buffer_bytes_ + UnreadBytes();
  if (held_bytes == accounted_bytes_) return;
  options_.budget->AddBufferedBytes(held_bytes - std::exchange(accounted_bytes_, held_bytes));
  if (options_.guard != nullptr) options_.guard->SetBufferedBytes(static_cast<uint64_t>(held_bytes));
}

void Session::ScheduleFlush() {
  if (flush_scheduled_) return;
  flush_scheduled_ = true;
  loop_.reactor().AtTurnEnd([session = shared_from_this()] { session->Flush(); });
}

void Session::Flush() {
  flush_scheduled_ = false;
  if (state_ == State::kEnded) return;
  for (const uint32_t id : std::exchange(unsettled_, {})) {
    if (FlowHandle* const flow = FindFlow(id); flow != nullptr) flow->SettleWrites();
  }
  AccountBuffers();
  SendNextFrame();
  UpdateReceiving();
  ResumeReceiving();
  AskForFrame();
  CheckEnded();
}

void Session::SendNextFrame() {
  if (stream_ == nullptr || outbox_ == nullptr || outbox_->sending()) return;
  if (MustTellProgress()) {
    for (const uint32_t id : progress_due_) {
      if (FlowHandle* const flow = FindFlow(id); flow != nullptr) flow->EmitProgress();
    }
    progress_due_.clear();
    unreported_bytes_ = 0;
    progress_is_late_ = false;
  }
  server_exception_told_ = false;
  if (outbox_->empty() || MustHoldFrame()) return;
  if (outbox_->only_data()) {
    data_frame_ = outbox_->sequence() + 1;
    data_frame_time_ = loop_.Time();
  }
  stats().sent_callback_count.Add(outbox_->next_callback_count());
  FrameBuffer frame = outbox_->TakeFrame(client_sequence_, write_buffer_bytes_ == 0);
  stats().sent_frame_bytes.Record(frame.size());
  stream_->SendFrame(std::move(frame));
}

// As TCP holds a small segment while one is unacknowledged (RFC 896): what a frame costs, it costs once for all the
// transports whose data is in it. A client that answers what it was sent acknowledges with its answer.
bool Session::MustHoldFrame() {
  const uint64_t worthy_bytes = std::min(kWorthyFrameBytes, options_.limits.receive_window_bytes / 4);
  if (!acknowledged_ || !outbox_->only_data() || OutboxBytes() >= worthy_bytes) return false;
  if (acknowledged_data_frame_ >= data_frame_) return false;
  if (loop_.Time() - data_frame_time_ >= kLongestHold) return false;
  if (hold_timer_ == 0) {
    hold_timer_ = loop_.CallLater(kLongestHold, [this] {
      hold_timer_ = 0;
      ScheduleFlush();
    });
  }
  return true;
}

bool Session::MustTellProgress() {
  if (progress_due_.empty()) return false;
  if (prompt_progress_ || progress_is_late_ || state_ != State::kOpen) return true;
  if (unreported_bytes_ >= std::min(kWorthyProgressBytes, options_.limits.send_window_bytes / 4)) return true;
  if (progress_timer_ == 0) StartProgressTimer();
  progress_waited_ = true;
  return false;
}

void Session::StartProgressTimer() {
  progress_timer_ = loop_.CallLater(kLongestProgressDelay, [this] {
    progress_timer_ = 0;
    // Among many small writes it stays set: a timer that is set in a turn that was lent wakes the loop's thread.
    if (std::exchange(progress_waited_, false)) StartProgressTimer();
    if (progress_due_.empty()) return;
    progress_is_late_ = true;
    ScheduleFlush();
  });
}

void Session::OnFrameSent() {
  for (const DataShare& share : outbox_->FrameSent()) {
    if (FlowHandle* const flow = FindFlow(share.transport_id); flow != nullptr) {
      flow->Delivered(share.data_bytes, share.data_count);
    }
  }
  ScheduleFlush();
}

void Session::UpdateReceiving() {
  const auto limit_bytes = static_cast<int64_t>(options_.limits.session_receive_window_bytes);
  const auto outbox_limit_bytes = std::min(limit_bytes, kMostOutboxBytes);
  // Not for what is written: the peer may read it only when it is read from.
  const bool over_budget = IsOverBudget(UnreadBytes());
  // Once stopped, each begins again only when a quarter is free.
  window_is_open_ = unacknowledged_bytes_ < limit_bytes / 4 * (window_is_open_ ? 4 : 3) && !over_budget;
  outbox_has_room_ = static_cast<int64_t>(OutboxBytes()) < outbox_limit_bytes / 4 * (outbox_has_room_ ? 4 : 3);
  if (budget_timer_ == 0 && (over_budget || IsOverBudget(write_buffer_bytes_))) {
    // What frees the budget may be another loop's, which does not tell.
    budget_timer_ = loop_.CallLater(kBudgetRetry, [this] {
      budget_timer_ = 0;
      ScheduleFlush();
    });
  }
}

bool Session::MayReceive(bool is_quiet) const {
  if (!window_is_open_) return false;
  const auto limit_bytes = static_cast<int64_t>(options_.limits.session_receive_window_bytes);
  return outbox_has_room_ ||
         (is_quiet && static_cast<int64_t>(OutboxBytes()) < std::min(limit_bytes, 2 * kMostOutboxBytes));
}

void Session::ResumeReceiving() {
  if (!window_is_open_ || !outbox_has_room_) return;
  // With nothing to send there will be no other occasion.
  const bool all = OutboxBytes() == 0;
  int64_t room_bytes = kMostOutboxBytes - static_cast<int64_t>(OutboxBytes());
  for (size_t count = waiting_to_receive_.size(); count > 0 && (all || room_bytes > 0); --count) {
    FlowHandle* const flow = FindFlow(waiting_to_receive_.front());
    waiting_to_receive_.pop_front();
    if (flow != nullptr && flow->ResumeReceiving()) room_bytes -= kUsualReadBytes;
  }
}

// --- Ending ----------------------------------------------------------------------------------------------------------

void Session::OnHalfClosed() {
  reading_frame_ = false;
  half_closed_ = true;
  End(absl::OkStatus(), std::nullopt);
}

void Session::OnLost() {
  stream_ = nullptr;
  reading_frame_ = false;
  if (options_.streaming) {
    End(absl::OkStatus(), std::nullopt);
    ScheduleFlush();
    return;
  }
  // The reader of a unary session's callbacks: what it was being sent may be lost, and counts as delivered.
  if (outbox_->sending()) OnFrameSent();
  RestartLease();
  ScheduleFlush();
}

void Session::EndStream(absl::Status status) {
  if (stream_ != nullptr) std::exchange(stream_, nullptr)->Finish(status);
  End(std::move(status), std::nullopt);
}

void Session::End(absl::Status status, std::optional<EndCause> cause, absl::AnyInvocable<void()> ended) {
  if (state_ == State::kEnded) {
    // It was still found when this was asked for.
    if (ended != nullptr) ended();
    return;
  }
  if (ended != nullptr) end_waiters_.push_back(std::move(ended));
  ScheduleFlush();
  if (state_ == State::kEnding) return;
  state_ = State::kEnding;
  end_status_ = std::move(status);
  end_cause_ = cause;
  loop_.CancelTimer(std::exchange(lease_timer_, 0));
  loop_.CancelTimer(std::exchange(age_timer_, 0));
  loop_.CancelTimer(std::exchange(idle_timer_, 0));
  loop_.CancelTimer(std::exchange(prune_timer_, 0));
  end_timer_ = loop_.CallLater(kEndTimeout, [this] {
    end_timer_ = 0;
    // A client that does not read has waited long enough to hear the rest.
    if (stream_ != nullptr) {
      std::exchange(stream_, nullptr)
          ->Finish(MakeError(StatusCode::kDeadlineExceeded, "CLIENT_NOT_READING",
                             "the session ended, and the client did not read what was left"));
    }
    ScheduleFlush();
  });
  const std::map<uint64_t, CallPtr> calls = calls_;
  const bool is_revoked = cause == EndCause::kPolicyRevoked;
  for (const auto& [number, call] : calls) is_revoked ? call->Revoke() : call->Cancel();
  std::vector<std::shared_ptr<Handle>> handles;
  for (const auto& [id, handle] : handles_) {
    if (is_revoked || cause == EndCause::kOperator) handle->SetEndedBy(*cause);
    handles.push_back(handle);
  }
  for (const auto& handle : handles) handle->End();
  left_processes_.Kill();
}

void Session::CheckEnded() {
  if (state_ != State::kEnding || !calls_.empty() || !handles_.empty()) return;
  if (stream_ != nullptr) {
    if (outbox_ != nullptr && (outbox_->sending() || !outbox_->empty())) return;
    std::exchange(stream_, nullptr)->Finish(end_status_);
  }
  state_ = State::kEnded;
  loop_.CancelTimer(std::exchange(end_timer_, 0));
  loop_.CancelTimer(std::exchange(budget_timer_, 0));
  loop_.CancelTimer(std::exchange(hold_timer_, 0));
  loop_.CancelTimer(std::exchange(progress_timer_, 0));
  if (options_.guard != nullptr)
    options_.guard->Closed(end_status_.ok() ? "" : ErrorProto(end_status_).reason(), expired_);
  // Whoever hears that it has ended does not find it any more.
  std::exchange(options_.on_ended, nullptr)();
  for (auto& ended : std::exchange(end_waiters_, {})) ended();
}

// --- The table -------------------------------------------------------------------------------------------------------

absl::StatusOr<std::shared_ptr<void>> Session::TakePlace() {
  if (*place_count_ >= options_.limits.max_transport_count) left_processes_.Prune();
  if (*place_count_ >= options_.limits.max_transport_count) {
    return MakeError(
        StatusCode::kResourceExhausted, "TOO_MANY_TRANSPORTS",
        StrCat("the session has ", *place_count_, " transports, those under way included, the most that it may"));
  }
  std::shared_ptr<void> of_service = options_.budget->TakeTransport();
  if (of_service == nullptr) {
    return MakeError(StatusCode::kResourceExhausted, "TOO_MANY_TRANSPORTS",
                     "the service has as many transports as it may");
  }
  std::shared_ptr<void> of_principal;
  if (options_.guard != nullptr) {
    absl::StatusOr<std::shared_ptr<void>> taken = options_.guard->TakeTransport();
    if (!taken.ok()) return taken.status();
    of_principal = *std::move(taken);
  }
  ++*place_count_;
  return std::shared_ptr<void>(place_count_.get(), [count = place_count_, of_service = std::move(of_service),
                                                    of_principal = std::move(of_principal)](void*) { --*count; });
}

absl::StatusOr<Handle*> Session::FindHandle(uint32_t id) const {
  if (const auto found = handles_.find(id); found != handles_.end()) return found->second.get();
  if (id != 0 && id <= last_id_) return nullptr;
  return MakeError(StatusCode::kNotFound, "UNKNOWN_TRANSPORT",
                   StrCat("this session never had a transport or server ", id));
}

FlowHandle* Session::FindFlow(uint32_t id) const {
  const auto found = handles_.find(id);
  return found == handles_.end() ? nullptr : found->second->flow();
}

bool Session::Adopt(std::shared_ptr<Handle> handle) {
  if (state_ != State::kOpen || last_id_ == UINT32_MAX) return false;
  const auto found = handles_.find(handle->server_id());
  auto* const server = found == handles_.end() ? nullptr : static_cast<ServerHandle*>(found->second.get());
  if (!handle->has_place()) {
    absl::StatusOr<std::shared_ptr<void>> place = TakePlace();
    if (OutboxBytes() > 2 * options_.limits.session_receive_window_bytes) {
      place = MakeError(StatusCode::kResourceExhausted, "CALLBACKS_UNREAD", "the client does not read its callbacks");
    }
    if (!place.ok()) {
      if (server != nullptr) {
        OnServerException({.message = "an accepted connection was reset: there is no room for it",
                           .status = place.status(),
                           .server = &server->server()});
      }
      return false;
    }
    handle->SetPlace(*std::move(place));
  }
  if (server != nullptr) {
    handle->SetGate(server->gate());
    handle->CopySettings(*server);
  }
  handle->set_id(++last_id_);
  LogTransport("a transport was made", *handle);
  stats().opened_count[static_cast<size_t>(handle->kind())].Add();
  handles_.emplace(handle->id(), handle);
  RecheckSoon(*handle);
  return true;
}

void Session::LogTransport(std::string_view what, const Handle& handle) const {
  if (!LogEnabled(LogLevel::kDebug)) return;
  Log(LogLevel::kDebug, what,
      {{"session", prefix()},
       {"transport", StrCat(handle.id())},
       {"principal", options_.caller.principal},
       {"trace_id", options_.caller.trace.trace_id},
       {"span_id", options_.caller.trace.span_id}});
}

void Session::Remove(Handle& handle) {
  LogTransport("a transport has ended", handle);
  stats().closed_count[static_cast<size_t>(handle.kind())].Add();
  handle.SetPlace(nullptr);
  const auto found = handles_.find(handle.id());
  loop_.reactor().DeferredDelete(std::move(found->second));
  handles_.erase(found);
  ScheduleFlush();
}

void Session::KeepProcesses(std::shared_ptr<LocalSubprocess> subprocess, std::shared_ptr<void> place) {
  left_processes_.Keep(std::move(subprocess), std::move(place));
  if (state_ >= State::kEnding) return left_processes_.Kill();
  loop_.CancelTimer(std::exchange(prune_timer_, 0));
  PruneLeftProcesses(kFirstPrune);
}

void Session::PruneLeftProcesses(Duration after) {
  if (left_processes_.empty()) return;
  prune_timer_ = loop_.CallLater(after, [this, after] {
    prune_timer_ = 0;
    left_processes_.Prune();
    PruneLeftProcesses(std::min(2 * after, kRarestPrune));
  });
}

// --- What is told of it --------------------------------------------------------------------------------------------

namespace {

bool IsOf(Handle& handle, const Server& server) {
  return handle.kind() == Handle::Kind::kServer && &static_cast<ServerHandle&>(handle).server() == &server;
}

}  // namespace

bool Session::Owns(const Server& server) const {
  return std::any_of(handles_.begin(), handles_.end(), [&](const auto& entry) { return IsOf(*entry.second, server); });
}

void Session::OnServerException(const ExceptionContext& context) {
  // Told once a frame: a client that does not read is not owed a growing list of the same.
  if (std::exchange(server_exception_told_, true)) return;
  v1::Callback callback;
  for (const auto& [id, handle] : handles_) {
    if (context.server != nullptr && IsOf(*handle, *context.server)) callback.set_transport_id(id);
  }
  callback.mutable_call_exception_handler()->set_message(context.message);
  if (!context.status.ok()) *callback.mutable_call_exception_handler()->mutable_error() = ErrorProto(context.status);
  Emit(callback);
}

void Session::Describe(v1::SessionInfo& info) const {
  info.set_session_prefix(std::string(prefix()));
  info.set_principal(options_.caller.principal);
  info.set_peer(options_.caller.peer);
  info.set_client_name(client_name_);
  ToProto(open_time_, *info.mutable_open_time());
  info.set_transport_count(static_cast<uint32_t>(handles_.size()));
  info.set_unacknowledged_bytes(std::max(static_cast<uint64_t>(unacknowledged_bytes_), OutboxBytes()));
  info.set_write_buffer_size_bytes(static_cast<uint64_t>(write_buffer_bytes_));
  info.set_event_loop_index(static_cast<uint32_t>(options_.event_loop_index));
  info.set_streaming(options_.streaming);
  info.set_trace_id(options_.caller.trace.trace_id);
  info.set_ignored_command_count(ignored_command_count_);
}

void Session::DescribeTransports(uint32_t after_id, size_t max_count, std::vector<v1::TransportInfo>& infos) const {
  std::vector<uint32_t> ids;
  for (const auto& [id, handle] : handles_) {
    if (id > after_id) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  if (ids.size() > max_count) ids.resize(max_count);
  for (const uint32_t id : ids) {
    const Handle& handle = *handles_.at(id);
    v1::TransportInfo& info = infos.emplace_back();
    info.set_session_prefix(std::string(prefix()));
    info.set_transport_id(id);
    info.set_server_id(handle.server_id());
    ToProto(handle.open_time(), *info.mutable_open_time());
    handle.Describe(info);
  }
}

}  // namespace transportd
