#include "clients/cpp/transportctl/status_text.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "clients/cpp/transportctl/figures.h"
#include "clients/cpp/transportctl/printable.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

std::string Bytes(uint64_t bytes) { return BytesText(static_cast<double>(bytes)); }

std::string PolicyText(const v1::GetStatusResponse& status) {
  if (!status.has_policy()) return "none: --dev, everybody may do everything";
  const v1::PolicyStatus& policy = status.policy();
  std::string text = StrCat(policy.file(), policy.version().empty() ? "" : ", version ", policy.version(), ", sha256 ",
                            policy.sha256(), ", since ", TimeText(policy.load_time()));
  if (!policy.shadow_sha256().empty()) text += StrCat(", shadow sha256 ", policy.shadow_sha256());
  return text;
}

std::string AuditText(const v1::AuditStatus& audit) {
  return StrCat(audit.healthy() ? "ok" : "cannot be written", ", ", audit.written_count(), " written, ",
                audit.queued_count(), " waiting, ", audit.lost_count(), " lost");
}

}  // namespace

std::string StatusText(const v1::GetStatusResponse& status) {
  std::vector<std::pair<std::string, std::string>> lines;
  const auto add = [&](std::string_view name, std::string text) { lines.emplace_back(name, std::move(text)); };
  const v1::GetVersionResponse& version = status.version();
  const v1::ServiceUsage& usage = status.usage();
  const v1::ProcessStatus& process = status.process();
  add("service", StrCat("transportd ", version.version(), ", revision ", version.revision(), ", gRPC ",
                        version.grpc_version(), ", up ", AgeText(Seconds(version.uptime()))));
  if (!status.instance_target().empty()) add("instance", status.instance_target());
  if (status.has_drain_time_left()) add("draining", StrCat(AgeText(Seconds(status.drain_time_left())), " left"));
  add("sessions", StrCat(usage.session_count(), " of ", usage.max_session_count(), "; ", usage.opened_session_count(),
                         " since the start"));
  add("transports", StrCat(usage.transport_count(), " of ", usage.max_transport_count(), "; ",
                           usage.opened_transport_count(), " since the start"));
  add("buffers", StrCat(Bytes(usage.buffered_bytes()), " of ", Bytes(usage.max_buffered_bytes())));
  add("received", Bytes(usage.received_bytes()));
  add("sent", Bytes(usage.sent_bytes()));
  for (int i = 0; i < status.event_loops_size(); ++i) {
    const v1::EventLoopStatus& loop = status.event_loops(i);
    add(StrCat("loop ", i),
        StrCat(loop.session_count(), " sessions, ", loop.turn_count(), " turns, busy ",
               LagText(Seconds(loop.busy_time())), ", longest turn of late ", LagText(Seconds(loop.longest_turn()))));
  }
  add("process",
      StrCat(Bytes(process.resident_bytes()), " memory, ", process.open_fd_count(), " of ", process.max_fd_count(),
             " fds, ", LagText(Seconds(process.cpu_time())), " cpu, ", process.subprocess_count(), " programs"));
  add("policy", PolicyText(status));
  if (!status.policy().error().empty()) add("policy error", status.policy().error());
  for (const v1::CertificateStatus& certificate : status.certificates()) {
    const double left = Seconds(certificate.not_after()) - Seconds(status.time());
    add("certificate",
        StrCat(certificate.name(), ", ", certificate.subject(), ", until ", TimeText(certificate.not_after()),
               left <= 0 ? ": has expired" : StrCat(": ", AgeText(left), " left")));
  }
  for (const v1::QuotaStatus& quota : status.quotas()) {
    add("quota", StrCat(quota.principal().empty() ? "all together" : quota.principal(), ": ", quota.sessions(),
                        " sessions, ", quota.transports(), " transports, ", quota.listeners(), " servers, ",
                        quota.processes(), " programs, ", Bytes(quota.buffered_bytes()), " buffered"));
  }
  if (status.has_audit()) add("audit", AuditText(status.audit()));
  add("denials", status.denials().empty()
                     ? "none"
                     : StrCat(status.denials_size(), " remembered, the last at ", TimeText(status.denials(0).time()),
                              ": ", status.denials(0).principal(), ", ", status.denials(0).action(), " ",
                              status.denials(0).requested(), ", by ", status.denials(0).rule()));
  size_t width = 0;
  for (const auto& [name, text] : lines) width = std::max(width, name.size());
  std::string out;
  for (const auto& [name, text] : lines) {
    out += StrCat(name, std::string(width + 2 - name.size(), ' '), Printable(text), "\n");
  }
  return out;
}

}  // namespace transportd::ctl
