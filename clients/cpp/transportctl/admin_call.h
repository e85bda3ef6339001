// A unary call of a command's, from the question who calls to what is printed.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_ADMIN_CALL_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_ADMIN_CALL_H_

#include <chrono>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "clients/cpp/connect.h"
#include "clients/cpp/connect_diagnosis.h"
#include "clients/cpp/grpc_status.h"
#include "google/protobuf/message.h"
#include "grpcpp/client_context.h"
#include "transportd/v1/admin.grpc.pb.h"
#include "transports/base/clock.h"

namespace transportd::ctl {

// `call` is given a grpc::ClientContext, and returns a grpc::Status.
template <typename Call>
absl::Status Ask(const ConnectOptions& service, Call call) {
  const absl::StatusOr<std::string> token = TokenToSend(service);
  if (!token.ok()) return token.status();
  grpc::ClientContext context;
  if (!token->empty()) context.AddMetadata("authorization", "Bearer " + *token);
  const TimePoint begin = SystemClock().Now();
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::duration_cast<std::chrono::microseconds>(service.timeout));
  const grpc::Status status = call(context);
  return ExplainUnavailable(service, FromGrpcStatus(status), service.timeout - (SystemClock().Now() - begin));
}

// `call`: as v1::Admin::Stub::GetVersion.
template <typename Request, typename Response>
absl::StatusOr<Response> AskAdmin(const ConnectOptions& service, const Request& request,
                                  grpc::Status (v1::Admin::Stub::*call)(grpc::ClientContext*, const Request&,
                                                                        Response*)) {
  const auto channel = CreateServiceChannel(service);
  if (!channel.ok()) return channel.status();
  const auto stub = v1::Admin::NewStub(*channel);
  Response response;
  const absl::Status status =
      Ask(service, [&](grpc::ClientContext& context) { return ((*stub).*call)(&context, request, &response); });
  if (!status.ok()) return status;
  return response;
}

// Each returns an exit status, and has told on standard error what went wrong.
// `question`: the call that failed.
int Fail(const absl::Status& status, std::string_view question, const ConnectOptions& service);
int Print(std::string_view text);
int PrintJson(const google::protobuf::Message& message);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_ADMIN_CALL_H_
