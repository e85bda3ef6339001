// One client's use of one event loop: its transports, the commands it sends, the callbacks it is owed.
#ifndef TRANSPORTD_SERVER_SESSION_SESSION_H_
#define TRANSPORTD_SERVER_SESSION_SESSION_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "proto/frame/frame_reader.h"
#include "server/policy/authorizer.h"
#include "server/policy/session_guard.h"
#include "server/session/call.h"
#include "server/session/datagram_handle.h"
#include "server/session/flow_handle.h"
#include "server/session/frame_stream.h"
#include "server/session/handle.h"
#include "server/session/left_processes.h"
#include "server/session/outbox.h"
#include "server/session/service_budget.h"
#include "server/session/session_limits.h"
#include "server/session/session_stats.h"
#include "transportd/v1/admin.pb.h"
#include "transportd/v1/event_loop.pb.h"
#include "transports/loop/epoll_event_loop.h"

namespace transportd {

// ABORTED / ENDED_BY_OPERATOR.
absl::Status EndedByOperator();

// Grammar: OPENING (a streaming session waits for its Open) -> OPEN -> ENDING (nothing new; transports are being lost,
// calls answered, frames sent) -> ENDED (the owner lets go). The only way to ENDING is End.
//
// Bounds. From sockets to the client: a transport's window, the session's, the service's; beyond any of them
// sockets are not read. From the client to sockets: no frame is asked for while a transport holds more than its send
// window, the session more than its own, or more waits to be sent to the client than its receive window. So what a
// session holds is at most its two windows, one frame each way, and what its table needs.
//
// Threading: loop thread only, from Start on.
class Session final : public FrameStream::Handler, public std::enable_shared_from_this<Session> {
 public:
  struct Options {
    std::string id;
    uint64_t number = 0;  // In the order of opening, service-wide.
    Caller caller;
    int event_loop_index = 0;
    bool streaming = false;  // Through the Session stream; else OpenSession.
    std::string instance_target;
    SessionLimits limits;
    const Authorizer* authorizer = nullptr;
    std::unique_ptr<SessionGuard> guard = nullptr;  // The authorizer's; null: its operations are free.
    ServiceBudget* budget = nullptr;                // The session's own place in it is the owner's to take and return.
    // Its loop's, shared with the loop's other sessions.
    std::shared_ptr<SessionStats> stats = std::make_shared<SessionStats>();
    // Called once, when the session is ENDED; the last thing that a session does.
    absl::AnyInvocable<void()> on_ended;
  };

  Session(EpollEventLoop& loop, Options options);
  ~Session() override;

  // A streaming session: waits for its Open.
  void StartStreaming(std::shared_ptr<FrameStream> stream);
  // A unary session: OPEN at once, or the error of a bad `open`.
  absl::StatusOr<v1::Opened> StartUnary(const v1::Open& open);
  // The stream to which a unary session's frames go; refused when there is one.
  void AttachCallbacks(std::shared_ptr<FrameStream> stream);

  // Carries out a command from the unary door. Returns its number, for Cancel.
  uint64_t Execute(const v1::Command& command, absl::AnyInvocable<void(v1::Reply)> answer);
  void Cancel(uint64_t call_number);

  // Aborts everything; the stream ends with `status` after the last connection_lost. `cause` is what connection_lost
  // says instead of LOCAL_ABORT. Only the first call counts. `ended`, which may be null, is called when all is over.
  void End(absl::Status status, std::optional<EndCause> cause, absl::AnyInvocable<void()> ended = nullptr);

  const std::string& id() const { return options_.id; }
  // Enough to tell sessions apart, not enough to use one.
  std::string_view prefix() const { return std::string_view(options_.id).substr(0, 8); }
  uint64_t number() const { return options_.number; }
  const Caller& caller() const { return options_.caller; }
  bool Owns(const Server& server) const;
  // The policy has changed: ends what it does not allow any more, the session itself included. connection_lost says
  // POLICY_REVOKED.
  void Recheck();
  // An operator ends the transport, and what a server has accepted: connection_lost says OPERATOR. False: there is no
  // such one.
  bool EndTransport(uint32_t id);
  // The service stops, and ends the session in `time_left`: the client is told, once.
  void Drain(Duration time_left);
  // The server's exception handler was called.
  void OnServerException(const ExceptionContext& context);
  void Describe(v1::SessionInfo& info) const;
  // Open transports with an id above `after_id`, in order, at most `max_count` of them.
  void DescribeTransports(uint32_t after_id, size_t max_count, std::vector<v1::TransportInfo>& infos) const;

  // FrameStream::Handler
  void OnFrame(std::span<const std::string_view> pieces) override;
  void OnHalfClosed() override;
  void OnFrameSent() override;
  void OnLost() override;

  // For commands.
  // The gate of what a command is about to do, which is the call's until it is answered; null: it is free. The quota's
  // error.
  absl::StatusOr<std::shared_ptr<OperationGate>> BeginOperation(Call& call, GuardedOperation operation);
  // The transport of this id, when it is still there, is set up so now; or no longer.
  void AddSettings(uint32_t id, const std::vector<Need>& needs);
  void RemoveSettings(uint32_t id, const std::vector<Need>& needs);
  EpollEventLoop& loop() { return loop_; }
  SessionStats& stats() { return *options_.stats; }
  const SessionLimits& limits() const { return options_.limits; }
  // A place for one more transport, given back when the last hold of it is gone; or why there is none.
  absl::StatusOr<std::shared_ptr<void>> TakePlace();
  // Null: it existed and is lost. An error: it never existed, or is of another kind.
  absl::StatusOr<Handle*> FindHandle(uint32_t id) const;
  template <typename T>
  absl::StatusOr<T*> Find(uint32_t id) const {
    const absl::StatusOr<Handle*> handle = FindHandle(id);
    if (!handle.ok()) return handle.status();
    if (*handle != nullptr && (*handle)->kind() != T::kKind) return (*handle)->WrongKind();
    return static_cast<T*>(*handle);
  }
  // Unary calls may write no more to it now.
  bool SendWindowIsFull(const FlowHandle& handle) const;
  // Cancels the unanswered command of the stream that has this request id, if there is one.
  void CancelRequest(uint32_t request_id);

  // For handles.
  Outbox& outbox() { return *outbox_; }
  // The last frame that the client says it has.
  uint64_t acknowledged_sequence() const { return acknowledged_data_frame_; }
  // `is_quiet`: FlowHandle::IsQuiet.
  bool MayReceive(bool is_quiet) const;
  // A transport that would read if the session might receive; it is told when it may.
  void AddWaitingToReceive(uint32_t id) { waiting_to_receive_.push_back(id); }
  // Gives the handle an id, and a place when it has none. False: there is no room for it.
  bool Adopt(std::shared_ptr<Handle> handle);
  void Remove(Handle& handle);
  // `subprocess` is lost: what is left of its process group ends with the session at the latest.
  void KeepProcesses(std::shared_ptr<LocalSubprocess> subprocess, std::shared_ptr<void> place);
  void Emit(const v1::Callback& callback);
  // `datagrams`: a datagram endpoint's counts.
  void EmitConnectionLost(uint32_t id, const ConnectionEnd& end, const DatagramCounts* datagrams = nullptr);
  void AddUnsettled(uint32_t id);
  void AddProgressDue(uint32_t id) { progress_due_.push_back(id); }
  // A transport's socket has taken so much more.
  void AddUnreported(uint64_t delta_bytes) { unreported_bytes_ += delta_bytes; }
  void AddUnacknowledged(int64_t delta_bytes);
  void AddWriteBuffer(int64_t delta_bytes);
  void AddOverSendWindow(int delta_count) { over_send_window_count_ += delta_count; }
  // What was gathered goes out at the end of this turn.
  void ScheduleFlush();

 private:
  enum class State { kOpening, kOpen, kEnding, kEnded };
  using CallPtr = std::shared_ptr<Call>;

  // Opening, frames, ending: session.cc.
  absl::Status Open(const v1::Open& open);
  absl::Status BeginFrame(const FrameView& frame);
  // Carries out the entries from `next_entry_` on, for a slice of time.
  absl::Status RunEntries();
  // The same for a frame that took more than one slice.
  void RunRestOfFrame();
  absl::Status RunEntry(const EntryView& entry);
  absl::Status RunAcknowledgement(std::string_view bytes);
  void EndStream(absl::Status status);
  void Flush();
  void SendNextFrame();
  // What is in the outbox had better wait for more.
  bool MustHoldFrame();
  // write_progress is worth a frame of its own; when it is not yet, it will be.
  bool MustTellProgress();
  void StartProgressTimer();
  // Those of age and idleness, as the quota has them now.
  void StartBounds();
  // By the policy of now, its settings included.
  bool IsStillAllowed(const Handle& handle) const;
  bool IsStillAllowed(const Call& call) const;
  // Ends it in another turn when it is not: the policy may be another than when its command was carried out.
  void RecheckSoon(const Handle& handle);
  // It, and what it has accepted, ends for this.
  void EndBy(EndCause cause, Handle& handle);
  void SetEndedBy(EndCause cause, Handle& handle);
  // Now and then, as long as there are any: forgets the processes that were left and have ended.
  void PruneLeftProcesses(Duration after);
  void EmitDraining();
  void CheckIdle();
  void Expire(std::string_view what);
  void AskForFrame();
  bool MayReadFrame() const;
  // A budget is used up, and these bytes are more than this session's share of it.
  bool IsOverBudget(int64_t held_bytes) const;
  bool HoldsBackFrames() const;
  int64_t UnreadBytes() const;  // Of the client: what was read from sockets and is not acknowledged.
  void UpdateReceiving();
  // Of those that wait as many as there is room for, first come, first served.
  void ResumeReceiving();
  void CheckEnded();
  // The lease runs while a unary session has neither an unanswered call nor a reader of its callbacks.
  void RestartLease();
  // Tells the service's budget and the guard what the session holds now.
  void AccountBuffers();
  uint64_t OutboxBytes() const { return outbox_ == nullptr ? 0 : outbox_->size_bytes(); }

  // Calls: session_commands.cc.
  CallPtr MakeCall(uint32_t request_id, absl::AnyInvocable<void(v1::Reply)> answer);
  void LogTransport(std::string_view what, const Handle& handle) const;
  void CountAnswer(const Call& call, const v1::Reply& reply, TimePoint begin);
  void Run(const v1::Command& command, const CallPtr& call, bool from_stream);
  void RunWrite(const HotEntry& write);
  // `address`, which may be null: as the command has it.
  void RunSendTo(const HotEntry& sendto, const v1::SocketAddress* address);
  // What several sendto commands in a row have gathered goes out.
  void SendGathered();
  // The answer to a hot command, if it wants one.
  void AnswerHot(uint32_t request_id, const absl::Status& status);
  // Null: it is lost, or no data flows through it.
  FlowHandle* FindFlow(uint32_t id) const;

  EpollEventLoop& loop_;
  Options options_;
  const std::chrono::system_clock::time_point open_time_;
  State state_ = State::kOpening;
  bool acknowledged_ = false;
  std::string client_name_;
  Duration lease_{0};
  TimerId lease_timer_ = 0;

  std::shared_ptr<FrameStream> stream_;
  bool reading_frame_ = false;
  bool half_closed_ = false;
  uint64_t client_sequence_ = 0;
  FrameView frame_;
  size_t next_entry_ = 0;
  std::string kept_frame_;  // The frame's bytes, while what is left of it waits for the next turn.
  bool frame_unfinished_ = false;
  v1::Command command_;
  // The last sendto's, without its bytes: what the authorizer is asked about, and the address parsed once.
  v1::SendToRequest sendto_request_;
  std::string sendto_address_bytes_;
  DatagramHandle* gathering_ = nullptr;  // Has gathered datagrams that are to be sent. In the table.
  std::unique_ptr<Outbox> outbox_;
  bool flush_scheduled_ = false;
  uint64_t data_frame_ = 0;  // The last frame that was sent with data only, and when.
  TimePoint data_frame_time_;
  uint64_t acknowledged_data_frame_ = 0;  // The last that the client has; others than those with data, too.
  TimerId hold_timer_ = 0;
  TimerId prune_timer_ = 0;
  SessionGuard::Bounds bounds_;  // As they were when the policy last changed.
  TimerId budget_timer_ = 0;

  absl::flat_hash_map<uint32_t, std::shared_ptr<Handle>> handles_;
  LeftProcesses left_processes_;
  uint32_t last_id_ = 0;
  // Places taken, those of calls under way included. shared_ptr: owned by this and by each place.
  const std::shared_ptr<uint32_t> place_count_ = std::make_shared<uint32_t>(0);
  std::vector<uint32_t> unsettled_;     // Handles whose writes are to be settled at the end of the turn.
  std::vector<uint32_t> progress_due_;  // Handles whose write_progress goes into the next frame.
  uint64_t unreported_bytes_ = 0;       // What it will tell, all transports together.
  bool prompt_progress_ = false;        // SessionRequest.prompt_write_progress of the last frame.
  bool progress_is_late_ = false;
  bool progress_waited_ = false;  // For another frame, since the timer was set.
  TimerId progress_timer_ = 0;
  std::map<uint64_t, CallPtr> calls_;                        // Unanswered, by number.
  absl::flat_hash_map<uint32_t, uint64_t> stream_requests_;  // Of those from the stream: request id to number.
  uint64_t last_call_number_ = 0;
  uint64_t ignored_command_count_ = 0;  // SessionInfo.ignored_command_count.

  bool window_is_open_ = true;   // The session's and the service's: data may be read at all.
  bool outbox_has_room_ = true;  // Of bulk, too.
  std::deque<uint32_t> waiting_to_receive_;
  int64_t unacknowledged_bytes_ = 0;
  int64_t write_buffer_bytes_ = 0;
  TimePoint frame_time_ = {};    // When the last frame of the client's came.
  int64_t accounted_bytes_ = 0;  // What the budget and the guard were told.
  int over_send_window_count_ = 0;
  bool server_exception_told_ = false;

  absl::Status end_status_;
  std::optional<EndCause> end_cause_;
  TimerId end_timer_ = 0;
  TimerId age_timer_ = 0;
  TimerId idle_timer_ = 0;
  TimePoint open_at_;
  TimePoint active_at_;  // The last command, or transport.
  bool expired_ = false;
  std::optional<TimePoint> drain_deadline_;  // Unset: the service does not stop.
  std::vector<absl::AnyInvocable<void()>> end_waiters_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_SESSION_H_
