#include "server/admin/metrics.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>
#include <utility>

#include "server/admin/metrics_writer.h"
#include "server/session/session_stats.h"
#include "transports/api/protocol.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

constexpr double kNanoseconds = 1e9;
constexpr double kPlain = 1;
// In the order of Handle::Kind.
constexpr std::array<std::string_view, kHandleKindCount> kKinds = {"stream", "server", "datagram", "socket",
                                                                   "subprocess"};
// By number: google/rpc/code.proto.
constexpr std::array<std::string_view, kCodeCount> kCodes = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

double Seconds(const google::protobuf::Timestamp& time) {
  return static_cast<double>(time.seconds()) + time.nanos() / kNanoseconds;
}
double Seconds(const google::protobuf::Duration& time) {
  return static_cast<double>(time.seconds()) + time.nanos() / kNanoseconds;
}
double Seconds(std::chrono::system_clock::time_point time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

std::string_view NameOf(AuditDecision decision) {
  switch (decision) {
    case AuditDecision::kNone:
      return "none";
    case AuditDecision::kAllow:
      return "allow";
    case AuditDecision::kDeny:
      return "deny";
  }
  return "";
}

// The sum over all loops of one of their counters.
template <typename Pick>
uint64_t Sum(const ServiceStats& stats, Pick pick) {
  uint64_t sum = 0;
  for (const ServiceStats::Loop& loop : stats.loops) sum += pick(*loop.sessions).value();
  return sum;
}
template <typename Pick>
auto SumHistograms(const ServiceStats& stats, Pick pick) {
  auto sum = pick(*stats.loops.front().sessions).Read();
  for (size_t i = 1; i < stats.loops.size(); ++i) sum += pick(*stats.loops[i].sessions).Read();
  return sum;
}

void WriteTransports(const ServiceStats& stats, MetricsWriter& out) {
  out.Gauge("transports", "Open transports and servers.");
  for (size_t i = 0; i < kHandleKindCount; ++i) {
    // In this order, so that it is never less than nothing.
    const uint64_t closed = Sum(
        stats, [i](const SessionStats& s) -> auto& { return s.closed_count[i]; });
    const uint64_t opened = Sum(
        stats, [i](const SessionStats& s) -> auto& { return s.opened_count[i]; });
    out.Sample(opened - closed, {{"kind", kKinds[i]}});
  }
  out.Counter("transports_opened_total", "Transports and servers that were opened.");
  for (size_t i = 0; i < kHandleKindCount; ++i) {
    out.Sample(Sum(
                   stats, [i](const SessionStats& s) -> auto& { return s.opened_count[i]; }),
               {{"kind", kKinds[i]}});
  }
  out.Counter("transports_lost_total", "Transports that ended, by the cause that connection_lost told.");
  for (size_t i = 0; i < kEndCauseCount; ++i) {
    out.Sample(Sum(
                   stats, [i](const SessionStats& s) -> auto& { return s.lost_count[i]; }),
               {{"cause", EndCauseName(static_cast<EndCause>(i))}});
  }
  out.Counter("transport_bytes_total", "Bytes from and to sockets and pipes.");
  for (const size_t i : {size_t{0}, size_t{2}}) {  // Streams and datagrams.
    out.Sample(Sum(
                   stats, [i](const SessionStats& s) -> auto& { return s.received_bytes[i]; }),
               {{"kind", kKinds[i]}, {"direction", "received"}});
    out.Sample(Sum(
                   stats, [i](const SessionStats& s) -> auto& { return s.sent_bytes[i]; }),
               {{"kind", kKinds[i]}, {"direction", "sent"}});
  }
  out.Counter("datagrams_dropped_total", "Datagrams that were lost on this host, of endpoints that have ended.");
  out.Sample(Sum(
                 stats, [](const SessionStats& s) -> auto& { return s.dropped_received_count; }),
             {{"direction", "received"}});
  out.Sample(Sum(
                 stats, [](const SessionStats& s) -> auto& { return s.dropped_sent_count; }),
             {{"direction", "sent"}});
  out.Counter("reading_pauses_total",
              "Times that a transport was not read although it might have: its window was spent, or its session's.");
  out.Sample(Sum(
                 stats, [](const SessionStats& s) -> auto& { return s.window_pause_count; }),
             {{"scope", "window"}});
  out.Sample(Sum(
                 stats, [](const SessionStats& s) -> auto& { return s.session_pause_count; }),
             {{"scope", "session"}});
}

void WriteFrames(const ServiceStats& stats, MetricsWriter& out) {
  constexpr char kFrames[] = "Messages of sessions' streams, by their size.";
  out.Histogram("frame_bytes", kFrames, kFrameBoundsBytes,
                SumHistograms(
                    stats, [](const SessionStats& s) -> auto& { return s.received_frame_bytes; }),
                kPlain, {{"direction", "received"}});
  out.Histogram("frame_bytes", kFrames, kFrameBoundsBytes,
                SumHistograms(
                    stats, [](const SessionStats& s) -> auto& { return s.sent_frame_bytes; }),
                kPlain, {{"direction", "sent"}});
  out.Counter("callbacks_total", "Callbacks in the frames that were sent.");
  out.Sample(Sum(
      stats, [](const SessionStats& s) -> auto& { return s.sent_callback_count; }));
}

void WriteCommands(const ServiceStats& stats, MetricsWriter& out) {
  const google::protobuf::Descriptor& commands = *v1::Command::descriptor();
  out.Counter("commands_total", "Commands that were answered, with the status code; write and sendto when they came.");
  for (size_t number = 0; number < kCommandNumberCount; ++number) {
    for (size_t code = 0; code < kCodeCount; ++code) {
      const uint64_t count = Sum(
          stats, [&](const SessionStats& s) -> auto& { return s.command_count[number][code]; });
      if (count == 0) continue;
      out.Sample(count,
                 {{"command", commands.FindFieldByNumber(static_cast<int>(number))->name()}, {"code", kCodes[code]}});
    }
  }
  for (size_t number = 0; number < kCommandNumberCount; ++number) {
    const auto counts = SumHistograms(
        stats, [number](const SessionStats& s) -> auto& { return s.command_ns[number]; });
    if (std::all_of(counts.counts.begin(), counts.counts.end(), [](uint64_t count) { return count == 0; })) continue;
    out.Histogram("command_duration_seconds", "From a command's arrival at its session to its answer.",
                  kCommandBoundsNs, counts, kNanoseconds,
                  {{"command", commands.FindFieldByNumber(static_cast<int>(number))->name()}});
  }
}

void WriteLoops(const ServiceStats& stats, MetricsWriter& out) {
  out.Gauge("event_loop_sessions", "Sessions of each event loop.");
  for (size_t i = 0; i < stats.loops.size(); ++i) {
    out.Sample(uint64_t{stats.loops[i].session_count}, {{"loop", StrCat(i)}});
  }
  out.Gauge("event_loop_lag_seconds",
            "The longest turn of the last 10 to 20 seconds: so long may something have waited that was ready.");
  for (size_t i = 0; i < stats.loops.size(); ++i) {
    const ServiceStats::Loop& loop = stats.loops[i];
    out.Sample(static_cast<double>(loop.reactor->longest_turn_ns.Read(loop.time)) / kNanoseconds,
               {{"loop", StrCat(i)}});
  }
  for (size_t i = 0; i < stats.loops.size(); ++i) {
    out.Histogram("event_loop_turn_seconds",
                  "How long the turns of an event loop took, without waiting; their sum is how long it was busy.",
                  kTurnBoundsNs, stats.loops[i].reactor->turn_ns.Read(), kNanoseconds, {{"loop", StrCat(i)}});
  }
}

void WriteUsage(const ServiceStats& stats, MetricsWriter& out) {
  const auto gauge = [&out](std::string_view name, std::string_view help, uint64_t value) {
    out.Gauge(name, help);
    out.Sample(value);
  };
  gauge("sessions", "Open sessions.", stats.session_count);
  gauge("sessions_limit", "--max-session-count.", stats.limits.max_session_count);
  out.Counter("sessions_opened_total", "Sessions that were opened.");
  out.Sample(Sum(
      stats, [](const SessionStats& s) -> auto& { return s.opened_session_count; }));
  gauge("transport_places", "Places of transports and servers, those under way included.", stats.transport_count);
  gauge("transport_places_limit", "--max-transport-count.", stats.limits.max_transport_count);
  gauge("buffered_bytes", "What all sessions hold in buffers, both ways.", stats.buffered_bytes);
  gauge("buffered_bytes_limit", "--buffered-bytes.", stats.limits.buffered_bytes);
}

// Of one metric each, because its samples must follow one another.
void WriteRecords(const SecurityStats& stats, MetricsWriter& out) {
  std::map<std::pair<AuditEvent, AuditDecision>, uint64_t> records;
  std::map<std::string, uint64_t> quotas;
  std::map<AuditEvent, uint64_t> differences;
  for (const auto& [key, count] : stats.records) {
    records[{key.event, key.decision}] += count;
    if (key.event == AuditEvent::kQuotaReject) quotas[key.rule] += count;
    if (key.shadow != AuditDecision::kNone && key.shadow != key.decision) differences[key.event] += count;
  }
  out.Counter("audit_records_total", "Records of the audit log, written or not: what happened, and what was decided.");
  for (const auto& [key, count] : records) {
    out.Sample(count, {{"event", InfoOf(key.first).name}, {"decision", NameOf(key.second)}});
  }
  out.Counter("policy_decisions_total", "Decisions of the policy, by the rule that made them.");
  std::map<std::tuple<AuditEvent, AuditDecision, std::string>, uint64_t> decisions;
  for (const auto& [key, count] : stats.records) {
    if (key.decision == AuditDecision::kNone || key.event == AuditEvent::kQuotaReject) continue;
    decisions[{key.event, key.decision, key.rule}] += count;
  }
  for (const auto& [key, count] : decisions) {
    const auto& [event, decision, rule] = key;
    out.Sample(count, {{"event", InfoOf(event).name}, {"decision", NameOf(decision)}, {"rule", rule}});
  }
  out.Counter("policy_shadow_differences_total", "Decisions that the shadow policy would have made otherwise.");
  for (const auto& [event, count] : differences) out.Sample(count, {{"event", InfoOf(event).name}});
  out.Counter("quota_rejections_total", "What was refused because a quota was used up.");
  for (const auto& [quota, count] : quotas) out.Sample(count, {{"quota", quota}});
}

void WriteSecurity(const SecurityStats& stats, MetricsWriter& out) {
  WriteRecords(stats, out);
  out.Gauge("quota_held", "What all principals together hold.");
  for (size_t i = 0; i < kQuotaKindCount; ++i) {
    out.Sample(stats.quotas.held[i], {{"quota", NameOf(static_cast<QuotaKind>(i))}});
  }
  out.Gauge("principals", "Principals who hold something.");
  out.Sample(uint64_t{stats.quotas.principals.size()});
  out.Counter("audit_written_total", "Records that the audit log has written.");
  out.Sample(stats.audit.written_count);
  out.Counter("audit_lost_total", "Records that the audit log has lost.");
  out.Sample(stats.audit.lost_count);
  out.Counter("audit_refused_total", "What was refused because it could not be recorded.");
  out.Sample(stats.audit.refused_count);
  out.Gauge("audit_queued", "Records that wait to be written.");
  out.Sample(uint64_t{stats.audit.queued_count});
  out.Gauge("file_good", "1: the file could be used when it was last read. 0: the last good one is in force.");
  for (const SecurityStats::File& file : stats.files) out.Sample(uint64_t{file.is_good}, {{"file", file.kind}});
  out.Gauge("file_load_timestamp_seconds", "When what is in force of the file was read.");
  for (const SecurityStats::File& file : stats.files) out.Sample(Seconds(file.load_time), {{"file", file.kind}});
}

void WriteService(const MetricsSources& sources, const v1::GetStatusResponse& status, MetricsWriter& out) {
  out.Gauge("build_info", "Always 1; what runs is in the labels.");
  out.Sample(uint64_t{1}, {{"version", TRANSPORTD_VERSION}, {"grpc_version", sources.grpc_version}});
  out.Gauge("draining", "1 from the first SIGTERM on.");
  out.Sample(uint64_t{sources.manager->IsDraining()});
  if (status.has_policy()) {
    out.Gauge("policy_info", "Always 1; the policy in force is in the labels.");
    out.Sample(uint64_t{1}, {{"version", status.policy().version()}, {"sha256", status.policy().sha256()}});
  }
  if (status.certificates_size() != 0) {
    out.Gauge("certificate_expiry_timestamp_seconds", "When the certificate ends to be valid.");
    for (const v1::CertificateStatus& certificate : status.certificates()) {
      out.Sample(Seconds(certificate.not_after()), {{"certificate", certificate.name()}});
    }
  }
  const v1::ProcessStatus& process = status.process();
  out.Counter("process_cpu_seconds_total", "Processor time, user and system.");
  out.Sample(Seconds(process.cpu_time()));
  out.Gauge("process_resident_memory_bytes", "Resident memory.");
  out.Sample(process.resident_bytes());
  out.Gauge("process_open_fds", "Open file descriptors.");
  out.Sample(uint64_t{process.open_fd_count()});
  out.Gauge("process_max_fds", "The most file descriptors that it may have.");
  out.Sample(process.max_fd_count());
  out.Gauge("process_start_time_seconds", "When it began.");
  out.Sample(Seconds(sources.start_time));
}

}  // namespace

std::string WriteMetrics(const MetricsSources& sources) {
  MetricsWriter out;
  v1::GetStatusResponse status;
  sources.describe_service(status);
  WriteService(sources, status, out);
  const ServiceStats stats = sources.manager->Stats();
  WriteUsage(stats, out);
  WriteTransports(stats, out);
  WriteFrames(stats, out);
  WriteCommands(stats, out);
  WriteLoops(stats, out);
  if (const std::optional<SecurityStats> security = sources.security->Stats()) WriteSecurity(*security, out);
  return out.Take();
}

}  // namespace transportd
