#include "clients/cpp/transportctl/terminal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "transports/api/error.h"
#include "transports/base/unique_fd.h"

namespace transportd::ctl {
namespace {

tcflag_t LocalFlags(int fd) {
  termios state = {};
  EXPECT_EQ(::tcgetattr(fd, &state), 0);
  return state.c_lflag;
}

TEST(RawTerminal, IsRawWhileItLives) {
  const UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(master.valid());
  ASSERT_EQ(::unlockpt(master.get()), 0);
  const UniqueFd fd(::ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(IsTerminal(fd.get()));
  const tcflag_t before = LocalFlags(fd.get());
  EXPECT_NE(before & ICANON, 0u);
  for (int round = 0; round < 2; ++round) {
    const auto terminal = RawTerminal::Enter(fd.get());
    ASSERT_THAT(terminal, IsOk());
    EXPECT_EQ(LocalFlags(fd.get()) & (ICANON | ECHO | ISIG), 0u);
  }
  EXPECT_EQ(LocalFlags(fd.get()), before);
}

TEST(RawTerminal, NeedsATerminal) {
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_FALSE(IsTerminal(null.get()));
  const auto terminal = RawTerminal::Enter(null.get());
  ASSERT_FALSE(terminal.ok());
  EXPECT_EQ(ToTransportError(terminal.status()).errno_number, ENOTTY);
}

}  // namespace
}  // namespace transportd::ctl
