// The datagram transport: asyncio's _SelectorDatagramTransport, with several datagrams a system call.
#ifndef TRANSPORTD_TRANSPORTS_DATAGRAM_SOCKET_DATAGRAM_TRANSPORT_H_
#define TRANSPORTD_TRANSPORTS_DATAGRAM_SOCKET_DATAGRAM_TRANSPORT_H_

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
#include "transports/api/datagram.h"
#include "transports/api/socket_gate.h"
#include "transports/base/sockaddr.h"
#include "transports/base/unique_fd.h"
#include "transports/base/watermarks.h"
#include "transports/datagram/datagram_socket.h"
#include "transports/reactor/reactor.h"
#include "transports/stream/loop_context.h"
#include "transports/stream/transport_registry.h"

namespace transportd {

// The life of one is that of a stream transport (transports/stream/stream_transport.h):
//
//   Opening → Open → Closing? → Ending → Lost
//
//   Opening  Start was called, ConnectionMade was not: nothing is read.
//   Open     Reads unless paused; sends.
//   Closing  Close was called and datagrams are queued: sends, and takes more to send, until none is left.
//   Ending   Inert: the socket is no longer watched, nothing is queued, what is sent is dropped; ConnectionLost is
//   queued. Lost     ConnectionLost was called; socket and protocol are gone.
//
// shared_ptr: owned by the loop's registry until ConnectionLost, and by whoever keeps what ConnectionMade handed out.
// Threading: loop thread only.
class SocketDatagramTransport final : public DatagramTransport,
                                      public LoopOwned,
                                      public std::enable_shared_from_this<SocketDatagramTransport>,
                                      private FdHandler {
 public:
  struct Options {
    // What the socket was bound to; unset: it was not.
    std::optional<SocketAddress> local = {};
    // What SendTo may name. Whether the socket is connected to it, the kernel tells.
    std::optional<SocketAddress> remote = {};
    WriteBufferMarks write_buffer_marks = {};
    // Asked for each datagram that SocketGate says. Null: everything is allowed. shared_ptr: owned by this and by
    // whoever made it.
    std::shared_ptr<SocketGate> gate = {};
  };

  // Takes over `fd`, a SOCK_DGRAM socket of `family` that is non-blocking and close-on-exec. Registered with `context`,
  // which must outlive it or destroy it.
  static std::shared_ptr<SocketDatagramTransport> Create(LoopContext& context, UniqueFd fd, AddressFamily family,
                                                         std::shared_ptr<DatagramProtocol> protocol, Options options);
  ~SocketDatagramTransport() override;

  // Once: calls ConnectionMade in the next turn and then begins to read. With `on_ready`, that is called in the turn
  // after ConnectionMade, whatever became of the transport meanwhile, and reading begins only after it.
  void Start(absl::AnyInvocable<void()> on_ready = nullptr);

  // Ends the transport as an error does: drops what is queued, then ConnectionLost in a later turn. For causes that are
  // not the socket's, such as a policy. Nothing when it ends already.
  void Fail(EndCause cause, absl::Status status);

  // DatagramTransport
  absl::Status SendTo(std::string_view data, const SocketAddress* address = nullptr) override;
  absl::Status SendMany(std::span<const OutgoingDatagram> datagrams) override;
  const std::optional<SocketAddress>& RemoteAddress() const override;
  void Close() override;
  void Abort() override;
  bool IsClosing() const override;
  const ExtraInfo& GetExtraInfo() const override;
  void SetProtocol(std::shared_ptr<DatagramProtocol> protocol) override;
  std::shared_ptr<DatagramProtocol> GetProtocol() const override;
  bool IsReading() const override;
  void PauseReading() override;
  void ResumeReading() override;
  absl::Status SetWriteBufferLimits(const WriteBufferLimits& limits) override;
  WriteBufferMarks GetWriteBufferLimits() const override;
  size_t GetWriteBufferSize() const override;
  DatagramCounts GetCounts() const override;
  void Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) override;
  void Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) override;
  void JoinGroup(const MulticastGroup& group, absl::AnyInvocable<void(absl::Status)> done) override;
  void LeaveGroup(const MulticastGroup& group, absl::AnyInvocable<void(absl::Status)> done) override;

  // LoopOwned
  void OnLoopDestroyed() override;

 private:
  enum class State { kOpening, kOpen, kClosing, kEnding, kLost };

  // A datagram that waits to be sent: the bytes of its sockaddr (none: the socket is connected), then its own.
  struct Queued {
    std::string bytes;
    size_t address_bytes = 0;
    DatagramSocket::Outgoing ToOutgoing() const;
    size_t data_bytes() const { return bytes.size() - address_bytes; }
  };
  // A datagram that was read and not delivered, because reading was paused meanwhile.
  struct Held {
    std::string data;
    std::optional<SocketAddress> address;
  };

  SocketDatagramTransport(LoopContext& context, UniqueFd fd, AddressFamily family,
                          std::shared_ptr<DatagramProtocol> protocol, Options options);

  // FdHandler
  void OnReadable() override;
  void OnWritable() override;

  void SetState(State state);
  // Watches what the state calls for; asks epoll only when that changed.
  void UpdateWatch();
  void CallConnectionMade();
  void BeginReading();

  // How many to ask for next: more while there are more, and of long ones few, so that little is held when the protocol
  // pauses in the middle.
  void AdaptReceiveCount(size_t received_count, size_t longest_bytes);
  // Whether the gate lets in what comes from `sender`, which Sender has told.
  bool MayReceive(const SocketAddress* sender);
  // The sender; null: it has no address. Valid until the next call.
  const SocketAddress* Sender(const sockaddr* address, socklen_t length);
  void Deliver(std::string_view data, const SocketAddress* address);
  void DeliverHeld();
  void DropHeld();

  // `raw` and `outgoing`: room for as many as there are datagrams, at most DatagramSocket::kMaxSendCount.
  absl::Status SendSome(std::span<const OutgoingDatagram> datagrams, std::span<RawAddress> raw,
                        std::span<DatagramSocket::Outgoing> outgoing);
  // An error is one for ErrorReceived.
  absl::Status ToDestination(const SocketAddress& address, RawAddress& raw);
  // The gate's answer for a destination, the bytes of a sockaddr.
  absl::Status AskToSend(std::string_view address);
  // asyncio's TypeError: the end. Null: none was given.
  void FailForAddress(const SocketAddress* address);
  // Sends them, or as many as the kernel takes, and keeps the rest.
  void SendNow(std::span<const DatagramSocket::Outgoing> datagrams);
  void SendQueued();
  // Has SendQueued called when there may be room, if something is queued.
  void WaitForRoom();
  absl::Status SendError(int error_number, std::string_view address) const;
  void Sent(size_t data_bytes);
  void Dropped(size_t data_bytes);
  void TellProgress();
  // For errors inside SendTo.
  void QueueError(absl::Status status);
  void DeliverErrors();

  void FinishClose();
  void Finish(EndCause cause, absl::Status status);
  void CallConnectionLost();

  void AssertInLoopThread() const;
  // Sending is possible: datagrams are sent or kept.
  bool IsWritable() const { return state_ == State::kOpening || state_ == State::kOpen || state_ == State::kClosing; }

  bool IsConnected() const { return extra_info_.peername.has_value(); }

  // Null once Lost.
  LoopContext* context_;
  std::optional<DatagramSocket> socket_;
  WatchId watch_ = 0;
  std::shared_ptr<DatagramProtocol> protocol_;

  State state_ = State::kOpening;
  bool watches_readable_ = false;
  bool watches_writable_ = false;
  bool can_read_ = false;  // ConnectionMade, and on_ready, were called.
  bool paused_reading_ = false;

  size_t receive_count_;
  std::deque<Held> held_;
  bool held_queued_ = false;  // DeliverHeld is queued.
  RawAddress last_sender_raw_;
  SocketAddress last_sender_;  // What last_sender_raw_ says: most datagrams come from where the one before did.

  // Null: everything is allowed.
  const std::shared_ptr<SocketGate> gate_;
  bool asks_receive_ = false;  // The gate, for what arrives.
  // What the gate has allowed last, and its Generation then. Unset: nothing.
  std::optional<uint64_t> allowed_sender_generation_;  // last_sender_raw_ is who.
  std::optional<uint64_t> allowed_destination_generation_;
  std::string allowed_destination_;  // The bytes of its sockaddr.

  std::deque<Queued> queue_;
  size_t queue_bytes_ = 0;  // Their data, and kDatagramHeaderBytes each.
  Watermarks watermarks_;
  uint64_t settled_bytes_ = 0;
  uint64_t told_settled_bytes_ = 0;
  std::vector<absl::Status> errors_;  // Not yet told; DeliverErrors is queued when there are any.
  // A Unix socket that is not connected is always writable, full receivers or not: then SendQueued is tried again after
  // a while.
  bool waits_by_time_ = false;
  TimerId retry_timer_ = 0;
  Duration retry_delay_;

  DatagramCounts counts_;  // Without what the kernel dropped, until the end.

  // What ConnectionLost will be told; set in Ending.
  EndCause end_cause_ = EndCause::kLocalClose;
  absl::Status end_status_;

  const std::optional<SocketAddress> remote_;
  ExtraInfo extra_info_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_DATAGRAM_SOCKET_DATAGRAM_TRANSPORT_H_
