#include "clients/cpp/transportctl/admin_call.h"
#include "clients/cpp/transportctl/commands.h"
#include "clients/cpp/transportctl/exit_code.h"

namespace transportd::ctl {
namespace {

template <typename Request, typename Call>
int End(const Arguments& arguments, const ConnectOptions& service, const Request& request, Call call,
        std::string_view question) {
  const auto response = AskAdmin(service, request, call);
  if (!response.ok()) return Fail(response.status(), question, service);
  return arguments.json ? PrintJson(*response) : kOk;
}

}  // namespace

int RunEnd(const Arguments& arguments, const ConnectOptions& service) {
  if (arguments.transport_id) {
    v1::EndTransportRequest request;
    request.set_session_prefix(arguments.session_prefix);
    request.set_transport_id(*arguments.transport_id);
    return End(arguments, service, request, &v1::Admin::Stub::EndTransport, "EndTransport");
  }
  v1::EndSessionRequest request;
  request.set_session_prefix(arguments.session_prefix);
  return End(arguments, service, request, &v1::Admin::Stub::EndSession, "EndSession");
}

}  // namespace transportd::ctl
