#include "transports/base/sigpipe_block.h"

#include <cerrno>
#include <ctime>

#include "transports/base/check.h"

namespace transportd {
namespace {

sigset_t OnlySigpipe() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGPIPE);
  return set;
}

bool IsPending() {
  sigset_t pending;
  CHECK(::sigpending(&pending) == 0);
  return ::sigismember(&pending, SIGPIPE) == 1;
}

}  // namespace

SigpipeBlock::SigpipeBlock() {
  const sigset_t sigpipe = OnlySigpipe();
  CHECK(::pthread_sigmask(SIG_BLOCK, &sigpipe, &mask_before_) == 0);
  // Blocked before, it may be waiting, and is not this scope's to take.
  was_pending_ = ::sigismember(&mask_before_, SIGPIPE) == 1 && IsPending();
}

SigpipeBlock::~SigpipeBlock() {
  const int err = errno;
  if (!was_pending_ && IsPending()) {
    const sigset_t sigpipe = OnlySigpipe();
    const timespec now{};
    while (::sigtimedwait(&sigpipe, nullptr, &now) < 0 && errno == EINTR) {
    }
  }
  CHECK(::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr) == 0);
  errno = err;
}

}  // namespace transportd
