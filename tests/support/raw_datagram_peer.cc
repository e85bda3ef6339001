#include "tests/support/raw_datagram_peer.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <vector>

#include "tests/support/patience.h"
#include "transports/base/sockaddr.h"

namespace transportd {
namespace {

constexpr size_t kRoomBytes = 1 << 20;

UniqueFd MakeSocket(AddressFamily family, const SocketAddress& address) {
  UniqueFd fd(::socket(AddressFamilyToNumber(family), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (address.family == AddressFamily::kUnspecified) return fd;
  const RawAddress raw = ToRawAddress(address).value();
  if (fd.valid() && ::bind(fd.get(), raw.get(), raw.length) != 0) fd.Reset();
  return fd;
}

}  // namespace

RawDatagramPeer RawDatagramPeer::OnLoopback(AddressFamily family) {
  SocketAddress address;
  address.family = family;
  address.host = family == AddressFamily::kInet6 ? "::1" : "127.0.0.1";
  return RawDatagramPeer(MakeSocket(family, address));
}

RawDatagramPeer RawDatagramPeer::OnPath(const std::string& path) {
  SocketAddress address;
  if (!path.empty()) address.family = AddressFamily::kUnix;
  address.path = path;
  return RawDatagramPeer(MakeSocket(AddressFamily::kUnix, address));
}

SocketAddress RawDatagramPeer::address() const { return GetSockname(fd()).value(); }

bool RawDatagramPeer::SendTo(const SocketAddress& address, std::string_view data) {
  const RawAddress raw = ToRawAddress(address).value();
  return ::sendto(fd(), data.data(), data.size(), MSG_NOSIGNAL, raw.get(), raw.length) ==
         static_cast<ssize_t>(data.size());
}

std::optional<RawDatagram> RawDatagramPeer::TryReceive() {
  std::vector<char> buffer(kRoomBytes);
  RawAddress sender;
  sender.length = sizeof(sender.storage);
  const ssize_t size =
      ::recvfrom(fd(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&sender.storage), &sender.length);
  if (size < 0) return std::nullopt;
  return RawDatagram{.data = std::string(buffer.data(), static_cast<size_t>(size)),
                     .sender = FromRawAddress(sender.get(), sender.length)};
}

std::optional<RawDatagram> RawDatagramPeer::Receive() {
  pollfd entry{.fd = fd(), .events = POLLIN, .revents = 0};
  if (::poll(&entry, 1, kPatienceMilliseconds) != 1) return std::nullopt;
  return TryReceive();
}

SocketAddress RefusedDatagramAddress(AddressFamily family) { return RawDatagramPeer::OnLoopback(family).address(); }

}  // namespace transportd
