#include "server/policy/audit_tally.h"

#include <algorithm>

namespace transportd {
namespace {

std::string Short(std::string_view text) { return std::string(text.substr(0, kMaxAuditStringBytes)); }

// What was asked for, as far as one text says it.
std::string_view RequestedOf(const AuditResource& resource) {
  for (const std::string_view text : {resource.requested, resource.program, resource.path}) {
    if (!text.empty()) return text;
  }
  return {};
}

}  // namespace

void AuditTally::Count(const AuditRecord& record, std::string_view uid, std::chrono::system_clock::time_point time) {
  Key key = {.event = record.event,
             .decision = record.decision,
             .rule = Short(record.quota.empty() ? record.rule : record.quota),
             .shadow = record.shadow};
  MutexLock lock(mutex_);
  const auto found = counts_.find(key);
  if (found != counts_.end()) {
    ++found->second;
  } else {
    // A policy that is loaded again and again may bring ever new rules.
    if (counts_.size() >= kMaxRuleCount) key.rule = kOtherRules;
    ++counts_[key];
  }
  if (record.decision != AuditDecision::kDeny) return;
  if (denials_.size() == kMaxDenialCount) denials_.pop_back();
  denials_.push_front({.time = time,
                       .principal = Short(record.principal),
                       .session_prefix = record.session == nullptr ? std::string() : record.session->prefix(),
                       .event = record.event,
                       .action = Short(record.action),
                       .requested = Short(RequestedOf(record.resource)),
                       .resolved = Short(record.resource.resolved),
                       .rule = std::move(key.rule),
                       .uid = std::string(uid)});
  if (!record.resource.address_class.empty()) {
    denials_.front().resolved += " (" + Short(record.resource.address_class) + ")";
  }
}

std::map<AuditTally::Key, uint64_t> AuditTally::Counts() const {
  MutexLock lock(mutex_);
  return counts_;
}

std::vector<AuditTally::Denial> AuditTally::Denials() const {
  MutexLock lock(mutex_);
  return {denials_.begin(), denials_.end()};
}

}  // namespace transportd
