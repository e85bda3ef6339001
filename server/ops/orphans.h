// The first process of a container inherits what others leave behind.
#ifndef TRANSPORTD_SERVER_OPS_ORPHANS_H_
#define TRANSPORTD_SERVER_OPS_ORPHANS_H_

namespace transportd {

// Whether processes whose parents have ended become children of this one: it is the first of its PID namespace, as in a
// container without an init.
bool InheritsOrphans();

// Reaps those of them that have ended. To be called in the thread that runs main, which must start no processes itself,
// at each SIGCHLD.
void ReapOrphans();

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_ORPHANS_H_
