#include "tests/support/raw_peer.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "tests/support/patience.h"
#include "transports/base/check.h"
#include "transports/base/sockaddr.h"

namespace transportd {
namespace {

bool WaitFor(int fd, short events) {
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  int count = 0;
  do {
    count = ::poll(&entry, 1, kPatienceMilliseconds);
  } while (count < 0 && errno == EINTR);
  return count > 0;
}

SocketAddress Loopback(AddressFamily family) {
  const bool inet6 = family == AddressFamily::kInet6;
  return SocketAddress{.family = family, .host = inet6 ? "::1" : "127.0.0.1", .path = {}};
}

UniqueFd StreamSocket(AddressFamily family) {
  return UniqueFd(::socket(AddressFamilyToNumber(family), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

UniqueFd BoundSocket(const SocketAddress& address) {
  UniqueFd fd = StreamSocket(address.family);
  const RawAddress raw = ToRawAddress(address).value();
  if (fd.valid() && ::bind(fd.get(), raw.get(), raw.length) != 0) fd.Reset();
  return fd;
}

}  // namespace

RawPeer RawPeer::Connect(const SocketAddress& address) {
  RawPeer peer(StreamSocket(address.family));
  const RawAddress raw = ToRawAddress(address).value();
  if (::connect(peer.fd(), raw.get(), raw.length) == 0) return peer;
  peer.error_number_ = errno;
  if (peer.error_number_ == EINPROGRESS) {
    socklen_t length = sizeof(peer.error_number_);
    if (!WaitFor(peer.fd(), POLLOUT)) {
      peer.error_number_ = ETIMEDOUT;
    } else {
      CHECK(::getsockopt(peer.fd(), SOL_SOCKET, SO_ERROR, &peer.error_number_, &length) == 0);
    }
  }
  if (peer.error_number_ != 0) peer.Close();
  return peer;
}

SocketAddress RawPeer::sockname() const { return GetSockname(fd()).value(); }

size_t RawPeer::TrySend(std::string_view data) {
  const ssize_t sent = ::send(fd(), data.data(), data.size(), MSG_NOSIGNAL);
  if (sent >= 0) return static_cast<size_t>(sent);
  if (errno != EAGAIN && errno != EINTR) error_number_ = errno;
  return 0;
}

bool RawPeer::Send(std::string_view data) {
  while (!data.empty()) {
    const size_t sent = TrySend(data);
    data.remove_prefix(sent);
    if (error_number_ != 0) return false;
    if (sent == 0 && !WaitFor(fd(), POLLOUT)) return false;
  }
  return true;
}

void RawPeer::Poll() {
  char buffer[65536];
  while (!eof_ && error_number_ == 0) {
    const ssize_t size = ::recv(fd(), buffer, sizeof(buffer), 0);
    if (size > 0) {
      received_.append(buffer, static_cast<size_t>(size));
    } else if (size == 0) {
      eof_ = true;
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      error_number_ = errno;
    }
  }
}

bool RawPeer::RecvAtLeast(size_t size_bytes) {
  for (Poll(); received_.size() < size_bytes; Poll()) {
    if (eof_ || error_number_ != 0 || !WaitFor(fd(), POLLIN)) return false;
  }
  return true;
}

bool RawPeer::RecvToEof() {
  for (Poll(); !eof_; Poll()) {
    if (error_number_ != 0 || !WaitFor(fd(), POLLIN)) return false;
  }
  return true;
}

void RawPeer::ShutdownWrite() { CHECK(::shutdown(fd(), SHUT_WR) == 0 || errno == ENOTCONN); }

void RawPeer::Reset() {
  const linger reset{.l_onoff = 1, .l_linger = 0};
  CHECK(::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0);
  Close();
}

RawListener::RawListener(AddressFamily family, int backlog) : RawListener(Loopback(family), backlog) {}

RawListener::RawListener(const SocketAddress& address, int backlog) : fd_(BoundSocket(address)) {
  if (!fd_.valid()) return;
  CHECK(::listen(fd_.get(), backlog) == 0);
  address_ = GetSockname(fd_.get()).value();
}

RawPeer RawListener::Accept() {
  RawPeer peer = TryAccept();
  if (!peer.valid() && WaitFor(fd_.get(), POLLIN)) peer = TryAccept();
  return peer;
}

RawPeer RawListener::TryAccept() {
  return RawPeer(UniqueFd(::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)));
}

SocketAddress RefusedAddress(AddressFamily family) {
  // Bound once, so free now; the kernel hands out other ports before it hands out this one again.
  UniqueFd fd = BoundSocket(Loopback(family));
  return GetSockname(fd.get()).value();
}

SocketAddress UnixAddress(std::string path) {
  return SocketAddress{.family = AddressFamily::kUnix, .path = std::move(path)};
}

TcpPair MakeTcpPair(AddressFamily family) {
  RawListener listener(family);
  CHECK(listener.valid());
  UniqueFd first = StreamSocket(family);
  const RawAddress raw = ToRawAddress(listener.address()).value();
  CHECK(::connect(first.get(), raw.get(), raw.length) == 0 || errno == EINPROGRESS);
  CHECK(WaitFor(first.get(), POLLOUT));
  RawPeer accepted = listener.Accept();
  CHECK(accepted.valid());
  return TcpPair{.first = std::move(first), .second = accepted.Release()};
}

}  // namespace transportd
