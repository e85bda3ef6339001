#include "tests/conformance/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

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

UniqueFd BoundUnixSocket(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  CHECK(path.size() < sizeof(address.sun_path));
  path.copy(address.sun_path, path.size());
  CHECK(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  SetPatience(fd.get());
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

Peer::Peer(std::shared_ptr<UniqueFd> fd, Trace& trace)
    : fd_(std::move(fd)), stream_(std::make_shared<SocketStream>(fd_)), trace_(trace) {}

Peer::Peer(const Peer& other, Trace& trace) : fd_(other.fd_), stream_(other.stream_), tls_(other.tls_), trace_(trace) {}

void Peer::Connect(const std::string& host, uint16_t port) {
  const Sockaddr address = MakeSockaddr(host, port);
  const int result = connect(fd_->get(), address.get(), address.size_bytes);
  const int error_number = errno;
  trace_.Add(result == 0 ? "connect" : "connect " + ErrnoName(error_number));
  is_connected_ = result == 0;
}

void Peer::Send(std::string_view data) {
  const std::string error = stream_->Send(data);
  trace_.Add("send " + (error.empty() ? DataText(data) : error));
}

std::string Peer::Receive(std::optional<size_t> size_bytes, std::string& data) {
  while (!size_bytes.has_value() || data.size() < *size_bytes) {
    const size_t had_bytes = data.size();
    std::string end = stream_->Receive(data, size_bytes.value_or(SIZE_MAX) - had_bytes);
    received_bytes_ += data.size() - had_bytes;
    if (!end.empty()) return end;
  }
  return "";
}

std::string Peer::StartTls(SSL_CTX& terms, bool server_side, const std::string& server_hostname, SSL_SESSION* session) {
  std::string error = TryTls(terms, server_side, server_hostname, session);
  if (!error.empty()) trace_.Add("handshake " + error);
  return error;
}

std::string Peer::TryTls(SSL_CTX& terms, bool server_side, const std::string& server_hostname, SSL_SESSION* session) {
  tls_ = std::make_shared<TlsEnd>(stream_, terms, server_side, server_hostname);
  stream_ = tls_;
  return tls_->Handshake(session);
}

void Peer::TakeLeave() {
  std::string data;
  Receive(std::nullopt, data);
}

void Peer::Recv(size_t size_bytes) {
  std::string data;
  const std::string end = Receive(size_bytes, data);
  trace_.Add(StrCat("recv ", DataText(data), end.empty() ? "" : " then ", end));
}

void Peer::Skip(size_t size_bytes) {
  std::string data;
  const std::string end = Receive(size_bytes, data);
  trace_.Add("skip" + (end.empty() ? "" : " then " + end));
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
  if (tls_ != nullptr) {
    tls_->Notify();
  } else {
    shutdown(fd_->get(), SHUT_WR);
  }
  trace_.Add("shutdown");
}

void Peer::Cut() {
  shutdown(fd_->get(), SHUT_WR);
  trace_.Add("cut");
}

void Peer::SendRaw(std::string_view data) {
  const std::string error = SocketStream(fd_).Send(data);
  trace_.Add("send_raw" + (error.empty() ? "" : " " + error));
}

void Peer::Close() {
  if (tls_ != nullptr) tls_->Notify();
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
