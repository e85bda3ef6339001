#include "server/policy/datagram_audit.h"

#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/json.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace transportd {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

SocketAddress Destination(uint16_t port) { return {.family = AddressFamily::kInet, .host = "192.0.2.1", .port = port}; }

class DatagramAuditTest : public testing::Test {
 protected:
  DatagramAuditTest() {
    auto log = AuditLog::Create({.target = {.kind = AuditTarget::Kind::kFile, .fd = -1, .path = path_}});
    EXPECT_THAT(log, IsOk());
    log_ = *std::move(log);
  }

  // What the log has; afterwards there is none.
  std::vector<Json> Lines() {
    log_.reset();
    std::vector<Json> lines;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);) lines.push_back(ReadJson(line).value_or(Json()));
    return lines;
  }

  const TempDir folder_;
  const std::string path_ = folder_.Path("audit.jsonl");
  std::unique_ptr<AuditLog> log_;
};

TEST_F(DatagramAuditTest, OnlyTheFirstToADestinationNeedsARecord) {
  DatagramAudit audit;
  EXPECT_TRUE(audit.Count(Destination(1), true, 10));
  EXPECT_FALSE(audit.Count(Destination(1), true, 10));
  EXPECT_TRUE(audit.Count(Destination(2), true, 10));
  EXPECT_FALSE(audit.Count(Destination(2), true, 10));
}

TEST_F(DatagramAuditTest, EachPartOfAnAddressMakesAnotherDestination) {
  DatagramAudit audit;
  EXPECT_TRUE(audit.Count({.family = AddressFamily::kInet6, .host = "fe80::1", .port = 1, .scope_id = 1}, true, 1));
  EXPECT_TRUE(audit.Count({.family = AddressFamily::kInet6, .host = "fe80::1", .port = 1, .scope_id = 2}, true, 1));
  EXPECT_TRUE(audit.Count({.family = AddressFamily::kInet6, .host = "fe80::2", .port = 1, .scope_id = 1}, true, 1));
  EXPECT_TRUE(audit.Count({.family = AddressFamily::kUnix, .path = "/run/a"}, true, 1));
  EXPECT_TRUE(audit.Count({.family = AddressFamily::kUnix, .path = "/run/b"}, true, 1));
  EXPECT_FALSE(audit.Count({.family = AddressFamily::kUnix, .path = "/run/a"}, true, 1));
}

TEST_F(DatagramAuditTest, ADecisionThatChangesNeedsARecord) {
  DatagramAudit audit;
  EXPECT_TRUE(audit.Count(Destination(1), true, 10));
  EXPECT_TRUE(audit.Count(Destination(1), false, 10));
  EXPECT_FALSE(audit.Count(Destination(1), true, 10));
}

TEST_F(DatagramAuditTest, SaysAtTheEndHowManyThereWere) {
  AuditSession session("0123456789");
  DatagramAudit audit;
  for (int i = 0; i < 5; ++i) audit.Count(Destination(1), true, 10);
  for (int i = 0; i < 3; ++i) audit.Count(Destination(2), false, 10);
  audit.Count(Destination(3), true, 10);
  audit.WriteSummaries(*log_, {.session = &session, .principal = "me", .transport = 4});
  audit.WriteSummaries(*log_, {});  // Nothing is left.
  const std::vector<Json> lines = Lines();
  ASSERT_THAT(lines, SizeIs(2));  // The single one has had its record.
  EXPECT_EQ(lines[0]["event"].text, "transport.sendto.summary");
  EXPECT_EQ(lines[0]["code"].text, "TD2012I");
  EXPECT_EQ(lines[0]["session"].text, "01234567");
  EXPECT_EQ(lines[0]["principal"].text, "me");
  EXPECT_EQ(lines[0]["transport"].text, "4");
  EXPECT_EQ(lines[0].At("resource.resolved").text, "192.0.2.1:1");
  EXPECT_EQ(lines[0]["decision"].text, "allow");
  EXPECT_EQ(lines[0]["count"].text, "5");
  EXPECT_EQ(lines[0]["bytes_out"].text, "50");
  EXPECT_EQ(lines[1]["code"].text, "TD2012W");
  EXPECT_EQ(lines[1].At("resource.resolved").text, "192.0.2.1:2");
  EXPECT_EQ(lines[1]["decision"].text, "deny");
  EXPECT_EQ(lines[1]["count"].text, "3");
  EXPECT_FALSE(lines[1].Has("bytes_out"));
}

TEST_F(DatagramAuditTest, CountsTheRestTogetherAndDenialsApart) {
  DatagramAudit audit(2);
  for (uint16_t port = 1; port <= 10; ++port) EXPECT_EQ(audit.Count(Destination(port), true, 1), port <= 2);
  EXPECT_TRUE(audit.Count(Destination(99), false, 1));  // Not hidden behind many that are allowed.
  audit.WriteSummaries(*log_, {});
  const std::vector<Json> lines = Lines();
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0]["count"].text, "8");
  EXPECT_EQ(lines[0]["bytes_out"].text, "8");
  EXPECT_FALSE(lines[0].Has("resource"));
  EXPECT_EQ(lines[0]["cause"].text, "more destinations than are counted apart");
}

TEST_F(DatagramAuditTest, WhatIsTakenBackIsTheFirstAgain) {
  DatagramAudit audit(1);
  EXPECT_TRUE(audit.Count(Destination(1), true, 10));
  audit.Uncount(Destination(1), true, 10);
  EXPECT_TRUE(audit.Count(Destination(1), true, 10));
  audit.Count(Destination(2), true, 10);
  audit.Uncount(Destination(2), true, 10);
  audit.Uncount(Destination(3), false, 10);  // Never counted.
  audit.WriteSummaries(*log_, {});
  EXPECT_THAT(Lines(), IsEmpty());
}

}  // namespace
}  // namespace transportd
