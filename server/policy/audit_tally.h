// The audit log in numbers: how many records of which kind, and the last that denied something.
#ifndef TRANSPORTD_SERVER_POLICY_AUDIT_TALLY_H_
#define TRANSPORTD_SERVER_POLICY_AUDIT_TALLY_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "server/policy/audit_record.h"
#include "transports/base/mutex.h"

namespace transportd {

// Threading: any thread.
class AuditTally final {
 public:
  // One kind of record. The texts are empty where the record has none.
  struct Key {
    AuditEvent event = AuditEvent::kServiceStart;
    AuditDecision decision = AuditDecision::kNone;
    std::string rule = {};  // kOtherRules when too many are counted already.
    AuditDecision shadow = AuditDecision::kNone;

    friend bool operator<(const Key& a, const Key& b) {
      return std::tie(a.event, a.decision, a.rule, a.shadow) < std::tie(b.event, b.decision, b.rule, b.shadow);
    }
  };
  // A record that denied something; its texts as far as an audit line has them.
  struct Denial {
    std::chrono::system_clock::time_point time = {};
    std::string principal = {};
    std::string session_prefix = {};
    AuditEvent event = AuditEvent::kServiceStart;
    std::string action = {};
    std::string requested = {};
    std::string resolved = {};
    std::string rule = {};  // Of a quota its name.
    std::string uid = {};
  };

  static constexpr size_t kMaxRuleCount = 1000;
  static constexpr size_t kMaxDenialCount = 256;
  static constexpr char kOtherRules[] = "other";

  // Once for each record, whether it is written or not.
  void Count(const AuditRecord& record, std::string_view uid, std::chrono::system_clock::time_point time);

  std::map<Key, uint64_t> Counts() const;
  // Newest first.
  std::vector<Denial> Denials() const;

 private:
  mutable Mutex mutex_;
  std::map<Key, uint64_t> counts_ ABSL_GUARDED_BY(mutex_);
  std::deque<Denial> denials_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_AUDIT_TALLY_H_
