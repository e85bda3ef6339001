#include "transports/base/sigpipe_block.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "gtest/gtest.h"
#include "transports/base/unique_fd.h"

namespace transportd {
namespace {

volatile std::sig_atomic_t signal_count = 0;
void CountSignal(int) { signal_count = signal_count + 1; }

class SigpipeBlockTest : public testing::Test {
 protected:
  void SetUp() override {
    signal_count = 0;
    struct sigaction action {};
    action.sa_handler = CountSignal;
    ASSERT_EQ(::sigaction(SIGPIPE, &action, &before_), 0);
  }
  void TearDown() override { ASSERT_EQ(::sigaction(SIGPIPE, &before_, nullptr), 0); }

  // Writes where nobody reads; returns the errno.
  static int WriteToNobody() {
    int fds[2];
    EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
    UniqueFd reader(fds[0]);
    const UniqueFd writer(fds[1]);
    reader.Reset();
    return ::write(writer.get(), "x", 1) < 0 ? errno : 0;
  }

  struct sigaction before_ {};
};

TEST_F(SigpipeBlockTest, NoSignalComesWhileItLivesNorAfterwards) {
  {
    const SigpipeBlock block;
    EXPECT_EQ(WriteToNobody(), EPIPE);
    errno = EPIPE;
  }
  EXPECT_EQ(errno, EPIPE) << "as it was";
  EXPECT_EQ(signal_count, 0);
  EXPECT_EQ(WriteToNobody(), EPIPE);
  EXPECT_EQ(signal_count, 1) << "as before";
}

TEST_F(SigpipeBlockTest, SignalThatWaitedBeforeStillWaits) {
  sigset_t sigpipe, before;
  ::sigemptyset(&sigpipe);
  ::sigaddset(&sigpipe, SIGPIPE);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &sigpipe, &before), 0);
  WriteToNobody();
  {
    const SigpipeBlock block;
    WriteToNobody();
  }
  EXPECT_EQ(signal_count, 0);
  ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, &before, nullptr), 0);
  EXPECT_EQ(signal_count, 1);
}

}  // namespace
}  // namespace transportd
