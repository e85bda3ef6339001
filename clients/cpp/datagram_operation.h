// create_datagram_endpoint under way.
#ifndef TRANSPORTD_CLIENTS_CPP_DATAGRAM_OPERATION_H_
#define TRANSPORTD_CLIENTS_CPP_DATAGRAM_OPERATION_H_

#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/remote_datagram_transport.h"
#include "clients/cpp/remote_operation.h"
#include "clients/cpp/remote_session.h"
#include "transports/api/datagram.h"

namespace transportd {

// Threading: loop thread only.
class DatagramOperation final : public RemoteOperation {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<DatagramEndpoint>)>;

  // `session` must outlive this.
  DatagramOperation(RemoteSession& session, DatagramProtocolFactory factory, WriteBufferMarks marks, Done done);

  // RemoteOperation
  bool OnConnectionMade(uint32_t transport_id, const v1::ConnectionMade& made) override;
  absl::Status Check(const v1::Reply& reply) const override;
  bool FinishesLater() const override { return true; }
  void Finish(const v1::Reply& reply) override;
  void Fail(const absl::Status& status) override;

 private:
  RemoteSession& session_;
  DatagramProtocolFactory factory_;
  const WriteBufferMarks marks_;
  Done done_;
  std::shared_ptr<RemoteDatagramTransport> transport_;
  std::shared_ptr<DatagramProtocol> protocol_;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_DATAGRAM_OPERATION_H_
