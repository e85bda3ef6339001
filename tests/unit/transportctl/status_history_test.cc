#include "clients/cpp/transportctl/status_history.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace transportd::ctl {
namespace {

using testing::ElementsAre;

v1::GetStatusResponse Status(int64_t seconds, uint64_t received_bytes) {
  v1::GetStatusResponse status;
  status.mutable_time()->set_seconds(1000 + seconds);
  status.mutable_version()->mutable_uptime()->set_seconds(seconds);
  status.mutable_usage()->set_received_bytes(received_bytes);
  return status;
}

TEST(StatusHistory, RatesAreThoseBetweenTheLastTwo) {
  StatusHistory history;
  EXPECT_FALSE(history.has_status());
  history.Add(Status(10, 500));
  EXPECT_EQ(history.total_rate().received, 0);
  history.Add(Status(12, 700));
  EXPECT_EQ(history.total_rate().received, 100);
  history.Add(Status(13, 700));
  EXPECT_EQ(history.total_rate().received, 0);
}

TEST(StatusHistory, ANewTransportHasGotAllSinceTheLastLook) {
  StatusHistory history;
  history.Add(Status(10, 0));
  v1::GetStatusResponse status = Status(12, 0);
  v1::TransportInfo& transport = *status.add_transports();
  transport.set_session_prefix("s");
  transport.set_transport_id(1);
  transport.set_sent_bytes(50);
  v1::SessionInfo session;
  session.set_session_prefix("s");
  history.Add(status);
  EXPECT_EQ(history.RateOf(transport).sent, 25);
  EXPECT_EQ(history.RateOf(session).sent, 25);
}

TEST(StatusHistory, TheLastMinuteInColumns) {
  StatusHistory history;
  history.Add(Status(100, 0));
  history.Add(Status(130, 300));
  history.Add(Status(145, 300));
  EXPECT_THAT(history.ReceivedMinute(4), ElementsAre(-1, 10, 10, 0));
  EXPECT_THAT(history.ReceivedMinute(0), ElementsAre());
  history.Add(Status(245, 300));
  EXPECT_THAT(history.ReceivedMinute(2), ElementsAre(0, 0));
}

TEST(StatusHistory, AServiceThatWasStartedAnewBeginsAnew) {
  StatusHistory history;
  history.Add(Status(100, 1000));
  v1::GetStatusResponse anew = Status(5, 10);
  anew.mutable_time()->set_seconds(2000);
  history.Add(anew);
  EXPECT_EQ(history.total_rate().received, 0);
  EXPECT_EQ(history.status().usage().received_bytes(), 10u);
}

}  // namespace
}  // namespace transportd::ctl
