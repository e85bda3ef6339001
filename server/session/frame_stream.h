// The stream of frames between a session and its client, whatever carries it: gRPC in the service, memory in tests.
#ifndef TRANSPORTD_SERVER_SESSION_FRAME_STREAM_H_
#define TRANSPORTD_SERVER_SESSION_FRAME_STREAM_H_

#include <memory>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "proto/frame/frame_buffer.h"
#include "transports/reactor/reactor.h"

namespace transportd {

// Held by the session until it called Finish or OnLost was called, and by whatever carries it until its last
// operation is over. Threading: after Start, loop thread only.
class FrameStream {
 public:
  // What the session hears. Every call is made on the loop's thread, none from inside a call of the stream's methods.
  // Nothing comes after OnLost, nor after Finish was called.
  class Handler {
   public:
    virtual ~Handler() = default;
    // The answer to ReadFrame: a frame, in as many pieces as it arrived in, which are gone when the call returns.
    virtual void OnFrame(std::span<const std::string_view> pieces) = 0;
    // The other answer to ReadFrame: the client sends no more. Once.
    virtual void OnHalfClosed() = 0;
    // The answer to SendFrame: the carrier has taken the frame, and takes the next.
    virtual void OnFrameSent() = 0;
    // The client is gone, or the stream broke. Once, last.
    virtual void OnLost() = 0;
  };

  virtual ~FrameStream() = default;

  // Once, first, from any thread. `reactor` is the loop's, and must outlive the stream's last call of the handler; a
  // handler that is gone is not called.
  virtual void Start(Reactor& reactor, std::weak_ptr<Handler> handler) = 0;

  // Asks for the client's next frame; at most one request at a time. A frame larger than the limit set on the carrier
  // is the carrier's to refuse.
  virtual void ReadFrame() = 0;

  // Sends a frame; the next not before OnFrameSent.
  virtual void SendFrame(FrameBuffer frame) = 0;

  // Ends the stream with this status; a frame being sent goes out before. Once, last; callable from any thread before
  // Start, to refuse.
  virtual void Finish(absl::Status status) = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_FRAME_STREAM_H_
