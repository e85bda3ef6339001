// What a session keeps of a transport through which data flows: its windows.
#ifndef TRANSPORTD_SERVER_SESSION_FLOW_HANDLE_H_
#define TRANSPORTD_SERVER_SESSION_FLOW_HANDLE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "server/session/call.h"
#include "server/session/handle.h"
#include "server/session/receive_window.h"
#include "transports/api/time.h"

namespace transportd {

class Session;

// Socket to client: reading stops while the client has paused it, while the transport's window is spent, and while the
// session as a whole may not receive. Client to socket: what the transport holds counts in the session's sums, and
// calls that wait for it to drain are answered when it has.
//
// Holds the session from its making until Leave. Threading: loop thread only.
class FlowHandle : public Handle {
 public:
  ~FlowHandle() override;

  FlowHandle* flow() override { return this; }
  absl::Status SetPausedByClient(bool paused) override;

  const ReceiveWindow& window() const { return window_; }
  uint64_t write_buffer_bytes() const { return write_buffer_bytes_; }
  bool paused_by_client() const { return paused_by_client_; }
  bool reading() const { return reading_; }
  v1::ReadingPause WhyPaused() const;

  // Reads or does not, as the three reasons have it now. While the session may not receive, each notices when it would
  // read: many are open, and few have something.
  void UpdateReading();
  // The session may receive again, and it is this one's turn. True: it reads.
  bool ResumeReceiving();

  // What the client has consumed, all told; false: more than it was sent.
  bool Acknowledge(uint64_t data_bytes, uint64_t data_count);
  // What the stream has taken, in a session that does not acknowledge.
  void Delivered(uint64_t data_bytes, uint64_t data_count);

  // Answers `call` when the write buffer is at or under its high-water mark, or the transport is lost. `reply` has the
  // variant to answer with.
  void AnswerWhenDrained(std::shared_ptr<Call> call, v1::Reply reply);
  // The kernel took bytes since the last call, or something was written: waiting calls, the session's sums.
  void SettleWrites();
  // write_progress, when there is any since the last one.
  void EmitProgress();

 protected:
  FlowHandle(Kind kind, std::shared_ptr<Session> session, uint32_t server_id);

  // Null after Leave.
  Session* session() { return session_.get(); }
  // The session has an id for it, and it is not lost.
  bool announced() const { return id() != 0 && session_ != nullptr; }

  // The session has room for what it would read.
  bool SessionMayReceive() const;

  // It reads little, and nothing of it is on its way: what it has to say need not wait for others' bulk.
  virtual bool IsQuiet() const { return false; }
  // What the transport itself does and knows.
  virtual void PauseTransport() = 0;
  virtual void ResumeTransport() = 0;
  virtual uint64_t TransportBufferBytes() const = 0;
  virtual uint64_t TransportHighBytes() const = 0;

  // A callback with `data_bytes` is in the session's open frame.
  void DataSent(uint64_t data_bytes);
  // Something was handed to the transport.
  void Wrote();
  // So much has left the write buffer, all told, as write_progress counts it.
  void SetSentBytes(uint64_t sent_bytes);
  // The kernel has taken so many bytes of data, all told: for metrics.
  void CountSent(uint64_t sent_bytes);
  // The transport is lost: `emit` tells the client; then calls that wait are answered and the session lets go.
  void Leave(absl::AnyInvocable<void(Session&)> emit);

 private:
  // What the client had been sent when the window was spent.
  struct Spent {
    uint64_t sequence = 0;  // The last frame with it.
    uint64_t sent_bytes = 0;
    TimePoint time;
  };

  // The window was spent, and an acknowledgement has come.
  void GrowWindow();
  void AccountWriteBuffer(uint64_t write_buffer_bytes);
  void AccountWindow(uint64_t weight_before_bytes);
  void MarkUnsettled();
  void AnswerDrained();

  std::shared_ptr<Session> session_;
  ReceiveWindow window_;
  std::optional<Spent> spent_;
  bool paused_by_client_ = false;
  bool reading_ = true;
  bool waits_to_receive_ = false;
  bool over_send_window_ = false;
  uint64_t write_buffer_bytes_ = 0;
  uint64_t sent_bytes_ = 0;
  uint64_t counted_bytes_ = 0;   // CountSent's.
  uint64_t reported_bytes_ = 0;  // The last write_progress.
  bool unsettled_ = false;
  bool progress_due_ = false;
  struct Draining {
    std::shared_ptr<Call> call;
    v1::Reply reply;
  };
  std::map<uint64_t, Draining> draining_;  // By the call's number: in the order they came.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_FLOW_HANDLE_H_
