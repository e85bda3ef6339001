#include "server/policy/audit_tally.h"

#include <string>

#include "gtest/gtest.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

AuditRecord Decided(AuditDecision decision, std::string_view rule) {
  AuditRecord record;
  record.event = AuditEvent::kConnect;
  record.decision = decision;
  record.rule = rule;
  record.principal = "alice";
  record.resource.requested = "db.lab:5432";
  record.resource.resolved = "10.1.2.3:5432";
  record.resource.address_class = "PRIVATE";
  return record;
}

TEST(AuditTally, CountsByEventDecisionAndRule) {
  AuditTally tally;
  for (int i = 0; i < 3; ++i) tally.Count(Decided(AuditDecision::kAllow, "a/b"), "", {});
  tally.Count(Decided(AuditDecision::kDeny, "a/b"), "1", {});
  const auto counts = tally.Counts();
  ASSERT_EQ(counts.size(), 2u);
  EXPECT_EQ(counts.at({.event = AuditEvent::kConnect, .decision = AuditDecision::kAllow, .rule = "a/b"}), 3u);
}

TEST(AuditTally, RemembersTheLastDenialsNewestFirst) {
  AuditTally tally;
  for (size_t i = 0; i < AuditTally::kMaxDenialCount + 10; ++i) {
    tally.Count(Decided(AuditDecision::kDeny, "deny/x"), StrCat(i), {});
    tally.Count(Decided(AuditDecision::kAllow, "a/b"), "", {});
  }
  const auto denials = tally.Denials();
  ASSERT_EQ(denials.size(), AuditTally::kMaxDenialCount);
  EXPECT_EQ(denials.front().uid, StrCat(AuditTally::kMaxDenialCount + 9));
  EXPECT_EQ(denials.front().requested, "db.lab:5432");
  EXPECT_EQ(denials.front().resolved, "10.1.2.3:5432 (PRIVATE)");
  EXPECT_EQ(denials.back().uid, "10");
}

TEST(AuditTally, ManyRulesAreOther) {
  AuditTally tally;
  for (size_t i = 0; i < AuditTally::kMaxRuleCount + 50; ++i) {
    tally.Count(Decided(AuditDecision::kAllow, StrCat("rule", i)), "", {});
  }
  const auto counts = tally.Counts();
  EXPECT_EQ(counts.size(), AuditTally::kMaxRuleCount + 1);
  EXPECT_EQ(counts.at({.event = AuditEvent::kConnect, .decision = AuditDecision::kAllow, .rule = "other"}), 50u);
}

}  // namespace
}  // namespace transportd
