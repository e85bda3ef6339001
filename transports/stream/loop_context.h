// What the transports and servers of one loop share.
#ifndef TRANSPORTD_TRANSPORTS_STREAM_LOOP_CONTEXT_H_
#define TRANSPORTD_TRANSPORTS_STREAM_LOOP_CONTEXT_H_

#include <cstddef>
#include <limits>
#include <memory>
#include <span>

#include "absl/functional/any_invocable.h"
#include "transports/api/event_loop.h"
#include "transports/reactor/reactor.h"
#include "transports/stream/transport_registry.h"

namespace transportd {

// Threading: loop thread only.
class LoopContext final {
 public:
  // The most that one recv takes; asyncio's max_size.
  static constexpr size_t kReadBufferBytes = 256 * 1024;
  // Eight of asyncio's longest datagrams, 32 of the longest of UDP.
  static constexpr size_t kBatchBufferBytes = 8 * kReadBufferBytes;
  static constexpr int kNoDescriptorLimit = std::numeric_limits<int>::max();

  // `reactor` must outlive the context. `descriptor_limit`: as EpollEventLoop::Options says.
  explicit LoopContext(Reactor& reactor, int descriptor_limit = kNoDescriptorLimit);
  LoopContext(const LoopContext&) = delete;
  LoopContext& operator=(const LoopContext&) = delete;
  // Lets go of every server and transport, as ~EpollEventLoop says.
  ~LoopContext();

  Reactor& reactor() { return reactor_; }
  // For AdmitSocket.
  int descriptor_limit() const { return descriptor_limit_; }
  TransportRegistry& transports() { return transports_; }
  TransportRegistry& servers() { return servers_; }
  const TransportRegistry& transports() const { return transports_; }
  const TransportRegistry& servers() const { return servers_; }

  // Where whoever reads puts the bytes that it hands on at once: one buffer serves the whole loop, because nothing
  // is kept in it between callbacks.
  std::span<char> read_buffer() { return {read_buffer_.get(), kReadBufferBytes}; }

  // The same for whoever reads several datagrams at once, and keeps them in it while it hands on one after the other.
  std::span<char> batch_buffer();

  // As EventLoop::SetExceptionHandler; null: logged to standard error.
  void SetExceptionHandler(absl::AnyInvocable<void(const ExceptionContext&)> handler);
  void ReportException(const ExceptionContext& context);

 private:
  Reactor& reactor_;
  const int descriptor_limit_;
  const std::unique_ptr<char[]> read_buffer_;
  std::unique_ptr<char[]> batch_buffer_;  // Null until somebody needs it.
  // Shared with ReportException's stack while it runs, so that the handler may set another one.
  std::shared_ptr<absl::AnyInvocable<void(const ExceptionContext&)>> exception_handler_;
  TransportRegistry transports_;
  TransportRegistry servers_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_STREAM_LOOP_CONTEXT_H_
