// The other end of a connection, made of system calls only: what it sees does not depend on the code under test.
#ifndef TRANSPORTD_TESTS_SUPPORT_RAW_PEER_H_
#define TRANSPORTD_TESTS_SUPPORT_RAW_PEER_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "transports/api/address.h"
#include "transports/base/unique_fd.h"

namespace transportd {

// A connected stream socket. Calls that wait give up after 20 s, so that a mistake fails a test and does not hang it.
// Threading: one thread at a time. On the loop's own thread use Poll and received(), which never wait.
class RawPeer final {
 public:
  RawPeer() = default;
  // Takes over a connected, non-blocking descriptor.
  explicit RawPeer(UniqueFd fd) : fd_(std::move(fd)) {}

  // Waits for the connection; on failure valid() is false and error_number() says why.
  static RawPeer Connect(const SocketAddress& address);

  bool valid() const { return fd_.valid(); }
  int fd() const { return fd_.get(); }
  SocketAddress sockname() const;

  // Sends all of `data`, waiting for room. False on an error.
  bool Send(std::string_view data);
  // Sends what there is room for now; returns its size.
  size_t TrySend(std::string_view data);

  // Takes what has arrived, without waiting.
  void Poll();
  // Waits until at least `size_bytes` were received in all. False when the peer ended first.
  bool RecvAtLeast(size_t size_bytes);
  // Waits for the peer's end. True: EOF; false: an error, or nothing for 20 s.
  bool RecvToEof();

  // All that was received so far.
  const std::string& received() const { return received_; }
  bool eof() const { return eof_; }
  // The errno that ended sending or receiving; 0: none.
  int error_number() const { return error_number_; }

  // FIN; receiving goes on.
  void ShutdownWrite();
  void Close() { fd_.Reset(); }
  // Closes with RST.
  void Reset();
  // Hands the descriptor to the caller.
  UniqueFd Release() { return std::move(fd_); }

 private:
  UniqueFd fd_;
  std::string received_;
  bool eof_ = false;
  int error_number_ = 0;
};

// A listening socket on a free loopback port, or at a path. Threading: one thread at a time.
class RawListener final {
 public:
  // 127.0.0.1 or ::1. valid() is false when the machine has no such address.
  explicit RawListener(AddressFamily family = AddressFamily::kInet, int backlog = 128);

  // At a Unix socket's path; its file is the caller's to remove.
  explicit RawListener(const SocketAddress& address, int backlog = 128);
  bool valid() const { return fd_.valid(); }
  const SocketAddress& address() const { return address_; }
  // Waits, 20 s at most.
  RawPeer Accept();
  // Not valid() when none waits.
  RawPeer TryAccept();
  void Close() { fd_.Reset(); }

 private:
  UniqueFd fd_;
  SocketAddress address_;
};

// An address of loopback where nobody listens: connecting to it is refused.
SocketAddress RefusedAddress(AddressFamily family = AddressFamily::kInet);

SocketAddress UnixAddress(std::string path);

// A connected pair of TCP sockets, non-blocking: for code that takes a descriptor.
struct TcpPair {
  UniqueFd first;
  UniqueFd second;
};
TcpPair MakeTcpPair(AddressFamily family = AddressFamily::kInet);

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_SUPPORT_RAW_PEER_H_
