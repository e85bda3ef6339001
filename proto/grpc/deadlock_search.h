// gRPC's locks without their search for deadlocks.
#ifndef TRANSPORTD_PROTO_GRPC_DEADLOCK_SEARCH_H_
#define TRANSPORTD_PROTO_GRPC_DEADLOCK_SEARCH_H_

#include "absl/synchronization/mutex.h"

namespace transportd {

// gRPC locks with absl::Mutex, which Debian builds with its search for deadlocks on: each lock walks a graph that all
// share. For the whole program, so it is the program's to call, first in main.
inline void StopSearchForDeadlocks() { absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore); }

}  // namespace transportd

#endif  // TRANSPORTD_PROTO_GRPC_DEADLOCK_SEARCH_H_
