#include "transports/base/unique_fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "gtest/gtest.h"

namespace transportd {
namespace {

int OpenNull() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool IsOpen(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(UniqueFd, ClosesAtTheEndOfItsScope) {
  int number = -1;
  {
    UniqueFd fd(OpenNull());
    number = fd.get();
    EXPECT_TRUE(IsOpen(number));
  }
  EXPECT_FALSE(IsOpen(number));
}

TEST(UniqueFd, MoveHandsTheDescriptorOn) {
  UniqueFd a(OpenNull());
  const int number = a.get();
  UniqueFd b(std::move(a));
  EXPECT_FALSE(a.valid());  // NOLINT(bugprone-use-after-move): documented.
  EXPECT_EQ(b.get(), number);
  UniqueFd c(OpenNull());
  const int replaced = c.get();
  c = std::move(b);
  EXPECT_EQ(c.get(), number);
  EXPECT_FALSE(IsOpen(replaced));
  EXPECT_TRUE(IsOpen(number));
}

TEST(UniqueFd, ReleaseLeavesItOpen) {
  UniqueFd a(OpenNull());
  UniqueFd b(a.Release());
  EXPECT_FALSE(a.valid());
  EXPECT_TRUE(IsOpen(b.get()));
}

TEST(UniqueFd, FailedSystemCallIsNone) {
  UniqueFd fd(-1);
  EXPECT_FALSE(fd.valid());
  fd.Reset();
  EXPECT_EQ(fd.get(), -1);
}

TEST(UniqueFd, ResetKeepsErrno) {
  UniqueFd fd(OpenNull());
  errno = ETIMEDOUT;
  fd.Reset();
  EXPECT_EQ(errno, ETIMEDOUT);
}

TEST(UniqueFdDeathTest, DescriptorThatSomebodyElseClosedAborts) {
  EXPECT_DEATH(
      {
        UniqueFd a(OpenNull());
        UniqueFd b(a.get());
        b.Reset();
        a.Reset();
      },
      "CHECK failed");
}

}  // namespace
}  // namespace transportd
