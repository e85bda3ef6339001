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
#include "clients/cpp/remote_handle.h"
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
//   Open     Reads unless paused; writes. While TLS is being started, it does neither.
//   Closing  Close was called and the kernel has not taken everything: takes more to write until it has. With TLS,
//            until the service has taken leave of the peer; what is written is dropped.
//   Ending   Inert: writes are dropped, data is thrown away; the service's connection_lost is to come, or is here
//            already and waits for a later turn.
//   Lost     ConnectionLost was called; protocol and session are gone.
//
// shared_ptr: owned by the session until ConnectionLost, and by whoever keeps what ConnectionMade handed out.
// Threading: loop thread only.
class RemoteTransport final : public Transport,
                              public RemoteHandle,
                              public std::enable_shared_from_this<RemoteTransport> {
 public:
  struct Options {
    ExtraInfo extra_info;
    WriteBufferMarks write_buffer_marks;
    // Nothing but ConnectionMade is called before Release: for create_connection, whose `done` comes in between.
    bool held = false;
    // After ConnectionLost, in the same turn: for the server that accepted it. Not called when the loop is destroyed.
    absl::AnyInvocable<void(RemoteTransport&)> on_lost;
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

  // Abort would do something: Ending has not begun.
  bool CanAbort() const { return IsWritable(); }

  // RemoteHandle
  bool OnDataReceived(std::string_view data, bool is_last) override;
  bool OnWriteProgress(uint64_t sent_bytes) override;
  bool OnCallback(const v1::Callback& callback) override;
  void OnSessionLost(const absl::Status& status) override;
  void OnLoopDestroyed() override;
  void OnCredit() override;
  Consumed TakeConsumed() override;

  // Transport
  void Close() override;
  void Abort(bool reset) override;
  bool IsClosing() const override { return state_ != State::kOpen; }
  const ExtraInfo& GetExtraInfo() const override { return extra_info_; }
  void SetProtocol(std::shared_ptr<BaseProtocol> protocol) override;
  std::shared_ptr<BaseProtocol> GetProtocol() const override { return protocol_; }
  bool IsReading() const override { return rules_.can_read && state_ == State::kOpen && !paused_reading_; }
  void PauseReading() override;
  void ResumeReading() override;
  absl::Status Write(std::string_view data) override;
  absl::Status Writelines(std::span<const std::string_view> lines) override;
  void WriteEof() override;
  bool CanWriteEof() const override { return rules_.can_write_eof; }
  absl::Status SetWriteBufferLimits(const WriteBufferLimits& limits) override;
  WriteBufferMarks GetWriteBufferLimits() const override { return watermarks_.marks(); }
  size_t GetWriteBufferSize() const override;
  uint64_t ReceivedBytes() const override { return received_bytes_; }
  // sendfile: what was written before goes first, and Write refuses until EndSendfile. `issue` is called once: with OK
  // when everything written before is on its way to the service, perhaps at once; else with why it cannot be.
  // TRANSPORT_CLOSING, WRITE_AFTER_EOF, SENDFILE_IN_PROGRESS.
  absl::Status BeginSendfile(absl::AnyInvocable<void(absl::Status)> issue);
  // `sent_bytes`: of the file.
  void EndSendfile(uint64_t sent_bytes) {
    sending_file_ = false;
    file_bytes_ += sent_bytes;
  }

  // start_tls: from its return on the protocol gets nothing more, and what is written waits, until EndStartTls. `issue`
  // is called once, in a later turn: with what came meanwhile, which is TLS, when the service has stopped reading and
  // all that was written before is on its way to it; else with why that will never be. START_TLS_IMPOSSIBLE.
  absl::Status BeginStartTls(absl::AnyInvocable<void(absl::StatusOr<std::string>)> issue);
  // OK: the handshake is done. Otherwise, and unless the transport ends of it, it goes on as before.
  void EndStartTls(const absl::StatusOr<std::shared_ptr<const TlsInfo>>& tls);

  uint64_t SentBytes() const override { return sent_bytes_; }
  void Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) override;
  void Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) override;

 private:
  enum class State { kOpen, kClosing, kEnding, kLost };
  enum class WriteEofState { kNone, kAsked, kSent };
  enum class CloseState { kNone, kAsked, kDue, kSent };

  // Where asyncio's rules for the kind of stream differ from those for a plain socket: StreamTraits in
  // transports/stream.
  struct Rules {
    bool can_read = true;
    bool can_write = true;
    bool can_write_eof = true;
    bool eof_closes = false;
    bool write_eof_closes = false;
    bool close_ends_write = false;
  };
  static Rules RulesOf(const ExtraInfo& extra_info);

  // A data_received that could not be delivered yet, or a part of one.
  struct HeldData {
    std::string data;
    bool is_last = true;  // With it the callback is consumed.
    bool is_acknowledged = false;
  };

  void BindProtocol(std::shared_ptr<BaseProtocol> protocol);
  bool IsWritable() const { return state_ == State::kOpen || state_ == State::kClosing; }
  bool IsTls() const { return extra_info_.tls != nullptr; }
  bool WantsPaused() const { return paused_reading_ || starting_tls_ || (told_paused_ && !held_data_.empty()); }
  void AssertInLoopThread() const;

  // Reading.
  void OnEofReceived();
  bool CanDeliver() const { return state_ == State::kOpen && !paused_reading_ && !held_ && !starting_tls_; }
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
  // At the watermarks.
  void PauseProtocol();
  void ResumeProtocol();
  // A sendfile that was not issued never will be.
  void DropSendfile();
  // The same for a start_tls.
  void DropStartTls();
  void IssueStartTls();
  void SendClose();
  void SendAbort(bool reset);

  // Ending.
  bool OnConnectionLost(ConnectionEnd end);
  bool MustHold(const ConnectionEnd& end) const;
  // No cause: the one that the service gave.
  void EnterEnding(std::optional<EndCause> cause, absl::Status status);
  void CallConnectionLost(ConnectionEnd end);
  // Leaves the session's books.
  std::shared_ptr<RemoteHandle> Detach();

  RemoteSession* session_;  // Null once Lost.
  const uint32_t id_;
  ExtraInfo extra_info_;
  Rules rules_;
  absl::AnyInvocable<void(RemoteTransport&)> on_lost_;

  // `protocol_` owns; one of the other two is the same object under its own type.
  std::shared_ptr<BaseProtocol> protocol_;
  Protocol* plain_protocol_ = nullptr;
  BufferedProtocol* buffered_protocol_ = nullptr;

  State state_ = State::kOpen;
  bool held_;

  // Reading. What is held back comes in the order of these three.
  bool paused_reading_ = false;
  bool told_paused_ = false;      // What the service was told last.
  bool pause_confirmed_ = false;  // And it has answered: nothing more comes.
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
  PausedWriter paused_writer_;
  ByteQueue pending_;
  uint64_t accepted_bytes_ = 0;
  uint64_t dropped_bytes_ = 0;  // Never accepted: written after a close that ends it.
  uint64_t issued_bytes_ = 0;   // In frames so far.
  uint64_t sent_bytes_ = 0;     // In the kernel, as far as is known.
  bool waits_for_credit_ = false;
  bool sending_file_ = false;
  uint64_t file_bytes_ = 0;  // Sent by sendfile: in the kernel too, and not in sent_bytes_.
  absl::AnyInvocable<void(absl::Status)> issue_sendfile_;  // Null: it was called.
  WriteEofState write_eof_ = WriteEofState::kNone;
  CloseState close_ = CloseState::kNone;
  bool eof_before_close_ = false;

  bool starting_tls_ = false;
  absl::AnyInvocable<void(absl::StatusOr<std::string>)> issue_start_tls_;  // Null: it was called.
  ByteQueue written_for_tls_;                                              // What was written before it was issued.
  std::string tls_incoming_;  // What went to TLS: taken back when nothing comes of it.

  // What ConnectionLost is told when it was this side that ended it, whatever the socket went through afterwards.
  std::optional<EndCause> ending_cause_;
  absl::Status ending_status_;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_REMOTE_TRANSPORT_H_
