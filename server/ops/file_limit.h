// How many file descriptors the process may have.
#ifndef TRANSPORTD_SERVER_OPS_FILE_LIMIT_H_
#define TRANSPORTD_SERVER_OPS_FILE_LIMIT_H_

#include <cstdint>

namespace transportd {

struct FileLimit {
  uint64_t raised = 0;  // What is in force now; 0: unknown.
  uint64_t before = 0;  // What was, for the children: a program that uses select(2) has no use for more; 0: unknown.
};

// Raises the soft limit to the hard one.
FileLimit RaiseFileLimit();

// EpollEventLoop::Options::descriptor_limit under `file_limit`, RaiseFileLimit's `raised`: all but a reserve for gRPC
// and the rest of the process. gRPC 1.51 never accepts again on a listener that was once told EMFILE.
int DescriptorLimit(uint64_t file_limit);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_FILE_LIMIT_H_
