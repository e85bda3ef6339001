// read(2) and writev(2) on what is no socket.
#ifndef TRANSPORTD_TRANSPORTS_PIPE_PIPE_IO_H_
#define TRANSPORTD_TRANSPORTS_PIPE_PIPE_IO_H_

#include <sys/uio.h>

#include <span>
#include <string_view>

#include "transports/stream/stream_socket.h"

namespace transportd {

// `fd` is non-blocking; `name` is named in errors. Any thread.
IoResult ReadPipe(int fd, std::span<char> buffer, std::string_view name);
// SIGPIPE must not kill the program: IgnoreSigpipe.
IoResult WritePipe(int fd, std::span<const iovec> pieces, std::string_view name);

// Makes a write to a pipe without a reader fail with EPIPE, as Python's interpreter does at its start: writev(2) has
// no MSG_NOSIGNAL. Changes the program's signal disposition only when it is the default. Any thread.
void IgnoreSigpipe();

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_PIPE_PIPE_IO_H_
