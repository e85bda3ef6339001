// create_datagram_endpoint: resolve, make the socket, make the transport.
#ifndef TRANSPORTD_TRANSPORTS_DATAGRAM_CREATE_DATAGRAM_ENDPOINT_H_
#define TRANSPORTD_TRANSPORTS_DATAGRAM_CREATE_DATAGRAM_ENDPOINT_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/api/datagram.h"
#include "transports/base/operation.h"
#include "transports/datagram/endpoint_socket.h"
#include "transports/datagram/socket_datagram_transport.h"
#include "transports/resolver/loop_resolver.h"
#include "transports/stream/loop_context.h"

namespace transportd {

// shared_ptr: owned by the loop, while it is under way; what is queued on the loop holds a weak_ptr.
// Threading: loop thread only.
class CreateDatagramEndpointOperation final : public Operation,
                                              public std::enable_shared_from_this<CreateDatagramEndpointOperation> {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<DatagramEndpoint>)>;

  // `context` and `resolver` must outlive this.
  CreateDatagramEndpointOperation(LoopContext& context, LoopResolver& resolver, DatagramProtocolFactory factory,
                                  CreateDatagramEndpointOptions options, Done done);
  ~CreateDatagramEndpointOperation() override;

  // Operation
  void Start() override;
  void Cancel() override;

 private:
  void Resolve();
  void OnResolved();
  // Not empty, unless no families agree.
  void Open(const std::vector<EndpointAddresses>& candidates);
  // The end: `status` is not OK.
  void Fail(absl::Status status);
  void Deliver();
  // Calls off whatever is under way.
  void TearDown();

  LoopContext& context_;
  LoopResolver& resolver_;
  DatagramProtocolFactory factory_;
  const CreateDatagramEndpointOptions options_;
  Done done_;

  TimerId deadline_ = 0;
  LoopResolver::RequestId local_request_ = 0;
  LoopResolver::RequestId remote_request_ = 0;
  std::optional<std::vector<SocketAddress>> locals_;
  std::optional<std::vector<SocketAddress>> remotes_;
  std::shared_ptr<SocketDatagramTransport> transport_;
  // Set at the end; Deliver is then queued.
  std::optional<absl::StatusOr<DatagramEndpoint>> result_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_DATAGRAM_CREATE_DATAGRAM_ENDPOINT_H_
