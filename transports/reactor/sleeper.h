// What a reactor's thread sleeps in, when it is not epoll.
#ifndef TRANSPORTD_TRANSPORTS_REACTOR_SLEEPER_H_
#define TRANSPORTD_TRANSPORTS_REACTOR_SLEEPER_H_

#include <optional>

#include "transports/api/event_loop.h"

namespace transportd {

// For a loop that mostly waits for what another library brings: its thread then waits in that library, and what comes
// needs no other thread to wake it. Threading: the reactor's thread only.
class Sleeper {
 public:
  virtual ~Sleeper() = default;
  // Sleeps until there is something to Dispatch, the reactor's pollable_fd() is readable, or `timeout` has passed:
  // unset for ever, 0 not at all. True: pollable_fd() may be readable. It may wake early, and nobody is called inside.
  virtual bool Sleep(std::optional<Duration> timeout) = 0;
  // Tells what the last Sleep found, in the reactor's turn. Once after each Sleep.
  virtual void Dispatch() = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_REACTOR_SLEEPER_H_
