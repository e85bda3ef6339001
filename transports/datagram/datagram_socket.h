// The system calls of a datagram socket, several datagrams at a time.
#ifndef TRANSPORTD_TRANSPORTS_DATAGRAM_DATAGRAM_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_DATAGRAM_DATAGRAM_SOCKET_H_

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "transports/api/address.h"
#include "transports/base/socket_place.h"
#include "transports/base/unique_fd.h"

namespace transportd {

// recvmmsg(2) and sendmmsg(2) on a non-blocking SOCK_DGRAM socket. Holds no buffer and no state of a transport's.
// Threading: loop thread only.
class DatagramSocket final {
 public:
  static constexpr size_t kMaxReceiveCount = 32;
  static constexpr size_t kMaxSendCount = 64;

  // What one call of Receive found.
  struct ReceiveBatch {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): the kernel fills it in
    struct Item {
      std::string_view data;  // In the caller's buffer.
      socklen_t address_length;
      bool truncated;  // It was longer than kMaxDatagramBytes.
    };
    // It is made for every read: only what the kernel fills in is initialised.
    ReceiveBatch() {}  // NOLINT(cppcoreguidelines-pro-type-member-init): see above
    const sockaddr* address(size_t index) const { return reinterpret_cast<const sockaddr*>(&addresses[index]); }

    size_t count = 0;
    int error_number = 0;  // Of the kernel, when count is 0; EAGAIN: nothing was there.
    std::array<Item, kMaxReceiveCount> items;
    std::array<sockaddr_storage, kMaxReceiveCount> addresses;
  };

  // A datagram to send; `address` holds the bytes of a sockaddr, none when the socket is connected.
  struct Outgoing {
    std::string_view data;
    std::string_view address;
  };

  struct SendResult {
    size_t sent_count = 0;
    int error_number = 0;  // Why the next one was not sent; 0: all were. EAGAIN: try again when there is room.
  };

  // `symlinks`: in the paths that datagrams are sent to.
  DatagramSocket(UniqueFd fd, AddressFamily family, Symlinks symlinks = Symlinks::kFollow)
      : fd_(std::move(fd)), family_(family), symlinks_(symlinks) {}

  int fd() const { return fd_.get(); }
  AddressFamily family() const { return family_; }

  // At most `max_count` (1 to kMaxReceiveCount) datagrams; fewer when `buffer`, which has room for one of
  // kMaxDatagramBytes, has none for so many of the longest that the family has.
  void Receive(std::span<char> buffer, size_t max_count, ReceiveBatch& batch) const;

  // At least one, at most kMaxSendCount. Runs of equal size to one address go to the kernel as one message
  // (UDP_SEGMENT of udp(7)): over loopback that is six times as fast as one by one.
  SendResult Send(std::span<const Outgoing> datagrams);

  // Datagrams that the kernel dropped since the socket was made: what SO_RXQ_OVFL counts (socket(7)), asked for when it
  // is wanted instead of received with each datagram.
  uint64_t DroppedCount() const;

 private:
  // How many from the front may go into one message.
  size_t RunLength(std::span<const Outgoing> datagrams) const;
  SendResult SendOnce(std::span<const Outgoing> datagrams, bool in_runs) const;
  // As Send, to Unix sockets that no symbolic link leads to.
  SendResult SendWithoutSymlinks(std::span<const Outgoing> datagrams) const;

  const UniqueFd fd_;
  const AddressFamily family_;
  const Symlinks symlinks_;
  // Cleared when the kernel refuses it here, as it does on a device that cannot sum checksums.
  bool segmentation_ = true;
  // The kernel counts modulo 2^32.
  mutable uint64_t dropped_count_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_DATAGRAM_DATAGRAM_SOCKET_H_
