// The other end of a datagram endpoint, made of system calls only: what it sees does not depend on the code under test.
#ifndef TRANSPORTD_TESTS_SUPPORT_RAW_DATAGRAM_PEER_H_
#define TRANSPORTD_TESTS_SUPPORT_RAW_DATAGRAM_PEER_H_

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "transports/api/address.h"
#include "transports/base/unique_fd.h"

namespace transportd {

// One datagram and where it came from; a sender without an address is kUnspecified.
struct RawDatagram {
  std::string data;
  SocketAddress sender;
};

// A non-blocking datagram socket. Calls that wait give up after 20 s, so that a mistake fails a test and does not hang
// it. Threading: one thread at a time.
class RawDatagramPeer final {
 public:
  // On a free loopback port. valid() is false when the machine has no such address.
  static RawDatagramPeer OnLoopback(AddressFamily family = AddressFamily::kInet);
  // On a Unix path or abstract name; empty: none.
  static RawDatagramPeer OnPath(const std::string& path);

  bool valid() const { return fd_.valid(); }
  int fd() const { return fd_.get(); }
  SocketAddress address() const;

  // False on an error, which errno tells.
  bool SendTo(const SocketAddress& address, std::string_view data);
  // Nullopt when none waits.
  std::optional<RawDatagram> TryReceive();
  // Waits for one; nullopt after 20 s.
  std::optional<RawDatagram> Receive();
  void Close() { fd_.Reset(); }

 private:
  explicit RawDatagramPeer(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

// An address of loopback where no datagram socket is: ICMP tells whoever sends there.
SocketAddress RefusedDatagramAddress(AddressFamily family = AddressFamily::kInet);

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_SUPPORT_RAW_DATAGRAM_PEER_H_
