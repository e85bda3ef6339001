#include "server/policy/connection_guard.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "server/policy/identity.h"
#include "server/policy/peer_name.h"
#include "transports/api/error.h"

namespace transportd {

// None of these records allows anything: that one cannot be written changes nothing.

void ConnectionGuard::Refused(const SocketAddress& peer, std::string_view cause) {
  const std::optional<IpAddress> address = IpAddress::From(peer);
  if (!address) return;
  const IpAddress source = PerSourceLimiter::SourceOf(*address);
  AuditRecord record;
  {
    MutexLock lock(mutex_);
    const TimePoint now = clock_.Now();
    if (now - period_began_at_ >= kRefusalPeriod) {
      period_began_at_ = now;
      recorded_sources_.clear();
    }
    const bool is_recorded =
        std::find(recorded_sources_.begin(), recorded_sources_.end(), source) != recorded_sources_.end();
    if (is_recorded || recorded_sources_.size() >= kMaxRefusalRecords) {
      ++unrecorded_count_;
      return;
    }
    recorded_sources_.push_back(source);
    if (unrecorded_count_ > 0) record.count = std::exchange(unrecorded_count_, 0);
  }
  const std::string name = DecodedPeer(PeerName(peer));
  record.event = AuditEvent::kAuthRefused;
  record.peer = name;
  record.cause = cause;
  audit_.Write(record).IgnoreError();
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
  const std::string name = DecodedPeer(peer);
  AuditRecord record;
  record.event = AuditEvent::kAuthFail;
  record.peer = name;
  record.cause = cause;
  if (*failure.unrecorded_count > 0) record.count = *failure.unrecorded_count;
  audit_.Write(record).IgnoreError();
  return failure.is_refused;
}

}  // namespace transportd
