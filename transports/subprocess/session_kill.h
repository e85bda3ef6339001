// Ends a session (setsid(2)), whose process groups may be many.
#ifndef TRANSPORTD_TRANSPORTS_SUBPROCESS_SESSION_KILL_H_
#define TRANSPORTD_TRANSPORTS_SUBPROCESS_SESSION_KILL_H_

namespace transportd {

// SIGKILL to every process of it, until there is none, or some cannot be killed. The number must be the session's
// still: it is for as long as it has a process. Looks at all processes. Any thread.
void KillSession(int session);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SUBPROCESS_SESSION_KILL_H_
