#include "transports/pipe/pipe_transport.h"

#include <utility>

#include "transports/base/str_cat.h"
#include "transports/pipe/read_pipe_socket.h"
#include "transports/pipe/write_pipe_socket.h"

namespace transportd {

std::shared_ptr<StreamTransport> MakePipeTransport(LoopContext& context, OpenPipe pipe,
                                                   std::shared_ptr<BaseProtocol> protocol,
                                                   PipeTransportOptions options) {
  const bool reads = options.direction == PipeDirection::kRead;
  std::string name = options.fd ? StrCat("descriptor ", *options.fd) : options.path;
  ExtraInfo extra_info;
  extra_info.pipe = PipeInfo{.kind = pipe.kind.kind,
                             .can_read = reads,
                             .can_write = !reads,
                             .path = std::move(options.path),
                             .fd = options.fd};
  std::unique_ptr<StreamSocket> socket;
  if (reads) {
    socket = std::make_unique<ReadPipeSocket>(std::move(pipe.fd), std::move(name));
  } else {
    socket = std::make_unique<WritePipeSocket>(std::move(pipe.fd), std::move(name), pipe.kind);
  }
  return StreamTransport::Create(context, std::move(socket), std::move(protocol),
                                 {.extra_info = std::move(extra_info),
                                  .write_buffer_marks = options.write_buffer_marks,
                                  .on_lost = std::move(options.on_lost)});
}

}  // namespace transportd
