// A stream transport whose socket is in the service.
#ifndef TRANSPORTD_CLIENTS_CPP_REMOTE_TRANSPORT_H_
#define TRANSPORTD_CLIENTS_CPP_REMOTE_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "clients/cpp/remote_session.h"
#include "transports/api/transport.h"
#include "transports/base/byte_queue.h"
#include "transports/base/watermarks.h"

namespace transportd {

// Behaves as StreamTransport (transports/stream) does. What is decided here, at once: watermarks and the size of the
// write buffer, which counts what the kernel has not yet taken; what a paused protocol is not told, and in which order
// it hears it later. What goes to the service in order: bytes, as far as the windows allow, then write_eof, then close.
//
//   Open → Closing? → Ending → Lost
//
//   Open     Reads unless paused; writes.
//   Closing  Close was called and the kernel has not taken everything: takes more to write until it has.
//   Ending   Inert: writes are dropped, data is thrown away; the service's connection_lost is to come, or is here
//            already and waits for a later turn.
//   Lost     ConnectionLost was called; protocol and session are gone.
//
// shared_ptr: owned by the session until ConnectionLost, and by whoever keeps what ConnectionMade handed out.
// Threading: loop thread only.
class RemoteTransport final : public Transport, public std::enable_shared_from_this<RemoteTransport> {
 public:
  struct Options {
    ExtraInfo extra_info;
    WriteBufferMarks write_buffer_marks;
    // Nothing but ConnectionMade is called before Release: for create_connection, whose `done` comes in between.
    bool held = false;
    // After ConnectionLost, in the same turn: for the server that accepted it. Not called when the loop is destroyed.
    absl::AnyInvocable<void(RemoteTransport&)> on_lost;
  };

  // Everything that the protocol has consumed, as an Acknowledgement has it.
  struct Consumed {
    uint64_t data_bytes = 0;
    uint64_t data_count = 0;
  };

  // `protocol`: a Protocol or a BufferedProtocol.
  RemoteTransport(RemoteSession& session, uint32_t id, std::shared_ptr<BaseProtocol> protocol, Options options);
  ~RemoteTransport() override;

  // The service's name for it.
  uint32_t id() const { return id_; }

  // Calls ConnectionMade. Once, first.
  void Start();
  // `done` was called: what came meanwhile is delivered.
  void Release();

  // The service's callbacks. False: it claims to have written more than it was given.
  void OnDataReceived(std::string_view data);
  [[nodiscard]] bool OnWriteProgress(uint64_t sent_bytes);
  void OnEofReceived();
  [[nodiscard]] bool OnConnectionLost(ConnectionEnd end);
  void OnSessionLost(const absl::Status& status);
  // Becomes inert without calling anybody.
  void OnLoopDestroyed();

  // The session's window has room again.
  void OnCredit();
  // Abort would do something: Ending has not begun.
  bool CanAbort() const { return IsWritable(); }
  // What is to be acknowledged now.
  Consumed TakeConsumed();

  // Transport
  void Close() override;
  void Abort(bool reset) override;
  bool IsClosing() const override { return state_ != State::kOpen; }
  const ExtraInfo& GetExtraInfo() const override { return extra_info_; }
  void SetProtocol(std::shared_ptr<BaseProtocol> protocol) override;
  std::shared_ptr<BaseProtocol> GetProtocol() const override { return protocol_; }
  bool IsReading() const override { return state_ == State::kOpen && !paused_reading_; }
  void PauseReading() override;
  void ResumeReading() override;
  absl::Status Write(std::string_view data) override;
  absl::Status Writelines(std::span<const std::string_view> lines) override;
  void WriteEof() override;
  bool CanWriteEof() const override { return true; }
  absl::Status SetWriteBufferLimits(const WriteBufferLimits& limits) override;
  WriteBufferMarks GetWriteBufferLimits() const override { return watermarks_.marks(); }
  size_t GetWriteBufferSize() const override;
  uint64_t ReceivedBytes() const override { return received_bytes_; }
  uint64_t SentBytes() const override { return sent_bytes_; }
  void Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) override;
  void Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) override;

 private:
  enum class State { kOpen, kClosing, kEnding, kLost };
  enum class WriteEofState { kNone, kAsked, kSent };
  enum class CloseState { kNone, kAsked, kDue, kSent };

  // A data_received that could not be delivered yet, or the rest of one.
  struct HeldData {
    std::string data;
    bool is_acknowledged = false;
  };

  void BindProtocol(std::shared_ptr<BaseProtocol> protocol);
  bool IsWritable() const { return state_ == State::kOpen || state_ == State::kClosing; }
  void AssertInLoopThread() const;

  // Reading.
  bool CanDeliver() const { return state_ == State::kOpen && !paused_reading_ && !held_; }
  // Calls the protocol until everything is delivered or it wants no more; returns how much was delivered.
  size_t Deliver(std::string_view data);
  void DeliverHeld();
  void DeliverHeldSoon();
  void DropHeld();
  void CallEofReceived();
  void AddConsumed(uint64_t size_bytes, uint64_t count);
  // Tells the service, at the end of the turn, whether it should go on reading.
  void SyncReadingSoon();
  void SyncReading();
  void OnPauseConfirmed();
  void FailEmptyBuffer();

  // Writing.
  void Accept(std::string_view data);
  // Sends what the windows allow, and what follows when everything is sent.
  void Pump();
  void SendWriteEof();
  void SendClose();
  void SendAbort(bool reset);

  // Ending.
  bool MustHold(const ConnectionEnd& end) const;
  // No cause: the one that the service gave.
  void EnterEnding(std::optional<EndCause> cause, absl::Status status);
  void CallConnectionLost(ConnectionEnd end);
  // Leaves the session's books.
  std::shared_ptr<RemoteTransport> Detach();

  RemoteSession* session_;  // Null once Lost.
  const uint32_t id_;
  const ExtraInfo extra_info_;
  absl::AnyInvocable<void(RemoteTransport&)> on_lost_;

  // `protocol_` owns; one of the other two is the same object under its own type.
  std::shared_ptr<BaseProtocol> protocol_;
  Protocol* plain_protocol_ = nullptr;
  BufferedProtocol* buffered_protocol_ = nullptr;

  State state_ = State::kOpen;
  bool held_;

  // Reading. What is held back comes in the order of these three.
  bool paused_reading_ = false;
  bool told_paused_ = false;  // What the service was told last.
  bool sync_is_due_ = false;
  bool delivery_is_due_ = false;
  std::deque<HeldData> held_data_;
  bool held_eof_ = false;
  std::optional<ConnectionEnd> held_end_;
  bool received_eof_ = false;  // EofReceived was called.
  uint64_t received_bytes_ = 0;
  Consumed consumed_;
  uint64_t unacknowledged_weight_bytes_ = 0;

  // Writing: accepted = sent to the service and not yet in the kernel, and pending here, and in the kernel.
  Watermarks watermarks_;
  ByteQueue pending_;
  uint64_t accepted_bytes_ = 0;
  uint64_t issued_bytes_ = 0;  // In frames so far.
  uint64_t sent_bytes_ = 0;    // In the kernel, as far as is known.
  bool waits_for_credit_ = false;
  WriteEofState write_eof_ = WriteEofState::kNone;
  CloseState close_ = CloseState::kNone;

  // What ConnectionLost is told when it was this side that ended it, whatever the socket went through afterwards.
  std::optional<EndCause> ending_cause_;
  absl::Status ending_status_;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_REMOTE_TRANSPORT_H_
