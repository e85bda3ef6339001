#include "clients/cpp/transportctl/admin_call.h"
#include "clients/cpp/transportctl/commands.h"
#include "clients/cpp/transportctl/status_text.h"

namespace transportd::ctl {
namespace {

// As much as the service tells.
constexpr uint32_t kMaxRowCount = 10000;

}  // namespace

int RunStatus(const Arguments& arguments, const ConnectOptions& service) {
  v1::GetStatusRequest request;
  request.set_max_row_count(kMaxRowCount);
  const auto status = AskAdmin(service, request, &v1::Admin::Stub::GetStatus);
  if (!status.ok()) return Fail(status.status(), "GetStatus", service);
  return arguments.json ? PrintJson(*status) : Print(StatusText(*status));
}

}  // namespace transportd::ctl
