// A call that starts a subprocess: subprocess_exec, subprocess_shell.
#ifndef TRANSPORTD_CLIENTS_CPP_SUBPROCESS_OPERATION_H_
#define TRANSPORTD_CLIENTS_CPP_SUBPROCESS_OPERATION_H_

#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/remote_operation.h"
#include "clients/cpp/remote_session.h"
#include "clients/cpp/remote_subprocess.h"
#include "transports/api/subprocess.h"

namespace transportd {

// Cancelled, it answers when the process is gone, and its protocol hears the whole sequence. Threading: loop thread
// only.
class SubprocessOperation final : public RemoteOperation {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<Subprocess>)>;

  // `session` must outlive this.
  SubprocessOperation(RemoteSession& session, SubprocessProtocolFactory factory, WriteBufferMarks marks, Done done);

  // RemoteOperation
  bool OnConnectionMade(uint32_t transport_id, const v1::ConnectionMade& made) override;
  absl::Status Check(const v1::Reply& reply) const override;
  bool FinishesLater() const override { return true; }
  bool CancelWaits() const override { return true; }
  void Finish(const v1::Reply& reply) override;
  void Fail(const absl::Status& status) override;

 private:
  RemoteSession& session_;
  SubprocessProtocolFactory factory_;
  const WriteBufferMarks marks_;
  Done done_;
  std::shared_ptr<RemoteSubprocess> transport_;
  std::shared_ptr<SubprocessProtocol> protocol_;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_SUBPROCESS_OPERATION_H_
