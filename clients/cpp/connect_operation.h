// A call that makes one stream transport: create_connection and its like.
#ifndef TRANSPORTD_CLIENTS_CPP_CONNECT_OPERATION_H_
#define TRANSPORTD_CLIENTS_CPP_CONNECT_OPERATION_H_

#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/remote_operation.h"
#include "clients/cpp/remote_session.h"
#include "clients/cpp/remote_transport.h"
#include "transports/api/event_loop.h"

namespace transportd {

// Threading: loop thread only.
class ConnectOperation final : public RemoteOperation {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<Connection>)>;

  // `session` must outlive this.
  ConnectOperation(RemoteSession& session, ProtocolFactory factory, WriteBufferMarks marks, Done done);

  // RemoteOperation
  bool OnConnectionMade(uint32_t transport_id, const v1::ConnectionMade& made) override;
  absl::Status Check(const v1::Reply& reply) const override;
  bool FinishesLater() const override { return true; }
  void Finish(const v1::Reply& reply) override;
  void Fail(const absl::Status& status) override;

 private:
  RemoteSession& session_;
  ProtocolFactory factory_;
  const WriteBufferMarks marks_;
  Done done_;
  std::shared_ptr<RemoteTransport> transport_;
  std::shared_ptr<BaseProtocol> protocol_;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_CONNECT_OPERATION_H_
