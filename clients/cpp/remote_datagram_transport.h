// A datagram endpoint whose socket is in the service.
#ifndef TRANSPORTD_CLIENTS_CPP_REMOTE_DATAGRAM_TRANSPORT_H_
#define TRANSPORTD_CLIENTS_CPP_REMOTE_DATAGRAM_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "clients/cpp/remote_flow.h"
#include "clients/cpp/remote_session.h"
#include "transports/api/datagram.h"
#include "transports/base/watermarks.h"

namespace transportd {

// Behaves as SocketDatagramTransport (transports/datagram) does. Decided here, at once: which addresses SendTo takes,
// the watermarks and the size of the write buffer, which counts what the service has neither sent nor dropped; what a
// paused protocol is not told. What goes to the service in order: datagrams, as far as the windows allow, then close.
//
//   Open → Closing? → Ending → Lost
//
//   Open     Reads unless paused; sends.
//   Closing  Close was called and not everything is sent or dropped: takes more to send until it is.
//   Ending   Inert: what is sent is dropped, what comes is thrown away; the service's connection_lost is to come, or is
//            here already and waits for a later turn.
//   Lost     ConnectionLost was called; protocol and session are gone.
//
// shared_ptr: owned by the session until ConnectionLost, and by whoever keeps what ConnectionMade handed out.
// Threading: loop thread only.
class RemoteDatagramTransport final : public DatagramTransport, public RemoteFlow {
 public:
  struct Options {
    ExtraInfo extra_info;
    std::optional<SocketAddress> remote;
    WriteBufferMarks write_buffer_marks;
  };

  // Nothing but ConnectionMade is called before Release: create_datagram_endpoint's `done` comes in between.
  RemoteDatagramTransport(RemoteSession& session, uint32_t id, std::shared_ptr<DatagramProtocol> protocol,
                          Options options);
  ~RemoteDatagramTransport() override;

  // Calls ConnectionMade. Once, first.
  void Start();
  // `done` was called: what came meanwhile is delivered.
  void Release();

  // RemoteHandle
  bool OnDataReceived(std::string_view data, bool is_last) override;
  bool OnDatagramReceived(std::string_view data, std::optional<std::string_view> address) override;
  bool OnWriteProgress(uint64_t settled_bytes) override;
  bool OnCallback(const v1::Callback& callback) override;
  void OnSessionLost(const absl::Status& status) override;
  void OnLoopDestroyed() override;

  // DatagramTransport
  absl::Status SendTo(std::string_view data, const SocketAddress* address = nullptr) override;
  absl::Status SendMany(std::span<const OutgoingDatagram> datagrams) override;
  const std::optional<SocketAddress>& RemoteAddress() const override { return remote_; }
  void Close() override;
  void Abort() override;
  bool IsClosing() const override { return state_ != State::kOpen; }
  const ExtraInfo& GetExtraInfo() const override { return extra_info_; }
  void SetProtocol(std::shared_ptr<DatagramProtocol> protocol) override;
  std::shared_ptr<DatagramProtocol> GetProtocol() const override { return protocol_; }
  bool IsReading() const override { return state_ == State::kOpen && !paused_reading_; }
  void PauseReading() override;
  void ResumeReading() override;
  absl::Status SetWriteBufferLimits(const WriteBufferLimits& limits) override;
  WriteBufferMarks GetWriteBufferLimits() const override { return watermarks_.marks(); }
  size_t GetWriteBufferSize() const override;
  DatagramCounts GetCounts() const override { return counts_; }
  void Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) override;
  void Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) override;
  void JoinGroup(const MulticastGroup& group, absl::AnyInvocable<void(absl::Status)> done) override;
  void LeaveGroup(const MulticastGroup& group, absl::AnyInvocable<void(absl::Status)> done) override;

 private:
  enum class State { kOpen, kClosing, kEnding, kLost };
  enum class CloseState { kNone, kAsked, kDue, kSent };

  // A datagram_received that could not be delivered yet.
  struct Held {
    std::string data;
    std::optional<SocketAddress> address;
    bool is_acknowledged = false;
  };
  // A datagram that the windows have no room for yet.
  struct Pending {
    std::string data;
    std::optional<std::string> address;  // Serialized.
  };

  bool IsWritable() const { return state_ == State::kOpen || state_ == State::kClosing; }
  std::shared_ptr<RemoteDatagramTransport> Self() {
    return std::static_pointer_cast<RemoteDatagramTransport>(shared_from_this());
  }

  // RemoteFlow
  bool IsReceiving() const override { return state_ == State::kOpen && !held_end_.has_value(); }
  bool IsPaused() const override { return paused_reading_; }
  bool HoldsData() const override { return !held_data_.empty(); }
  void AcknowledgeHeld() override;
  // Sends what the windows allow, and close when everything is sent.
  void Pump() override;

  // Receiving.
  bool CanDeliver() const { return state_ == State::kOpen && !paused_reading_ && !held_; }
  void Deliver(std::string_view data, const std::optional<SocketAddress>& address);
  void DeliverHeld();
  void DeliverHeldSoon();
  void DropHeld();
  void OnErrorReceived(absl::Status status);

  // Sending.
  // The address as the commands have it, cached: most go where the one before went. An error is one for ErrorReceived.
  absl::Status Serialize(const SocketAddress& address);
  bool MayIssue(size_t data_bytes) const;
  void Issue(std::string_view data, std::optional<std::string_view> address);
  void DropSent(size_t data_bytes);
  void QueueError(absl::Status status);
  void FailForAddress(const SocketAddress* address);
  // At the watermarks.
  void PauseProtocol();
  void ResumeProtocol();
  void SendClose();
  void SendAbort();

  // Ending.
  bool OnConnectionLost(DatagramEnd end);
  // No cause: the one that the service gave.
  void EnterEnding(std::optional<EndCause> cause, absl::Status status);
  void CallConnectionLost(DatagramEnd end);
  // Leaves the session's books.
  std::shared_ptr<RemoteHandle> Detach();
  void ChangeGroup(v1::Command command, absl::AnyInvocable<void(absl::Status)> done);

  const ExtraInfo extra_info_;
  const std::optional<SocketAddress> remote_;
  std::shared_ptr<DatagramProtocol> protocol_;

  State state_ = State::kOpen;
  bool held_ = true;

  // Receiving.
  bool paused_reading_ = false;
  bool delivery_is_due_ = false;
  std::deque<Held> held_data_;
  std::vector<absl::Status> held_errors_;
  std::optional<DatagramEnd> held_end_;
  std::string sender_bytes_;
  std::optional<SocketAddress> sender_;  // What sender_bytes_ says.

  // Sending, by weight: accepted = settled (sent or dropped by the service), and issued before that, and pending here.
  Watermarks watermarks_;
  PausedWriter paused_writer_;
  std::deque<Pending> pending_;
  uint64_t accepted_bytes_ = 0;
  uint64_t issued_bytes_ = 0;
  uint64_t settled_bytes_ = 0;
  std::deque<size_t> issued_;  // The data bytes of what is issued and not settled.
  CloseState close_ = CloseState::kNone;
  SocketAddress destination_;
  std::string destination_bytes_;  // What destination_ is serialized to.
  size_t queued_error_count_ = 0;

  // What is known here: received means delivered, sent means settled. After the end: all of it.
  DatagramCounts counts_;

  // What ConnectionLost is told when it was this side that ended it, whatever the socket went through afterwards.
  std::optional<EndCause> ending_cause_;
  absl::Status ending_status_;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_REMOTE_DATAGRAM_TRANSPORT_H_
