// Protocols: what a program implements and a transport calls.
// https://docs.python.org/3.13/library/asyncio-protocol.html#protocols
//
// Order, for every transport:
//
//   ConnectionMade  DataReceived*  EofReceived?  ConnectionLost
//
// with GetBuffer/BufferUpdated pairs for DataReceived in a BufferedProtocol, and PauseWriting/ResumeWriting strictly
// alternating in between. Nothing comes after ConnectionLost. Every call is made on the loop's thread, and never from
// inside a call of the transport's own methods, but for PauseWriting, which Write and SetWriteBufferLimits call
// directly, so that a writer who never returns to the loop sees it. Inside any callback every method of the transport
// may be called.
#ifndef TRANSPORTD_TRANSPORTS_API_PROTOCOL_H_
#define TRANSPORTD_TRANSPORTS_API_PROTOCOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "absl/status/status.h"

namespace transportd {

class Transport;

// Why a transport ended; see EndCause in proto/transportd/v1/types.proto.
enum class EndCause {
  kEof,              // The peer ended its side, then this side closed.
  kLocalClose,       // Close, before the peer ended.
  kLocalAbort,       // Abort.
  kReset,            // ECONNRESET.
  kBrokenPipe,       // EPIPE, ESHUTDOWN.
  kTimedOut,         // ETIMEDOUT.
  kUnreachable,      // EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN.
  kTlsAlert,         // The peer ended TLS with an alert.
  kTlsError,         // TLS failed on this side.
  kPolicyRevoked,    // The operator's policy no longer allows it.
  kSessionLost,      // The service or the stream to it was lost; RemoteEventLoop only.
  kServiceStopping,  // The service is stopping.
  kOsError,          // Any other errno.
  kRaggedEof,        // TLS only: the peer ended the connection without ending TLS. No error, but see the contract.
  kOperator,         // An operator ended it.
};

// "EOF", "LOCAL_CLOSE", …: the name in the contract without its prefix.
std::string_view EndCauseName(EndCause cause);

// The cause that an errno of the data path means.
EndCause EndCauseFromErrno(int error_number);

// What ConnectionLost is told.
struct ConnectionEnd {
  EndCause cause = EndCause::kLocalClose;
  absl::Status status = {};     // OK: in order, asyncio's None. Else it carries a TransportError.
  uint64_t received_bytes = 0;  // Read from the socket.
  uint64_t sent_bytes = 0;      // Handed to the kernel.
  uint64_t dropped_bytes = 0;   // Accepted by Write, never handed to the kernel. Not 0: the output was truncated.
};

// Threading: loop thread only.
class BaseProtocol {
 public:
  virtual ~BaseProtocol() = default;

  // Once, first. `transport` stays usable for as long as it is held; after ConnectionLost its methods do nothing.
  virtual void ConnectionMade(std::shared_ptr<Transport> transport) { static_cast<void>(transport); }

  // Once, last.
  virtual void ConnectionLost(const ConnectionEnd& end) { static_cast<void>(end); }

  // The write buffer holds strictly more than the high-water mark.
  virtual void PauseWriting() {}

  // The write buffer holds the low-water mark or less.
  virtual void ResumeWriting() {}

  // Not asyncio's: true when what EofReceived returns counts even where asyncio ignores it (TLS), because who decides
  // is elsewhere, and closes by itself.
  virtual bool DecidesOnEof() const { return false; }

  // Not asyncio's: the kernel took bytes that Write was given; `sent_bytes` is the sum of them since ConnectionMade,
  // without what Sendfile sends. Any number of times between ConnectionMade and ConnectionLost, only when it grew. May
  // be called from inside Write.
  virtual void BytesSent(uint64_t sent_bytes) { static_cast<void>(sent_bytes); }
};

// Threading: loop thread only.
class Protocol : public BaseProtocol {
 public:
  // Bytes arrived; never empty, at most 262144. They are gone when the call returns.
  virtual void DataReceived(std::string_view data) { static_cast<void>(data); }

  // The peer will send no more; at most once. True: the transport stays open for writing. False: it closes itself.
  virtual bool EofReceived() { return false; }
};

// A protocol that says where bytes are to be put. Threading: loop thread only.
class BufferedProtocol : public BaseProtocol {
 public:
  // Room for incoming bytes: not empty (that aborts the transport), unless this has called PauseReading, the only
  // method it may call. It stays valid until BufferUpdated or the next GetBuffer. `size_hint_bytes`: how much is known
  // to be waiting; 0 when unknown. Not every GetBuffer is followed by a BufferUpdated.
  virtual std::span<char> GetBuffer(size_t size_hint_bytes) = 0;

  // The first `size_bytes` (more than 0) of the buffer were filled.
  virtual void BufferUpdated(size_t size_bytes) = 0;

  // As in Protocol.
  virtual bool EofReceived() { return false; }
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_PROTOCOL_H_
