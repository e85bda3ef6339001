#include "transports/stream/connected_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <utility>

#include "transports/base/owned_socket.h"
#include "transports/base/sockaddr.h"
#include "transports/stream/raw_socket.h"

namespace transportd {
namespace {

std::optional<PeerCredentials> GetPeerCredentials(int fd) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return std::nullopt;
  return PeerCredentials{.pid = credentials.pid, .uid = credentials.uid, .gid = credentials.gid};
}

}  // namespace

std::shared_ptr<StreamTransport> MakeConnectedSocketTransport(LoopContext& context, UniqueFd fd,
                                                              std::shared_ptr<BaseProtocol> protocol,
                                                              ConnectedSocketOptions options) {
  ExtraInfo extra_info;
  if (options.sockname) {
    extra_info.sockname = std::move(options.sockname);
  } else if (auto sockname = GetSockname(fd.get()); sockname.ok()) {
    extra_info.sockname = *std::move(sockname);
  }
  if (options.peername) {
    extra_info.peername = std::move(options.peername);
  } else if (auto peername = GetPeername(fd.get()); peername.ok()) {
    extra_info.peername = *std::move(peername);
  }
  extra_info.socket = options.kind ? options.kind : GetSocketKind(fd.get());
  const AddressFamily family = extra_info.socket ? extra_info.socket->family : AddressFamily::kUnspecified;
  if (family == AddressFamily::kUnix) extra_info.peercred = GetPeerCredentials(fd.get());
  if (family == AddressFamily::kInet || family == AddressFamily::kInet6) {
    // Fails only on a socket that is broken already.
    const int on = 1;
    static_cast<void>(::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
  }
  std::unique_ptr<StreamSocket> socket = std::make_unique<RawSocket>(std::move(fd), extra_info.peername);
  if (options.layer != nullptr) socket = options.layer->Wrap(std::move(socket), extra_info);
  const WriteBufferMarks marks =
      *ResolveWriteBufferLimits(options.write_buffer_limits, socket->Traits().write_buffer_marks);
  return StreamTransport::Create(
      context, std::move(socket), std::move(protocol),
      {.extra_info = std::move(extra_info), .write_buffer_marks = marks, .on_lost = std::move(options.on_lost)});
}

}  // namespace transportd
