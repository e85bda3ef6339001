// Datagram endpoints: UDP and Unix datagram sockets.
// https://docs.python.org/3.13/library/asyncio-protocol.html#datagram-transports
//
// Order, for every endpoint:
//
//   ConnectionMade  (DatagramReceived | ErrorReceived)*  ConnectionLost
//
// with PauseWriting/ResumeWriting strictly alternating in between. Nothing comes after ConnectionLost. Every call is
// made on the loop's thread, and never from inside a call of the transport's own methods, but for PauseWriting and
// WriteProgress. (asyncio calls error_received inside sendto; here it follows in a later turn.) Inside any callback
// every method of the transport may be called.
#ifndef TRANSPORTD_TRANSPORTS_API_DATAGRAM_H_
#define TRANSPORTD_TRANSPORTS_API_DATAGRAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/address.h"
#include "transports/api/protocol.h"
#include "transports/api/socket_gate.h"
#include "transports/api/socket_option.h"
#include "transports/api/time.h"
#include "transports/api/transport.h"

namespace transportd {

class DatagramTransport;

// The longest datagram that is received; asyncio's max_size. UDP has at most 65507 bytes (IPv4) or 65527 (IPv6); a Unix
// socket's limit is its sender's SO_SNDBUF.
inline constexpr size_t kMaxDatagramBytes = 256 * 1024;

// What a datagram in the write buffer weighs besides its bytes; asyncio's, since 3.13.
inline constexpr size_t kDatagramHeaderBytes = 8;

// Totals of an endpoint so far.
struct DatagramCounts {
  uint64_t received_count = 0;  // Given to DatagramReceived.
  uint64_t received_bytes = 0;
  uint64_t sent_count = 0;  // Handed to the kernel.
  uint64_t sent_bytes = 0;
  // Came for this socket and never reached DatagramReceived: its receive buffer was full (socket(7), SO_RXQ_OVFL), a
  // checksum was wrong, it was longer than kMaxDatagramBytes, its sender was refused, or the endpoint was closed first.
  uint64_t dropped_received_count = 0;
  // Accepted by SendTo and never handed to the kernel: refused by it (ErrorReceived told why), or in the write buffer
  // when the endpoint was aborted, or sent to one that had ended.
  uint64_t dropped_sent_count = 0;
  uint64_t dropped_sent_bytes = 0;

  friend bool operator==(const DatagramCounts&, const DatagramCounts&) = default;
};

// What ConnectionLost is told.
struct DatagramEnd {
  EndCause cause = EndCause::kLocalClose;
  absl::Status status = {};  // OK: in order, asyncio's None. Else it carries a TransportError.
  DatagramCounts counts = {};
};

// Threading: loop thread only.
class DatagramProtocol {
 public:
  virtual ~DatagramProtocol() = default;

  // Once, first. `transport` stays usable for as long as it is held; after ConnectionLost its methods do nothing.
  virtual void ConnectionMade(std::shared_ptr<DatagramTransport> transport) { static_cast<void>(transport); }

  // One whole datagram, perhaps empty; gone when the call returns. `address`: the sender's; null when it has none (a
  // Unix socket that is not bound). Several may come in one turn.
  virtual void DatagramReceived(std::string_view data, const SocketAddress* address) {
    static_cast<void>(data);
    static_cast<void>(address);
  }

  // A datagram could not be sent or received: the kernel's error, such as ECONNREFUSED (ICMP told so of an earlier one)
  // or EMSGSIZE, or a bad address. The endpoint stays open. When more errors than 64 wait to be told, the later ones
  // are not; the counts have them.
  virtual void ErrorReceived(const absl::Status& status) { static_cast<void>(status); }

  // The write buffer holds strictly more than the high-water mark.
  virtual void PauseWriting() {}

  // The write buffer holds the low-water mark or less.
  virtual void ResumeWriting() {}

  // Not asyncio's: datagrams that SendTo had accepted were sent or dropped; `settled_bytes` is the sum of their bytes
  // and of kDatagramHeaderBytes each, since ConnectionMade. Any number of times between ConnectionMade and
  // ConnectionLost, only when it grew. May be called from inside SendTo.
  virtual void WriteProgress(uint64_t settled_bytes) { static_cast<void>(settled_bytes); }

  // Once, last.
  virtual void ConnectionLost(const DatagramEnd& end) { static_cast<void>(end); }
};

// One argument pair of SendTo.
struct OutgoingDatagram {
  std::string_view data;
  const SocketAddress* address = nullptr;
};

// A group of multicast receivers.
struct MulticastGroup {
  std::string address;           // Numeric, of the endpoint's family.
  uint32_t interface_index = 0;  // if_nametoindex(3); 0: the kernel picks.
};

// Held by its loop until ConnectionLost has been called, and by whoever keeps the shared_ptr.
// Every `done` is called exactly once, on the loop's thread, perhaps before the method returns; FAILED_PRECONDITION /
// TRANSPORT_LOST when the socket is gone.
// Threading: loop thread only.
class DatagramTransport {
 public:
  virtual ~DatagramTransport() = default;

  // Sends one datagram, or keeps a copy of it; never blocks. `address`: where to; null: RemoteAddress.
  // On an endpoint with a remote address, any other than that is INVALID_ARGUMENT / INVALID_ADDRESS, and nothing is
  // sent. On one without, null, or an address of another kind of socket, is a mistake that ends the endpoint, as in
  // asyncio: ConnectionLost tells INVALID_ADDRESS. Whatever else is wrong with the datagram or the address,
  // ErrorReceived tells. On a lost transport the datagram is dropped and the status is OK.
  virtual absl::Status SendTo(std::string_view data, const SocketAddress* address = nullptr) = 0;

  // Not asyncio's: as SendTo for each, in order, with fewer system calls. The status is the first that is not OK.
  virtual absl::Status SendMany(std::span<const OutgoingDatagram> datagrams) = 0;

  // Where SendTo without an address sends; unset: nowhere. Not changed by ConnectionLost.
  virtual const std::optional<SocketAddress>& RemoteAddress() const = 0;

  // Stops reading, flushes, then ConnectionLost in a later turn of the loop. Idempotent.
  virtual void Close() = 0;

  // Drops what is buffered, then ConnectionLost in a later turn. Idempotent; overtakes a Close that is still flushing.
  virtual void Abort() = 0;

  virtual bool IsClosing() const = 0;
  virtual const ExtraInfo& GetExtraInfo() const = 0;

  // From the next callback on, `protocol` is called; not null.
  virtual void SetProtocol(std::shared_ptr<DatagramProtocol> protocol) = 0;
  // Null after ConnectionLost.
  virtual std::shared_ptr<DatagramProtocol> GetProtocol() const = 0;

  // Not paused and not closing.
  virtual bool IsReading() const = 0;
  // From its return on, no DatagramReceived. What arrives waits in the kernel, and is dropped when that is full (UDP)
  // or makes its sender wait (Unix). Idempotent.
  virtual void PauseReading() = 0;
  virtual void ResumeReading() = 0;

  // As in Transport. The write buffer weighs each datagram's bytes and kDatagramHeaderBytes.
  virtual absl::Status SetWriteBufferLimits(const WriteBufferLimits& limits) = 0;
  virtual WriteBufferMarks GetWriteBufferLimits() const = 0;
  virtual size_t GetWriteBufferSize() const = 0;

  // RemoteEventLoop: of what was sent and dropped as much as is known here, until ConnectionLost.
  virtual DatagramCounts GetCounts() const = 0;

  // One option of the allow-list.
  virtual void Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) = 0;
  virtual void Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) = 0;

  // Multicast receiving: IP_ADD_MEMBERSHIP and IPV6_ADD_MEMBERSHIP, and their undoing (ip(7), ipv6(7)). INVALID_HOST
  // for an address that is not numeric or of another family; the kernel's errors.
  virtual void JoinGroup(const MulticastGroup& group, absl::AnyInvocable<void(absl::Status)> done) = 0;
  virtual void LeaveGroup(const MulticastGroup& group, absl::AnyInvocable<void(absl::Status)> done) = 0;
};

// Makes the protocol of a new endpoint; not null.
using DatagramProtocolFactory = absl::AnyInvocable<std::shared_ptr<DatagramProtocol>()>;

// asyncio's (transport, protocol).
struct DatagramEndpoint {
  std::shared_ptr<DatagramTransport> transport;
  std::shared_ptr<DatagramProtocol> protocol;
};

// CreateDatagramEndpointRequest in proto/transportd/v1/datagram.proto says what each means, unset and 0 included.
struct CreateDatagramEndpointOptions {
  std::optional<HostPort> local = {};
  std::optional<HostPort> remote = {};
  std::optional<std::string> local_path = {};  // Any bytes; first byte 0 for abstract.
  std::optional<std::string> remote_path = {};
  AddressFamily family = AddressFamily::kUnspecified;
  int proto = 0;
  int flags = 0;
  bool reuse_port = false;
  bool allow_broadcast = false;
  WriteBufferLimits write_buffer_limits = {};
  std::optional<Duration> timeout = {};   // Unset: the loop's default, 60 s.
  std::shared_ptr<SocketGate> gate = {};  // Null: everything is allowed. EpollEventLoop only.
  // Whose names these are, to whoever shares a resolver: one's slow ones delay no other's. Empty: nobody's in
  // particular. EpollEventLoop only.
  std::string asker = {};
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_DATAGRAM_H_
