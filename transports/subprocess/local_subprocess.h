// A subprocess of this program, as a transport.
#ifndef TRANSPORTD_TRANSPORTS_SUBPROCESS_LOCAL_SUBPROCESS_H_
#define TRANSPORTD_TRANSPORTS_SUBPROCESS_LOCAL_SUBPROCESS_H_

#include <array>
#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "transports/api/subprocess.h"
#include "transports/base/pipe_protocol.h"
#include "transports/reactor/reactor.h"
#include "transports/stream/loop_context.h"
#include "transports/stream/stream_transport.h"
#include "transports/stream/transport_registry.h"
#include "transports/subprocess/child_process.h"
#include "transports/subprocess/pty_socket.h"
#include "transports/subprocess/spawn_child.h"

namespace transportd {

// Puts together what its parts tell: the process, whose pidfd becomes readable when it exits, and the pipes, each a
// stream transport of its own whose end the on_lost hook tells, whatever protocol it has then. The life of one:
//
//   Opening → Open → Finishing → Lost
//
//   Opening    Start was called, ConnectionMade was not.
//   Open       The process runs or a pipe is open. Close changes nothing of the order of callbacks.
//   Finishing  The process has exited and all pipes are lost: ConnectionLost is queued.
//   Lost       ConnectionLost was called; the protocol is gone. Of the process its group is left, for Close.
//
// shared_ptr: owned by the loop's registry until ConnectionLost, and by whoever keeps what ConnectionMade handed out.
// Threading: loop thread only.
class LocalSubprocess final : public SubprocessTransport,
                              public LoopOwned,
                              public std::enable_shared_from_this<LocalSubprocess>,
                              private FdHandler {
 public:
  struct Options {
    WriteBufferMarks write_buffer_marks;
    std::optional<Duration> drain_timeout;
    // From now to its being killed.
    std::optional<Duration> wall_time;
    // What is left of it when its pipes are lost is killed.
    bool ends_as_a_whole = false;
    // After ConnectionLost, in the same turn. Not called when the loop is destroyed.
    absl::AnyInvocable<void()> on_lost;
  };

  // Registered with `context`, which must outlive it or destroy it. The child runs the program.
  static std::shared_ptr<LocalSubprocess> Create(LoopContext& context, SpawnedChild child,
                                                 std::shared_ptr<SubprocessProtocol> protocol, Options options);
  ~LocalSubprocess() override;

  // Once: calls ConnectionMade in the next turn, `on_ready` in the one after it; then data and exit are looked for.
  void Start(absl::AnyInvocable<void()> on_ready);

  // Whether its own process group has a process left: after ConnectionLost those that outlive it, which Close kills.
  bool HasGroup() const { return process_.HasGroup(); }

  // SubprocessTransport
  int GetPid() const override;
  std::optional<int> GetReturncode() const override;
  std::shared_ptr<Transport> GetPipeTransport(int fd) const override;
  void SendSignal(int signal_number, absl::AnyInvocable<void(absl::Status)> done = nullptr) override;
  void Terminate(absl::AnyInvocable<void(absl::Status)> done = nullptr) override;
  void Kill(absl::AnyInvocable<void(absl::Status)> done = nullptr) override;
  void Resize(WindowSize size, absl::AnyInvocable<void(absl::Status)> done = nullptr) override;
  void Close() override;
  bool IsClosing() const override;
  const ExtraInfo& GetExtraInfo() const override;
  void SetProtocol(std::shared_ptr<SubprocessProtocol> protocol) override;
  std::shared_ptr<SubprocessProtocol> GetProtocol() const override;

  // LoopOwned
  void OnLoopDestroyed() override;

 private:
  enum class State { kOpening, kOpen, kFinishing, kLost };

  LocalSubprocess(LoopContext& context, ChildProcess process, std::shared_ptr<SubprocessProtocol> protocol,
                  Options options);
  void MakePipes(SpawnedChild& child);
  void MakePty(UniqueFd fd);
  std::shared_ptr<PipeProtocol> MakePipeProtocol(int fd, bool is_pty);

  // FdHandler: the process has exited.
  void OnReadable() override;

  void OnPipeLost(int fd);
  void EndPipes();
  void OnDrained();
  void OnWallTime();
  void FinishWhenDone();
  void CallConnectionLost();
  void StopWatching();
  absl::Status Signal(int signal_number);
  absl::Status SetWindowSize(WindowSize size);
  void AssertInLoopThread() const;

  // Null once Lost.
  LoopContext* context_;
  State state_ = State::kOpening;
  ChildProcess process_;
  std::optional<int> returncode_;
  // By the child's descriptor; null: no pipe. A pseudo-terminal is 0 and 1.
  std::array<std::shared_ptr<StreamTransport>, 3> pipes_;
  std::array<bool, 3> pipe_open_ = {};
  std::shared_ptr<PtyMaster> pty_;  // Null: none, or Lost.
  bool closing_ = false;

  std::shared_ptr<SubprocessProtocol> protocol_;
  WatchId watch_ = 0;
  TimerId drain_timer_ = 0;
  TimerId wall_timer_ = 0;
  bool is_out_of_time_ = false;
  const ExtraInfo extra_info_;
  const WriteBufferMarks write_buffer_marks_;
  const std::optional<Duration> drain_timeout_;
  const bool ends_as_a_whole_;
  absl::AnyInvocable<void()> on_lost_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SUBPROCESS_LOCAL_SUBPROCESS_H_
