#include "tests/conformance/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd::conformance {

namespace {

struct Sockaddr {
  sockaddr_storage storage{};
  socklen_t size_bytes = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

bool IsV6(const std::string& host) { return host.find(':') != std::string::npos; }

Sockaddr MakeSockaddr(const std::string& host, uint16_t port) {
  Sockaddr address;
  if (IsV6(host)) {
    auto* in6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    CHECK(inet_pton(AF_INET6, host.c_str(), &in6->sin6_addr) == 1);
    address.size_bytes = sizeof(*in6);
  } else {
    auto* in = reinterpret_cast<sockaddr_in*>(&address.storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    CHECK(inet_pton(AF_INET, host.c_str(), &in->sin_addr) == 1);
    address.size_bytes = sizeof(*in);
  }
  return address;
}

void SetPatience(int fd) {
  const timeval patience{.tv_sec = kPatience.count(), .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

}  // namespace

UniqueFd BoundSocket(const std::string& host, uint16_t port) {
  UniqueFd fd(socket(IsV6(host) ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return {};
  const int room_bytes = 65536;
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &room_bytes, sizeof(room_bytes));
  SetPatience(fd.get());
  const Sockaddr address = MakeSockaddr(host, port);
  if (bind(fd.get(), address.get(), address.size_bytes) != 0) return {};
  return fd;
}

SocketAddress SocknameOf(const UniqueFd& fd) {
  Sockaddr address;
  address.size_bytes = sizeof(address.storage);
  CHECK(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.size_bytes) == 0);
  char host[INET6_ADDRSTRLEN];
  SocketAddress result;
  if (address.storage.ss_family == AF_INET6) {
    const auto* in6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    result.family = AddressFamily::kInet6;
    result.host = inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
    result.port = ntohs(in6->sin6_port);
  } else {
    const auto* in = reinterpret_cast<const sockaddr_in*>(&address.storage);
    result.family = AddressFamily::kInet;
    result.host = inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
    result.port = ntohs(in->sin_port);
  }
  return result;
}

void Listen(const UniqueFd& fd, int backlog) { CHECK(listen(fd.get(), backlog) == 0); }

UniqueFd AcceptFrom(const UniqueFd& listener) {
  UniqueFd fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (fd.valid()) SetPatience(fd.get());
  return fd;
}

Peer::Peer(std::shared_ptr<UniqueFd> fd, Trace& trace) : fd_(std::move(fd)), trace_(trace) {}

bool Peer::Connect(const std::string& host, uint16_t port) {
  const Sockaddr address = MakeSockaddr(host, port);
  const int result = connect(fd_->get(), address.get(), address.size_bytes);
  const int error_number = errno;
  trace_.Add(result == 0 ? "connect" : "connect " + ErrnoName(error_number));
  return result == 0;
}

void Peer::Send(std::string_view data) {
  std::string_view rest = data;
  while (!rest.empty()) {
    const ssize_t sent = send(fd_->get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    const int error_number = errno;
    if (sent < 0) {
      trace_.Add("send " + ErrnoName(error_number));
      return;
    }
    rest.remove_prefix(static_cast<size_t>(sent));
  }
  trace_.Add("send " + DataText(data));
}

std::string Peer::Receive(std::optional<size_t> size_bytes, std::string& data) {
  char piece[65536];
  while (!size_bytes.has_value() || data.size() < *size_bytes) {
    const size_t want_bytes =
        size_bytes.has_value() ? std::min(sizeof(piece), *size_bytes - data.size()) : sizeof(piece);
    const ssize_t got = recv(fd_->get(), piece, want_bytes, 0);
    const int error_number = errno;
    if (got < 0) return ErrnoName(error_number);
    if (got == 0) return "eof";
    data.append(piece, static_cast<size_t>(got));
    received_bytes_ += static_cast<uint64_t>(got);
  }
  return "";
}

void Peer::Recv(size_t size_bytes) {
  std::string data;
  const std::string end = Receive(size_bytes, data);
  trace_.Add(StrCat("recv ", DataText(data), end.empty() ? "" : " then ", end));
}

void Peer::RecvAll() {
  std::string data;
  const std::string end = Receive(std::nullopt, data);
  trace_.Add(StrCat("recv_all ", DataText(data), " then ", end));
}

void Peer::Drain() {
  std::string data;
  Receive(std::nullopt, data);
  trace_.Add("drain");
}

void Peer::Shutdown() {
  shutdown(fd_->get(), SHUT_WR);
  trace_.Add("shutdown");
}

void Peer::Close() {
  fd_->Reset();
  trace_.Add("close");
}

void Peer::Reset() {
  const linger reset{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_->get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  fd_->Reset();
  trace_.Add("reset");
}

}  // namespace transportd::conformance
