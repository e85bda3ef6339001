#include "transports/base/signal_name.h"

#include <csignal>
#include <optional>

#include "gtest/gtest.h"

namespace transportd {
namespace {

TEST(SignalName, NamesWithAndWithoutPrefix) {
  EXPECT_EQ(SignalNumber("SIGTERM"), SIGTERM);
  EXPECT_EQ(SignalNumber("TERM"), SIGTERM);
  EXPECT_EQ(SignalNumber("HUP"), 1);
  EXPECT_EQ(SignalNumber("SIGKILL"), 9);
  EXPECT_EQ(SignalNumber("SIGSYS"), SIGSYS);
  EXPECT_EQ(SignalNumber("IOT"), SIGABRT);
  EXPECT_EQ(SignalNumber("CLD"), SIGCHLD);
}

TEST(SignalName, RealTimeSignals) {
  EXPECT_EQ(SignalNumber("RTMIN"), SIGRTMIN);
  EXPECT_EQ(SignalNumber("SIGRTMIN+2"), SIGRTMIN + 2);
  EXPECT_EQ(SignalNumber("RTMAX-1"), SIGRTMAX - 1);
  EXPECT_EQ(SignalNumber("SIGRTMAX"), 64);
}

TEST(SignalName, UnknownNames) {
  for (const char* name : {"", "SIG", "NOPE", "term", "SIGSIGTERM", "9", "RTMIN+", "RTMIN-1", "RTMIN+99", "RTMAX+1",
                           "RTMIN+1x", "RTMIN+-1"}) {
    EXPECT_EQ(SignalNumber(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace transportd
