#include "server/policy/datagram_audit.h"

#include <functional>
#include <string>
#include <string_view>

namespace transportd {

size_t DatagramAudit::Hash::operator()(const SocketAddress& address) const {
  const std::hash<std::string_view> text;
  size_t hash = text(address.host) ^ static_cast<size_t>(address.family);
  for (const size_t part :
       {static_cast<size_t>(address.port), static_cast<size_t>(address.scope_id), text(address.path)}) {
    hash = hash * 1099511628211U + part;
  }
  return hash;
}

bool DatagramAudit::Count(const SocketAddress& destination, bool allowed, size_t bytes) {
  Side& side = SideOf(allowed);
  auto found = side.destinations.find(destination);
  const bool is_first = found == side.destinations.end();
  if (is_first && side.destinations.size() < max_destination_count_) {
    found = side.destinations.try_emplace(destination).first;
  }
  const bool has_room = found != side.destinations.end();
  Tally& tally = has_room ? found->second : side.others;
  ++tally.count;
  tally.bytes += bytes;
  return is_first && has_room;
}

void DatagramAudit::Uncount(const SocketAddress& destination, bool allowed, size_t bytes) {
  Side& side = SideOf(allowed);
  const auto found = side.destinations.find(destination);
  Tally& tally = found != side.destinations.end() ? found->second : side.others;
  if (tally.count == 0) return;
  --tally.count;
  tally.bytes -= bytes;
  if (found != side.destinations.end() && tally.count == 0) side.destinations.erase(found);
}

void DatagramAudit::WriteSummaries(AuditLog& log, const AuditRecord& common) {
  for (const bool allowed : {true, false}) {
    AuditRecord record = common;
    record.event = AuditEvent::kSendtoSummary;
    record.decision = allowed ? AuditDecision::kAllow : AuditDecision::kDeny;
    const auto write = [&](std::string_view destination, const Tally& tally) {
      record.resource.resolved = destination;
      record.count = tally.count;
      // Of a denied one nothing went out.
      if (allowed) record.bytes_out = tally.bytes;
      // What is over cannot be refused any more; the log counts what it loses.
      (void)log.Write(record);
    };
    Side& side = SideOf(allowed);
    for (const auto& [destination, tally] : side.destinations) {
      if (tally.count > 1) write(destination.ToString(), tally);
    }
    if (side.others.count > 0) {
      record.cause = "more destinations than are counted apart";
      write("", side.others);
    }
    side = Side();
  }
}

}  // namespace transportd
