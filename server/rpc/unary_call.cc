#include "server/rpc/unary_call.h"

#include <utility>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

void Answer(ServerCall& call, const UnaryResult& result) {
  if (result.status.ok()) {
    call.WriteAndFinish(result.response, result.status);
  } else {
    call.Finish(result.status);
  }
}

void Begin(const UnaryMethod& method, Caller caller, const std::shared_ptr<ServerCall>& call) {
  auto cancel =
      method(std::move(caller), call->message(), [call](const UnaryResult& result) { Answer(*call, result); });
  if (!cancel) return;
  call->OnOver([cancel = std::move(cancel)](bool cancelled) mutable {
    if (cancelled) cancel();
  });
}

}  // namespace

CallHandler ServeUnary(UnaryMethod method) {
  return [method = std::move(method)](const std::shared_ptr<ServerCall>& call) {
    // First: nobody's messages are waited for.
    absl::StatusOr<Caller> caller = call->Identify();
    if (!caller.ok()) return call->Finish(ToGrpcStatus(caller.status()));
    call->Read([&method, caller = *std::move(caller), call](bool ok) mutable {
      if (ok) {
        Begin(method, std::move(caller), call);
      } else {
        call->Finish(ToGrpcStatus(
            MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST", "the call ended without a request message")));
      }
    });
  };
}

absl::Status BadRequest(const google::protobuf::MessageLite& request) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_REQUEST",
                   StrCat("the request is not a well-formed ", request.GetTypeName()));
}

}  // namespace transportd
