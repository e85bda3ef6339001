// A call that makes a server: create_server and its like.
#ifndef TRANSPORTD_CLIENTS_CPP_LISTEN_OPERATION_H_
#define TRANSPORTD_CLIENTS_CPP_LISTEN_OPERATION_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/remote_operation.h"
#include "clients/cpp/remote_session.h"
#include "transports/api/event_loop.h"

namespace transportd {

// Threading: loop thread only.
class ListenOperation final : public RemoteOperation {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)>;

  // `session` must outlive this. `start_serving`: what the service was asked for.
  ListenOperation(RemoteSession& session, ProtocolFactory factory, WriteBufferMarks marks, bool start_serving,
                  Done done);

  // RemoteOperation
  void Finish(const v1::Reply& reply) override;
  void Fail(const absl::Status& status) override;
  void Undo(const v1::Reply& reply) override;

 private:
  RemoteSession& session_;
  ProtocolFactory factory_;
  const WriteBufferMarks marks_;
  const bool start_serving_;
  Done done_;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_LISTEN_OPERATION_H_
