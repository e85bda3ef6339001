// The stream of frames between a client and its session, whatever carries it: gRPC in programs, memory in tests.
#ifndef TRANSPORTD_CLIENTS_CPP_FRAME_CHANNEL_H_
#define TRANSPORTD_CLIENTS_CPP_FRAME_CHANNEL_H_

#include <memory>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "proto/frame/frame_buffer.h"
#include "transports/reactor/reactor.h"

namespace transportd {

// The client's twin of FrameStream (server/session/frame_stream.h). Threading: loop thread only.
class FrameChannel {
 public:
  // What the client hears: on the loop's thread, never from inside a call of the channel's methods. A handler that is
  // gone is not called.
  class Handler {
   public:
    virtual ~Handler() = default;
    // A frame of the service, in as many pieces as it arrived in, which are gone when the call returns. The next is
    // asked for only then, so that a client that is busy slows the service down.
    virtual void OnFrame(std::span<const std::string_view> pieces) = 0;
    // The frame given to SendFrame is taken; the next may come.
    virtual void OnFrameSent() = 0;
    // The stream has ended. OK: in order, after HalfClose. Once, last.
    virtual void OnClosed(absl::Status status) = 0;
  };

  // Abandons the stream and makes no call any more. After HalfClose it first gives the service a moment to end the
  // session in order.
  virtual ~FrameChannel() = default;

  // Once, first. `reactor` must outlive the channel.
  virtual void Start(Reactor& reactor, std::weak_ptr<Handler> handler) = 0;

  // Sends a frame; the next not before OnFrameSent. May be called before the stream is up.
  virtual void SendFrame(FrameBuffer frame) = 0;

  // No more frames will be sent, but for one on its way. The service then ends the session; what it still has to say
  // arrives. Idempotent.
  virtual void HalfClose() = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_FRAME_CHANNEL_H_
