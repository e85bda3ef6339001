#include <string>
#include <vector>

#include "clients/cpp/transportctl/admin_call.h"
#include "clients/cpp/transportctl/commands.h"
#include "clients/cpp/transportctl/exit_code.h"
#include "clients/cpp/transportctl/figures.h"
#include "clients/cpp/transportctl/json.h"
#include "clients/cpp/transportctl/printable.h"
#include "clients/cpp/transportctl/table.h"
#include "clients/cpp/transportctl/transport_row.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

// Every page of a list call, put together in the first answer.
template <typename Response, typename Request, typename Call, typename Merge>
absl::StatusOr<Response> ListAll(const ConnectOptions& service, Request request, Call call, Merge merge) {
  const auto channel = CreateServiceChannel(service);
  if (!channel.ok()) return channel.status();
  const auto stub = v1::Admin::NewStub(*channel);
  Response all;
  do {
    Response page;
    const absl::Status status =
        Ask(service, [&](grpc::ClientContext& context) { return call(*stub, context, request, page); });
    if (!status.ok()) return status;
    request.set_page_token(page.next_page_token());
    merge(all, page);
  } while (!request.page_token().empty());
  return all;
}

}  // namespace

int RunSessions(const Arguments& arguments, const ConnectOptions& service) {
  const auto all = ListAll<v1::ListSessionsResponse>(
      service, v1::ListSessionsRequest(),
      [](v1::Admin::Stub& stub, grpc::ClientContext& context, const auto& request, auto& page) {
        return stub.ListSessions(&context, request, &page);
      },
      [](auto& to, const auto& page) { to.mutable_sessions()->MergeFrom(page.sessions()); });
  if (!all.ok()) return Fail(all.status(), "ListSessions", service);
  if (arguments.json) return PrintJson(*all);
  std::vector<std::vector<std::string>> rows = {
      {"SESSION", "PRINCIPAL", "PEER", "CLIENT", "OPENED", "TRANSPORTS", "UNACKNOWLEDGED", "TO WRITE", "LOOP", "DOOR"}};
  for (const v1::SessionInfo& session : all->sessions()) {
    rows.push_back({session.session_prefix(), session.principal(), session.peer(), session.client_name(),
                    TimeText(session.open_time()), StrCat(session.transport_count()),
                    StrCat(session.unacknowledged_bytes()), StrCat(session.write_buffer_size_bytes()),
                    StrCat(session.event_loop_index()), session.streaming() ? "stream" : "unary"});
  }
  return Print(FormatTable(rows));
}

int RunTransports(const Arguments& arguments, const ConnectOptions& service) {
  v1::ListTransportsRequest first;
  first.set_session_prefix(arguments.session_prefix);
  const auto all = ListAll<v1::ListTransportsResponse>(
      service, first,
      [](v1::Admin::Stub& stub, grpc::ClientContext& context, const auto& request, auto& page) {
        return stub.ListTransports(&context, request, &page);
      },
      [](auto& to, const auto& page) { to.mutable_transports()->MergeFrom(page.transports()); });
  if (!all.ok()) return Fail(all.status(), "ListTransports", service);
  if (arguments.json) return PrintJson(*all);
  std::vector<std::vector<std::string>> rows = {TransportHeading()};
  for (const v1::TransportInfo& transport : all->transports()) rows.push_back(TransportRow(transport));
  return Print(FormatTable(rows));
}

int RunHealth(const Arguments& arguments, const ConnectOptions& service) {
  const auto channel = CreateServiceChannel(service);
  if (!channel.ok()) return Fail(channel.status(), "Health.Check", service);
  const auto stub = grpc::health::v1::Health::NewStub(*channel);
  grpc::health::v1::HealthCheckResponse response;
  const absl::Status status = Ask(service, [&](grpc::ClientContext& context) {
    return stub->Check(&context, grpc::health::v1::HealthCheckRequest(), &response);
  });
  if (!status.ok()) return Fail(status, "Health.Check", service);
  const std::string name = grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response.status());
  const int printed = Print(arguments.json ? JsonObject().Add("status", name).ToString() + "\n" : name + "\n");
  const bool is_serving = response.status() == grpc::health::v1::HealthCheckResponse::SERVING;
  return printed == kOk && !is_serving ? kFailed : printed;
}

int RunVersion(const Arguments& arguments, const ConnectOptions& service) {
  const auto channel = CreateServiceChannel(service);
  if (!channel.ok()) return Fail(channel.status(), "GetVersion", service);
  const auto stub = v1::Admin::NewStub(*channel);
  v1::GetVersionResponse response;
  const absl::Status status = Ask(service, [&](grpc::ClientContext& context) {
    return stub->GetVersion(&context, v1::GetVersionRequest(), &response);
  });
  if (arguments.json) {
    JsonObject out;
    out.Add("client", TRANSPORTD_VERSION);
    if (status.ok()) {
      out.Add("service", response.version())
          .Add("revision", uint64_t{response.revision()})
          .Add("grpc", response.grpc_version())
          .Add("uptime_seconds", static_cast<uint64_t>(response.uptime().seconds()));
    }
    Print(out.ToString() + "\n");
  } else {
    std::string text = StrCat("transportctl ", TRANSPORTD_VERSION, "\n");
    if (status.ok()) {
      text += Printable(StrCat("transportd   ", response.version(), " at ", service.target, ", revision ",
                               response.revision(), ", gRPC ", response.grpc_version(), ", up ",
                               response.uptime().seconds(), " s")) +
              "\n";
    }
    Print(text);
  }
  // The client's own version is known without a service; that there is none is told all the same.
  return status.ok() ? kOk : Fail(status, "GetVersion", service);
}

}  // namespace transportd::ctl
