// A stream of frames in memory: the client's FrameChannel at one end, the service's FrameStream at the other.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_MEMORY_LINK_H_
#define TRANSPORTD_TESTS_CONFORMANCE_MEMORY_LINK_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "clients/cpp/frame_channel.h"
#include "server/session/frame_stream.h"

namespace transportd {

// What gRPC does between client and service, without gRPC, so that both run under ThreadSanitizer: keeps the order,
// takes one frame at a time in each direction, and slows down whoever sends faster than the other end reads.
//
//   MemoryLink link = MakeMemoryLink();
//   manager.OpenStreaming(caller, link.stream);
//   auto loop = RemoteEventLoop::Create(std::move(link.channel), {});
//
// Threading: `channel` as FrameChannel, `stream` as FrameStream, `break_link` from any thread.
struct MemoryLink {
  std::unique_ptr<FrameChannel> channel;
  std::shared_ptr<FrameStream> stream;
  // The network is cut: the client hears OnClosed with this status, the service OnLost. Once at most.
  std::function<void(absl::Status)> break_link;
};

MemoryLink MakeMemoryLink();

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_CONFORMANCE_MEMORY_LINK_H_
