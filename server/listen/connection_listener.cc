#include "server/listen/connection_listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "transports/base/logging.h"
#include "transports/base/str_cat.h"
#include "transports/tcp/bind.h"
#include "transports/unix/socket_file.h"

namespace transportd {
namespace {

constexpr uint32_t kBacklog = 1024;

absl::StatusOr<BoundSocket> Bind(const ListenAddress& address) {
  if (absl::Status status = CheckListenAddress(address); !status.ok()) return status;
  if (address.address.family == AddressFamily::kUnix) {
    const bool has_file = address.address.path.front() != '\0';
    return BindUnixSocket(address.address, has_file ? std::optional(address.mode) : std::nullopt,
                          LoopContext::kNoDescriptorLimit);
  }
  absl::StatusOr<std::vector<BoundSocket>> bound = BindAll({address.address}, {}, LoopContext::kNoDescriptorLimit);
  if (!bound.ok()) return bound.status();
  return std::move(bound->front());
}

// Whether the process behind a Unix socket is one of these users'; `uids` empty: whoever it is.
bool MayEnter(int fd, const std::vector<uint32_t>& uids, bool refuses_self) {
  if (uids.empty() && !refuses_self) return true;
  ucred peer{};
  socklen_t length = sizeof(peer);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
  if (refuses_self && peer.pid == ::getpid()) {
    LogWarning("a connection of a client's through this service to its own Unix socket was refused");
    return false;
  }
  if (uids.empty()) return true;
  if (std::find(uids.begin(), uids.end(), peer.uid) != uids.end()) return true;
  LogWarning("a connection of user ", peer.uid, ", process ", peer.pid, ", was refused: see --listen, uid=");
  return false;
}

// `target` with the port that the socket has, when it is a TCP address.
std::string DialTarget(const ListenAddress& address, const SocketAddress& bound) {
  if (bound.family == AddressFamily::kUnix) return address.target;
  return StrCat(address.target.substr(0, address.target.rfind(':')), ":", bound.port);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ConnectionListener>> ConnectionListener::Create(LoopContext& context,
                                                                               const ListenAddress& address,
                                                                               bool refuses_self) {
  absl::StatusOr<BoundSocket> bound = Bind(address);
  if (!bound.ok()) return bound.status();
  auto listener = std::unique_ptr<ConnectionListener>(new ConnectionListener());
  listener->target_ = DialTarget(address, bound->address);
  if (address.address.family == AddressFamily::kUnix) {
    listener->remove_file_ = SocketFileRemover(address.address.path);
  }
  const bool is_tcp = address.address.family != AddressFamily::kUnix;
  listener->acceptor_ = std::make_unique<Acceptor>(
      context, /*server=*/nullptr, std::move(bound->fd), bound->address, Acceptor::Options{.backlog = kBacklog},
      [listener = listener.get(), is_tcp, refuses_self, uids = address.uids](Acceptor::Accepted accepted) {
        if (is_tcp) {
          const int on = 1;
          // It can only be slow without it.
          (void)::setsockopt(accepted.fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        } else if (!MayEnter(accepted.fd.get(), uids, refuses_self)) {
          return;
        }
        listener->on_connection_(std::move(accepted.fd), accepted.peername);
      });
  if (absl::Status status = listener->acceptor_->Listen(); !status.ok()) {
    listener->Close();
    return status;
  }
  return listener;
}

ConnectionListener::~ConnectionListener() { Close(); }

void ConnectionListener::Start(OnConnection on_connection) {
  on_connection_ = std::move(on_connection);
  acceptor_->StartAccepting();
}

void ConnectionListener::Close() {
  if (acceptor_ != nullptr) acceptor_->Close();
  if (remove_file_) std::exchange(remove_file_, nullptr)();
}

}  // namespace transportd
