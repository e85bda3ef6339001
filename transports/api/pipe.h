// connect_read_pipe and connect_write_pipe.
// https://docs.python.org/3.13/library/asyncio-eventloop.html#working-with-pipes
#ifndef TRANSPORTD_TRANSPORTS_API_PIPE_H_
#define TRANSPORTD_TRANSPORTS_API_PIPE_H_

#include <memory>
#include <optional>
#include <string>

#include "transports/api/socket_gate.h"
#include "transports/api/transport.h"

namespace transportd {

// ConnectPipeRequest in proto/transportd/v1/pipe.proto says what each means. One of the first two is set.
struct ConnectPipeOptions {
  std::optional<std::string> path = {};  // A FIFO, a terminal or another character device; any bytes.
  std::optional<int> fd = {};            // Inherited, and on the loop's allow-list.
  WriteBufferLimits write_buffer_limits = {};
  std::shared_ptr<SocketGate> gate = {};  // Null: everything is allowed. EpollEventLoop only.
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_PIPE_H_
