// What sendfile takes.
// https://docs.python.org/3.13/library/asyncio-eventloop.html#asyncio.loop.sendfile
#ifndef TRANSPORTD_TRANSPORTS_API_SENDFILE_H_
#define TRANSPORTD_TRANSPORTS_API_SENDFILE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "transports/api/socket_gate.h"

namespace transportd {

// SendfileRequest in proto/transportd/v1/socket.proto says what each means, unset and 0 included.
struct SendfileOptions {
  std::string path = {};  // A regular file of the machine where the loop runs; any bytes but 0.
  uint64_t offset_bytes = 0;
  std::optional<uint64_t> count_bytes = {};  // Unset: to the end of the file. 0 is refused, as asyncio does.
  bool fallback = true;
  std::shared_ptr<SocketGate> gate = {};  // Null: everything is allowed. EpollEventLoop only.
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_SENDFILE_H_
