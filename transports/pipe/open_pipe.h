// Opens a FIFO, a terminal or another character device by its path.
#ifndef TRANSPORTD_TRANSPORTS_PIPE_OPEN_PIPE_H_
#define TRANSPORTD_TRANSPORTS_PIPE_OPEN_PIPE_H_

#include <string>

#include "absl/status/statusor.h"
#include "transports/api/socket_gate.h"
#include "transports/pipe/pipe_kind.h"

namespace transportd {

// Does not wait for a FIFO's other end: reading begins without a writer, and writing without a reader is ENXIO
// (fifo(7)). A terminal does not become the program's own. INVALID_ARGUMENT / NOT_A_PIPE; the kernel's error; EMFILE as
// AdmitSocket says. Blocks as long as the file system does. Any thread.
//
// `gate` is asked first; null: everything is allowed.
absl::StatusOr<OpenPipe> OpenPipeByPath(const std::string& path, PipeDirection direction, int descriptor_limit,
                                        SocketGate* gate);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_PIPE_OPEN_PIPE_H_
