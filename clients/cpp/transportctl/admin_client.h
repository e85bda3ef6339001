// Calls of the Admin service, on an event loop.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_ADMIN_CLIENT_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_ADMIN_CLIENT_H_

#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "clients/cpp/connect.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "transportd/v1/admin.grpc.pb.h"
#include "transports/base/mutex.h"
#include "transports/reactor/reactor.h"

namespace transportd::ctl {

// Threading: loop thread only.
class AdminClient final {
 public:
  // Called once, in a turn of its own.
  template <typename Response>
  using Done = absl::AnyInvocable<void(absl::StatusOr<Response>)>;

  // `reactor` and `service` must outlive it.
  AdminClient(Reactor& reactor, const ConnectOptions& service, std::shared_ptr<grpc::Channel> channel);
  // Calls off what is under way, and waits until gRPC has let go of it. Nobody is told.
  ~AdminClient();
  AdminClient(const AdminClient&) = delete;
  AdminClient& operator=(const AdminClient&) = delete;

  void GetStatus(const v1::GetStatusRequest& request, Done<v1::GetStatusResponse> done);
  void EndTransport(const v1::EndTransportRequest& request, Done<v1::EndTransportResponse> done);
  void EndSession(const v1::EndSessionRequest& request, Done<v1::EndSessionResponse> done);
  // The next call connects at once, and does not wait for as long as gRPC does after several failures.
  void ConnectAtOnce();

 private:
  // What gRPC's thread has of a client: all that it may touch. Held by the client, and by each call under way.
  struct Calls {
    Mutex mutex;
    CondVar ended;
    std::map<grpc::ClientContext*, std::shared_ptr<void>> under_way ABSL_GUARDED_BY(mutex);
  };

  template <typename Request, typename Response, typename Method>
  void Start(const Request& request, Method method, Done<Response> done);

  Reactor& reactor_;
  const ConnectOptions& service_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Admin::Stub> stub_;
  const std::shared_ptr<Calls> calls_ = std::make_shared<Calls>();
  // What is queued holds this, and knows by it whether the client is still there.
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_ADMIN_CLIENT_H_
