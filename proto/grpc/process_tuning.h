// What a program that uses gRPC, and moves much data through it, sets for its whole process.
#ifndef TRANSPORTD_PROTO_GRPC_PROCESS_TUNING_H_
#define TRANSPORTD_PROTO_GRPC_PROCESS_TUNING_H_

#include <malloc.h>

#include "absl/synchronization/mutex.h"
#include "proto/grpc/openssl_at_exit.h"

namespace transportd {

// For the program to call, first in main: it concerns all of the process.
//
// gRPC locks with absl::Mutex, which Debian builds with its search for deadlocks on: each lock walks a graph that all
// share. And it allocates a block for each piece that it reads, up to 4 MiB, as we do for each frame: with the settings
// that malloc(3) begins with, every other one is given back to the kernel and faulted in again, page by page, which
// costs a sixth of the throughput of bulk data. So up to 8 MiB stay in each of malloc's arenas: mallopt(3).
inline void TuneProcess() {
  KeepOpenSslAtExit();
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  constexpr int kKeptBytes = 8 * 1024 * 1024;
  mallopt(M_TRIM_THRESHOLD, kKeptBytes);
  mallopt(M_MMAP_THRESHOLD, kKeptBytes);
}

}  // namespace transportd

#endif  // TRANSPORTD_PROTO_GRPC_PROCESS_TUNING_H_
