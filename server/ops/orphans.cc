#include "server/ops/orphans.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace transportd {

bool InheritsOrphans() { return ::getpid() == 1; }

// A zombie that nobody reaps keeps its number, and counts in the container's limit of pids. An init in front of the
// service would reap them as well, but be one more program in an image that has none.
void ReapOrphans() {
  // __WNOTHREAD: of this thread only. Orphans go to the first thread of the process that inherits them. The service's
  // own children belong to the executor's threads, which started them and live as long as they do: each is reaped by
  // who waits for it, and nobody here takes its exit status away.
  siginfo_t info = {};
  for (;;) {
    info.si_pid = 0;
    const int result = ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WNOTHREAD);
    if (result == 0 && info.si_pid == 0) return;  // The others live.
    if (result != 0 && errno != EINTR) return;    // ECHILD: there are none.
  }
}

}  // namespace transportd
