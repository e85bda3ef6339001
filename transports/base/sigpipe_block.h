// For the system calls that have no MSG_NOSIGNAL.
#ifndef TRANSPORTD_TRANSPORTS_BASE_SIGPIPE_BLOCK_H_
#define TRANSPORTD_TRANSPORTS_BASE_SIGPIPE_BLOCK_H_

#include <csignal>

namespace transportd {

// While it lives, a write that nobody reads raises no SIGPIPE in this thread; EPIPE tells. A SIGPIPE that was waiting
// before still waits afterwards. Leaves errno as it was. Threading: the thread that made it.
class SigpipeBlock final {
 public:
  SigpipeBlock();
  SigpipeBlock(const SigpipeBlock&) = delete;
  SigpipeBlock& operator=(const SigpipeBlock&) = delete;
  ~SigpipeBlock();

 private:
  sigset_t mask_before_ = {};
  bool was_pending_ = false;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_SIGPIPE_BLOCK_H_
