// A subprocess of the service, as a transport.
#ifndef TRANSPORTD_CLIENTS_CPP_REMOTE_SUBPROCESS_H_
#define TRANSPORTD_CLIENTS_CPP_REMOTE_SUBPROCESS_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "clients/cpp/remote_handle.h"
#include "clients/cpp/remote_session.h"
#include "clients/cpp/remote_transport.h"
#include "transports/api/subprocess.h"
#include "transports/base/pipe_protocol.h"

namespace transportd {

// Behaves as LocalSubprocess (transports/subprocess) does. Its pipes are RemoteTransports with ids of their own; what
// is held back of one of them holds this one's ConnectionLost back.
//
//   Open → Finishing → Lost
//
//   Open       The service has not said connection_lost, or a pipe is not lost here.
//   Finishing  ConnectionLost is queued.
//   Lost       ConnectionLost was called; protocol and session are gone.
//
// shared_ptr: owned by the session until ConnectionLost, and by whoever keeps what ConnectionMade handed out.
// Threading: loop thread only.
class RemoteSubprocess final : public SubprocessTransport,
                               public RemoteHandle,
                               public std::enable_shared_from_this<RemoteSubprocess> {
 public:
  // `made` is that of a subprocess: see IsSubprocess. Adds itself and its pipes to the session.
  static std::shared_ptr<RemoteSubprocess> Create(RemoteSession& session, uint32_t id, const v1::ConnectionMade& made,
                                                  std::shared_ptr<SubprocessProtocol> protocol, WriteBufferMarks marks);
  ~RemoteSubprocess() override;

  // Whether the service may have meant a subprocess: a process, and pipes as a child can have them.
  static bool IsSubprocess(const v1::ConnectionMade& made);

  // Calls ConnectionMade. Once, first.
  void Start();
  // `done` was called: what came meanwhile is delivered.
  void Release();
  // Called after ConnectionLost, in the same turn; not when the loop is destroyed. At once when it is lost already.
  void WhenLost(absl::AnyInvocable<void()> on_lost);

  // RemoteHandle
  bool OnDataReceived(std::string_view data, bool is_last) override;
  bool OnWriteProgress(uint64_t sent_bytes) override;
  bool OnCallback(const v1::Callback& callback) override;
  void OnSessionLost(const absl::Status& status) override;
  void OnLoopDestroyed() override;
  void OnCredit() override {}
  Consumed TakeConsumed() override { return {}; }

  // SubprocessTransport
  int GetPid() const override;
  std::optional<int> GetReturncode() const override { return returncode_; }
  std::shared_ptr<Transport> GetPipeTransport(int fd) const override;
  void SendSignal(int signal_number, absl::AnyInvocable<void(absl::Status)> done) override;
  void Terminate(absl::AnyInvocable<void(absl::Status)> done) override;
  void Kill(absl::AnyInvocable<void(absl::Status)> done) override;
  void Resize(WindowSize size, absl::AnyInvocable<void(absl::Status)> done) override;
  void Close() override;
  bool IsClosing() const override { return closing_; }
  const ExtraInfo& GetExtraInfo() const override { return extra_info_; }
  void SetProtocol(std::shared_ptr<SubprocessProtocol> protocol) override;
  std::shared_ptr<SubprocessProtocol> GetProtocol() const override { return protocol_; }

 private:
  enum class State { kOpen, kFinishing, kLost };

  RemoteSubprocess(RemoteSession& session, uint32_t id, ExtraInfo extra_info,
                   std::shared_ptr<SubprocessProtocol> protocol);
  void MakePipe(uint32_t fd, uint32_t transport_id, bool is_pty, WriteBufferMarks marks);
  void DeliverExit();
  void FinishWhenDone();
  void CallConnectionLost();
  void Request(v1::Command command, absl::AnyInvocable<void(absl::Status)> done);
  void AssertInLoopThread() const;

  RemoteSession* session_;  // Null once Lost.
  const uint32_t id_;
  const ExtraInfo extra_info_;
  std::shared_ptr<SubprocessProtocol> protocol_;
  State state_ = State::kOpen;
  bool held_ = true;  // Nothing but ConnectionMade is called before Release.
  bool closing_ = false;

  // By the child's descriptor; null: no pipe. A pseudo-terminal is 0 and 1.
  std::array<std::shared_ptr<RemoteTransport>, 3> pipes_;
  std::array<bool, 3> pipe_open_ = {};
  std::optional<int> returncode_;
  bool exit_is_due_ = false;          // ProcessExited is to be called after Release.
  std::optional<ConnectionEnd> end_;  // What the service said.
  absl::AnyInvocable<void()> on_lost_;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_REMOTE_SUBPROCESS_H_
