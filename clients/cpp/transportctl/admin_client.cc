#include "clients/cpp/transportctl/admin_client.h"

#include <chrono>
#include <string>
#include <utility>

#include "clients/cpp/grpc_status.h"

namespace transportd::ctl {

AdminClient::AdminClient(Reactor& reactor, const ConnectOptions& service, std::shared_ptr<grpc::Channel> channel)
    : reactor_(reactor), service_(service), channel_(std::move(channel)), stub_(v1::Admin::NewStub(channel_)) {}

AdminClient::~AdminClient() {
  *alive_ = false;
  std::map<grpc::ClientContext*, std::shared_ptr<void>> under_way;
  {
    MutexLock lock(calls_->mutex);
    under_way = calls_->under_way;
  }
  // Which may end a call on this thread.
  for (const auto& [context, call] : under_way) context->TryCancel();
  MutexLock lock(calls_->mutex);
  while (!calls_->under_way.empty()) calls_->ended.Wait(calls_->mutex);
}

void AdminClient::ConnectAtOnce() { grpc::experimental::ChannelResetConnectionBackoff(channel_.get()); }

template <typename Request, typename Response, typename Method>
void AdminClient::Start(const Request& request, Method method, Done<Response> done) {
  struct Call {
    grpc::ClientContext context;
    Request request;
    Response response;
    Done<Response> done;
  };
  const absl::StatusOr<std::string> token = TokenToSend(service_);
  if (!token.ok()) {
    return reactor_.CallSoon([alive = alive_, status = token.status(), done = std::move(done)]() mutable {
      if (*alive) done(status);
    });
  }
  // Held by gRPC, then by the loop.
  auto call = std::make_shared<Call>();
  call->request = request;
  call->done = std::move(done);
  if (!token->empty()) call->context.AddMetadata("authorization", "Bearer " + *token);
  call->context.set_deadline(std::chrono::system_clock::now() +
                             std::chrono::duration_cast<std::chrono::microseconds>(service_.timeout));
  {
    MutexLock lock(calls_->mutex);
    calls_->under_way[&call->context] = call;
  }
  auto on_done = [call, calls = calls_, alive = alive_, queue = reactor_.task_queue()](const grpc::Status& status) {
    queue->Post([call, alive, status] {
      if (!*alive) return;
      if (status.ok()) {
        call->done(std::move(call->response));
      } else {
        call->done(FromGrpcStatus(status));
      }
    });
    MutexLock lock(calls->mutex);
    calls->under_way.erase(&call->context);
    calls->ended.SignalAll();
  };
  method(*stub_->async(), &call->context, &call->request, &call->response, std::move(on_done));
}

void AdminClient::GetStatus(const v1::GetStatusRequest& request, Done<v1::GetStatusResponse> done) {
  Start<v1::GetStatusRequest, v1::GetStatusResponse>(
      request, [](auto& stub, auto... arguments) { stub.GetStatus(std::move(arguments)...); }, std::move(done));
}

void AdminClient::EndTransport(const v1::EndTransportRequest& request, Done<v1::EndTransportResponse> done) {
  Start<v1::EndTransportRequest, v1::EndTransportResponse>(
      request, [](auto& stub, auto... arguments) { stub.EndTransport(std::move(arguments)...); }, std::move(done));
}

void AdminClient::EndSession(const v1::EndSessionRequest& request, Done<v1::EndSessionResponse> done) {
  Start<v1::EndSessionRequest, v1::EndSessionResponse>(
      request, [](auto& stub, auto... arguments) { stub.EndSession(std::move(arguments)...); }, std::move(done));
}

}  // namespace transportd::ctl
