#include "server/policy/connection_guard.h"

#include <optional>
#include <string>

#include "server/policy/peer_name.h"
#include "transports/api/error.h"

namespace transportd {

// None of these records allows anything: that one cannot be written changes nothing.

absl::StatusOr<PerSourceLimiter::Lease> ConnectionGuard::Admit(const SocketAddress& peer) {
  bool is_news = false;
  absl::StatusOr<PerSourceLimiter::Lease> lease = limiter_.Admit(peer, &is_news);
  if (lease.ok() || !is_news) return lease;
  const std::string name = PeerName(peer);
  const std::string cause(ToTransportError(lease.status()).message);
  AuditRecord record;
  record.event = AuditEvent::kAuthRefused;
  record.peer = name;
  record.cause = cause;
  audit_.Write(record).IgnoreError();
  return lease;
}

void ConnectionGuard::Identified(const Caller& caller) {
  AuditRecord record;
  record.event = AuditEvent::kAuthOk;
  record.principal = caller.principal;
  record.auth_method = caller.method;
  record.credential = caller.credential;
  record.peer = caller.peer;
  audit_.Write(record).IgnoreError();
}

bool ConnectionGuard::Failed(std::string_view peer, const absl::Status& why) {
  const std::optional<SocketAddress> address = ParsePeerName(peer);
  if (!address) return false;
  const PerSourceLimiter::Failure failure = limiter_.AuthFailed(*address);
  if (!failure.unrecorded_count) return failure.is_refused;
  const std::string cause(ToTransportError(why).message);
  AuditRecord record;
  record.event = AuditEvent::kAuthFail;
  record.peer = peer;
  record.cause = cause;
  if (*failure.unrecorded_count > 0) record.count = *failure.unrecorded_count;
  audit_.Write(record).IgnoreError();
  return failure.is_refused;
}

}  // namespace transportd
