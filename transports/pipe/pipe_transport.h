// A stream transport for one end of a pipe that is open already.
#ifndef TRANSPORTD_TRANSPORTS_PIPE_PIPE_TRANSPORT_H_
#define TRANSPORTD_TRANSPORTS_PIPE_PIPE_TRANSPORT_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "transports/api/transport.h"
#include "transports/pipe/pipe_kind.h"
#include "transports/stream/loop_context.h"
#include "transports/stream/stream_transport.h"

namespace transportd {

struct PipeTransportOptions {
  PipeDirection direction = PipeDirection::kRead;
  // For get_extra_info and for errors: see PipeInfo.
  std::string path;
  std::optional<int> fd;
  WriteBufferMarks write_buffer_marks;
  // See StreamTransport::Options.
  absl::AnyInvocable<void(StreamTransport&)> on_lost;
};

// `pipe` fits the direction. The caller calls Start.
std::shared_ptr<StreamTransport> MakePipeTransport(LoopContext& context, OpenPipe pipe,
                                                   std::shared_ptr<BaseProtocol> protocol,
                                                   PipeTransportOptions options);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_PIPE_PIPE_TRANSPORT_H_
