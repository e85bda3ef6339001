// What a client sends: the commands of one turn of the loop, gathered into one frame.
#ifndef TRANSPORTD_CLIENTS_CPP_FRAME_OUTBOX_H_
#define TRANSPORTD_CLIENTS_CPP_FRAME_OUTBOX_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>

#include "clients/cpp/frame_channel.h"
#include "proto/frame/frame_writer.h"
#include "transportd/v1/event_loop.pb.h"
#include "transports/reactor/reactor.h"

namespace transportd {

// At the end of a turn, after everything else that was asked for then, the frame goes out, unless one is on its way:
// then it grows until that one is taken. So latency is low when there is little to say, and frames are large when there
// is much. What it holds is bounded by the windows that its user keeps to. Threading: loop thread only.
class FrameOutbox final {
 public:
  // Where acknowledgements come from: asked when a frame is about to go out. Threading: loop thread only.
  class AcknowledgementSource {
   public:
    virtual ~AcknowledgementSource() = default;
    // True: worth a frame of their own.
    virtual bool HasUrgentAcknowledgements() const = 0;
    // Calls outbox.AppendAcknowledgement for each that is due.
    virtual void AppendAcknowledgements() = 0;
    // SessionRequest.prompt_write_progress.
    virtual bool WantsPromptProgress() const = 0;
  };

  // All must outlive the outbox.
  FrameOutbox(Reactor& reactor, FrameChannel& channel, AcknowledgementSource& acknowledgements)
      : reactor_(reactor), channel_(channel), acknowledgements_(acknowledgements) {}
  FrameOutbox(const FrameOutbox&) = delete;
  FrameOutbox& operator=(const FrameOutbox&) = delete;

  // Sends the first frame, at once. What is appended before Opened waits for it.
  void SendOpen(const v1::Open& open);
  // The service has answered: no frame may be larger than this.
  void Opened(size_t max_frame_bytes);
  // Nothing is sent any more, and what is appended vanishes.
  void Close();

  // False when the command alone is larger than a frame may be; nothing is appended then.
  [[nodiscard]] bool AppendCommand(const v1::Command& command);
  void AppendWrite(uint32_t transport_id, std::string_view data);
  // data and address together at most max_datagram_bytes.
  void AppendSendTo(uint32_t transport_id, std::string_view data, std::optional<std::string_view> address);
  void AppendAcknowledgement(uint32_t transport_id, uint64_t data_bytes, uint64_t data_count);

  // The most bytes that one AppendWrite may carry.
  size_t max_write_bytes() const;
  size_t max_datagram_bytes() const;

  // Looks at the end of this turn whether there is something to send.
  void FlushAtTurnEnd();
  void OnFrameSent();
  // Every frame of the service up to this one has arrived.
  void SetReceivedSequence(uint64_t sequence) { received_sequence_ = sequence; }
  uint64_t sent_sequence() const { return sequence_; }

 private:
  // Makes room for an entry: seals the frame under construction when it would grow too large.
  void MakeRoom(size_t entry_bytes);
  void Seal();
  void Flush();

  Reactor& reactor_;
  FrameChannel& channel_;
  AcknowledgementSource& acknowledgements_;
  FrameWriter writer_;
  std::deque<FrameBuffer> sealed_;
  size_t max_frame_bytes_ = 0;  // 0: the service has not answered yet.
  uint64_t sequence_ = 0;
  uint64_t received_sequence_ = 0;
  bool is_sending_ = false;
  bool flush_is_due_ = false;
  bool closed_ = false;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_FRAME_OUTBOX_H_
