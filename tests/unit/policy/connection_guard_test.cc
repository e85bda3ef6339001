#include "server/policy/connection_guard.h"

#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "transports/api/error.h"

namespace transportd {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

SocketAddress Peer(std::string host) { return {.family = AddressFamily::kInet, .host = std::move(host), .port = 4711}; }

class ConnectionGuardTest : public testing::Test {
 protected:
  void Make(const PerSourceOptions& options) {
    AuditLogOptions log;
    log.target = *ParseAuditTarget(folder_.Path("audit"));
    log_ = *AuditLog::Create(std::move(log));
    guard_ = std::make_unique<ConnectionGuard>(options, *log_, clock_);
  }
  // Ends the log: its lines.
  std::vector<std::string> Records() {
    guard_.reset();
    log_.reset();
    std::vector<std::string> lines;
    std::ifstream file(folder_.Path("audit"));
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }
  void Fail(const std::string& peer) {
    guard_->Failed(peer, MakeError(absl::StatusCode::kUnauthenticated, "INVALID_CREDENTIALS", "the token is unknown"));
  }

  const TempDir folder_;
  FakeClock clock_;
  std::unique_ptr<AuditLog> log_;
  std::unique_ptr<ConnectionGuard> guard_;
};

TEST_F(ConnectionGuardTest, RecordsWhoWasIdentified) {
  Make({});
  guard_->Identified({.principal = "spiffe://example/ci", .peer = "ipv4:192.0.2.1:4711", .method = "certificate"});
  EXPECT_THAT(Records(), ElementsAre(AllOf(HasSubstr("\"auth.ok\""), HasSubstr("\"TD1001I\""),
                                           HasSubstr("spiffe://example/ci"), HasSubstr("ipv4:192.0.2.1:4711"))));
}

TEST_F(ConnectionGuardTest, ASourceHasFewRecordsHoweverOftenItFails) {
  Make({});
  for (int i = 0; i < 1000; ++i) Fail("ipv4:192.0.2.1:" + std::to_string(10000 + i));
  Fail("ipv4:192.0.2.2:1");
  clock_.Advance(seconds(15));
  Fail("ipv4:192.0.2.1:1");
  const std::vector<std::string> records = Records();
  // Each time that there were as many again; then one of each.
  ASSERT_EQ(records.size(), 3u + 7u + 2u);
  EXPECT_THAT(records[0], AllOf(HasSubstr("\"TD1002W\""), HasSubstr("the token is unknown"), Not(HasSubstr("count"))));
  EXPECT_THAT(records[3], HasSubstr("\"count\":3"));
  EXPECT_THAT(records[10], HasSubstr("192.0.2.2"));
  EXPECT_THAT(records[11], HasSubstr("192.0.2.1:1\""));
  // What was not recorded of them is told.
  size_t told = 0;
  for (const std::string& record : records) {
    constexpr std::string_view kCount = "\"count\":";
    const size_t at = record.find(kCount);
    told += 1 + (at == std::string::npos ? 0 : std::stoul(record.substr(at + kCount.size())));
  }
  EXPECT_EQ(told, 1002u);
}

TEST_F(ConnectionGuardTest, RefusalsHaveFewRecordsHoweverManyThereAre) {
  Make({});
  clock_.Advance(ConnectionGuard::kRefusalPeriod);
  for (int i = 0; i < 1000; ++i) guard_->Refused(Peer("192.0.2." + std::to_string(i % 7)), "too many");
  for (int i = 0; i < 100; ++i) guard_->Refused(Peer("198.51.100." + std::to_string(i)), "too many");
  clock_.Advance(ConnectionGuard::kRefusalPeriod);
  guard_->Refused({.family = AddressFamily::kInet6, .host = "2001:db8::1", .port = 1}, "too many");
  const std::vector<std::string> records = Records();
  ASSERT_EQ(records.size(), 1u + ConnectionGuard::kMaxRefusalRecords);
  EXPECT_THAT(records.front(), AllOf(HasSubstr("\"TD1003W\""), HasSubstr("too many"), HasSubstr("192.0.2.0")));
  EXPECT_THAT(records.back(), AllOf(HasSubstr("\"count\":97"), HasSubstr("\"ipv6:[2001:db8::1]:1\"")));
}

TEST_F(ConnectionGuardTest, NobodyIsRefusedForFailuresWhenThatIsSwitchedOff) {
  Make({.refuse_after_failures = false});
  for (int i = 0; i < 100; ++i) Fail("ipv4:192.0.2.1:1");
  EXPECT_THAT(guard_->Admit(Peer("192.0.2.1")), IsOk());
  EXPECT_EQ(Records().size(), 3u + 4u);
}

TEST_F(ConnectionGuardTest, UnixSocketsFillNoLogEither) {
  Make({});
  for (int i = 0; i < 100; ++i) Fail("unix:");
  EXPECT_THAT(guard_->Admit({.family = AddressFamily::kUnix}), IsOk());
  EXPECT_EQ(Records().size(), 3u + 4u);
}

}  // namespace
}  // namespace transportd
