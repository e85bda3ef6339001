// How many file descriptors the process may have.
#ifndef TRANSPORTD_SERVER_OPS_FILE_LIMIT_H_
#define TRANSPORTD_SERVER_OPS_FILE_LIMIT_H_

#include <cstdint>

namespace transportd {

// Raises the soft limit to the hard one; returns what is in force then, 0 when that is unknown.
uint64_t RaiseFileLimit();

// EpollEventLoop::Options::descriptor_limit under `file_limit`, RaiseFileLimit's: all but a reserve for gRPC and the
// rest of the process. gRPC 1.51 never accepts again on a listener that was once told EMFILE.
int DescriptorLimit(uint64_t file_limit);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_FILE_LIMIT_H_
