#include "transports/stream/acceptor.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/admit_socket.h"
#include "transports/base/owned_socket.h"
#include "transports/base/sockaddr.h"

namespace transportd {
namespace {

// asyncio's ACCEPT_RETRY_DELAY.
constexpr Duration kRetryDelay = std::chrono::seconds(1);

bool IsOutOfResources(int error_number) {
  return error_number == EMFILE || error_number == ENFILE || error_number == ENOBUFS || error_number == ENOMEM;
}

// accept(2): a new connection's own errors are told by accept; the next one may be sound.
bool IsOfTheConnection(int error_number) {
  switch (error_number) {
    case EINTR:
    case ECONNABORTED:
    case EPERM:
    case EPROTO:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

// What is accepted is of its listener's kind; but of one that speaks MPTCP, say, it may be plain TCP.
std::optional<SocketKind> GetAcceptedKind(int fd) {
  const std::optional<SocketKind> kind = GetSocketKind(fd);
  const bool is_certain = kind && (kind->family == AddressFamily::kUnix || kind->proto == IPPROTO_TCP);
  return is_certain ? kind : std::nullopt;
}

// Closes with RST (socket(7), SO_LINGER); a Unix socket, which has none, just closes.
void Reset(UniqueFd fd) {
  const linger value{.l_onoff = 1, .l_linger = 0};
  static_cast<void>(::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &value, sizeof(value)));
  fd.Reset();
}

}  // namespace

Acceptor::Acceptor(LoopContext& context, const Server* server, UniqueFd fd, SocketAddress address,
                   const Options& options, OnAccepted on_accepted)
    : context_(context),
      server_(server),
      fd_(std::move(fd)),
      address_(std::move(address)),
      accepted_kind_(GetAcceptedKind(fd_.get())),
      options_(options),
      on_accepted_(std::move(on_accepted)) {}

absl::Status Acceptor::Listen() {
  if (::listen(fd_.get(), static_cast<int>(options_.backlog)) == 0) return absl::OkStatus();
  const int err = errno;
  return ErrnoToStatus(err, "listen", address_.ToString());
}

void Acceptor::StartAccepting() {
  if (!fd_.valid() || watch_ != 0) return;
  watch_ = context_.reactor().AddWatch(fd_.get(), *this);
  context_.reactor().SetWatch(watch_, /*readable=*/true, /*writable=*/false);
}

void Acceptor::Close() {
  if (retry_ != 0) context_.reactor().CancelTimer(std::exchange(retry_, 0));
  if (watch_ != 0) context_.reactor().RemoveWatch(std::exchange(watch_, 0));
  fd_.Reset();
}

void Acceptor::OnReadable() {
  // The callback may close this socket.
  for (uint32_t i = 0; i < options_.backlog && fd_.valid(); ++i) {
    RawAddress peer;
    peer.length = sizeof(peer.storage);
    UniqueFd accepted = AdmitSocket(
        ::accept4(fd_.get(), reinterpret_cast<sockaddr*>(&peer.storage), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC),
        context_.descriptor_limit());
    const int err = errno;
    if (accepted.valid()) {
      Accepted connection{
          .fd = std::move(accepted), .peername = FromRawAddress(peer.get(), peer.length), .kind = accepted_kind_};
      if (address_.family == AddressFamily::kUnix) connection.sockname = address_;
      if (options_.gate != nullptr && !MayAccept(connection)) {
        ++refused_count_;
        Reset(std::move(connection.fd));
        continue;
      }
      on_accepted_(std::move(connection));
    } else if (err == EAGAIN || err == EWOULDBLOCK) {
      return;
    } else if (!IsOfTheConnection(err)) {
      PauseAccepting(err);
      return;
    }
  }
}

bool Acceptor::MayAccept(Accepted& accepted) {
  if (!accepted.sockname) {
    // It may have come to any address of this machine.
    absl::StatusOr<SocketAddress> sockname = GetSockname(accepted.fd.get());
    if (!sockname.ok()) return false;
    accepted.sockname = *std::move(sockname);
  }
  return options_.gate->MayAccept(*accepted.sockname, accepted.peername);
}

void Acceptor::PauseAccepting(int error_number) {
  context_.reactor().SetWatch(watch_, /*readable=*/false, /*writable=*/false);
  retry_ = context_.reactor().CallLater(kRetryDelay, [this] {
    retry_ = 0;
    context_.reactor().SetWatch(watch_, /*readable=*/true, /*writable=*/false);
  });
  context_.ReportException(
      {.message = IsOutOfResources(error_number) ? "socket.accept() out of system resource" : "socket.accept() failed",
       .status = ErrnoToStatus(error_number, "accept", address_.ToString()),
       .server = server_});
}

}  // namespace transportd
