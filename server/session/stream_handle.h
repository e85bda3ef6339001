// What a session keeps of one stream transport, and the protocol that turns its callbacks into frame entries.
#ifndef TRANSPORTD_SERVER_SESSION_STREAM_HANDLE_H_
#define TRANSPORTD_SERVER_SESSION_STREAM_HANDLE_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <span>

#include "server/session/call.h"
#include "server/session/receive_window.h"
#include "transports/api/protocol.h"
#include "transports/api/transport.h"

namespace transportd {

class Session;

// Bytes go from recv(2) straight into the session's open frame. Reading stops while the client has paused it, while
// the transport's window is spent, and while the session as a whole may not receive.
//
// Held by its transport until ConnectionLost, and by the session's table from ConnectionMade to ConnectionLost. Holds
// the session until ConnectionLost, as the table does. Threading: loop thread only.
class StreamHandle final : public BufferedProtocol {
 public:
  // What made it: the request id of a create_* command, or the server that accepted it.
  struct Origin {
    uint32_t request_id = 0;
    uint32_t server_id = 0;
    bool close_on_eof = false;
    // Its place in the service's count, shared with the command that made it; null: to be taken when it is adopted.
    std::shared_ptr<void> place = nullptr;
  };

  StreamHandle(std::shared_ptr<Session> session, Origin origin);
  ~StreamHandle() override;

  uint32_t id() const { return id_; }
  const Origin& origin() const { return origin_; }
  void SetPlace(std::shared_ptr<void> place) { origin_.place = std::move(place); }
  Transport& transport() { return *transport_; }
  const ReceiveWindow& window() const { return window_; }
  uint64_t write_buffer_bytes() const { return write_buffer_bytes_; }
  bool reading() const { return reading_; }
  std::chrono::system_clock::time_point open_time() const { return open_time_; }
  bool announced() const { return id_ != 0; }

  // pause_reading, resume_reading.
  void SetPausedByClient(bool paused);
  bool paused_by_client() const { return paused_by_client_; }
  // Reads or does not, as the three reasons have it now.
  void UpdateReading();

  // What the client has consumed, all told; false: more than it was sent.
  bool Acknowledge(uint64_t data_bytes, uint64_t data_count);
  // What the stream has taken, in a session that does not acknowledge.
  void Delivered(uint64_t data_bytes, uint64_t data_count);

  // Write, and the accounting of it.
  absl::Status Write(std::string_view data);
  // Answers `call` when the write buffer is at or under its high-water mark, or the transport is lost. `reply` has the
  // variant to answer with: write_and_drain or writelines.
  void AnswerWhenDrained(std::shared_ptr<Call> call, v1::Reply reply);
  // The kernel took bytes since the last call, or a write was made: waiting calls, the session's sums.
  void SettleWrites();
  // write_progress, when there is any since the last one.
  void EmitProgress();

  // BufferedProtocol
  void ConnectionMade(std::shared_ptr<Transport> transport) override;
  void ConnectionLost(const ConnectionEnd& end) override;
  void PauseWriting() override;
  void ResumeWriting() override;
  void BytesSent(uint64_t sent_bytes) override;
  std::span<char> GetBuffer(size_t size_hint_bytes) override;
  void BufferUpdated(size_t size_bytes) override;
  bool EofReceived() override;

 private:
  void AccountWriteBuffer(uint64_t write_buffer_bytes);
  void AccountWindow(uint64_t weight_before_bytes);
  void MarkUnsettled();
  void AnswerDrained();

  std::shared_ptr<Session> session_;
  Origin origin_;
  uint32_t id_ = 0;  // 0 until ConnectionMade, and for ever when the session had no room for it.
  std::shared_ptr<Transport> transport_;
  ReceiveWindow window_;
  bool paused_by_client_ = false;
  bool reading_ = true;
  bool over_send_window_ = false;
  uint64_t write_buffer_bytes_ = 0;
  uint64_t sent_bytes_ = 0;
  uint64_t reported_bytes_ = 0;  // The last write_progress.
  bool unsettled_ = false;
  bool progress_due_ = false;
  struct Draining {
    std::shared_ptr<Call> call;
    v1::Reply reply;
  };
  std::map<uint64_t, Draining> draining_;  // By the call's number: in the order they came.
  std::chrono::system_clock::time_point open_time_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_STREAM_HANDLE_H_
