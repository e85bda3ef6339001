// The audit of datagrams: a record for each would be a flood.
#ifndef TRANSPORTD_SERVER_POLICY_DATAGRAM_AUDIT_H_
#define TRANSPORTD_SERVER_POLICY_DATAGRAM_AUDIT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "server/policy/audit_log.h"
#include "transports/api/address.h"

namespace transportd {

// What one transport sends: the first datagram to a destination has a record of its own, of the decision; how many
// there were in all is said when the transport closes. Allowed and denied ones are counted apart, so that neither can
// hide the other. Threading: one thread at a time.
class DatagramAudit final {
 public:
  // At most so many destinations, allowed and denied each. The others are counted together.
  explicit DatagramAudit(size_t max_destination_count = 128) : max_destination_count_(max_destination_count) {}

  // Before a datagram is sent, or not. True: it needs its record. Allocates for a new destination only.
  bool Count(const SocketAddress& destination, bool allowed, size_t bytes);

  // Takes back what Count said, when its record was refused: the next one to there is the first again.
  void Uncount(const SocketAddress& destination, bool allowed, size_t bytes);

  // At the end: writes a `transport.sendto.summary` for each destination that had more than one, and one without a
  // destination for those that found no room. `common` is what all have: session, principal, transport. Forgets all.
  void WriteSummaries(AuditLog& log, const AuditRecord& common);

 private:
  struct Hash {
    size_t operator()(const SocketAddress& address) const;
  };
  struct Tally {
    uint64_t count = 0;
    uint64_t bytes = 0;
  };
  struct Side {
    std::unordered_map<SocketAddress, Tally, Hash> destinations;
    Tally others;
  };

  Side& SideOf(bool allowed) { return sides_[allowed ? 0 : 1]; }

  const size_t max_destination_count_;
  std::array<Side, 2> sides_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_DATAGRAM_AUDIT_H_
