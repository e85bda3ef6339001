#include "transports/stream/connected_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <utility>

#include "transports/base/sockaddr.h"
#include "transports/stream/raw_socket.h"

namespace transportd {

std::shared_ptr<StreamTransport> MakeConnectedSocketTransport(LoopContext& context, UniqueFd fd,
                                                              std::shared_ptr<BaseProtocol> protocol,
                                                              ConnectedSocketOptions options) {
  ExtraInfo extra_info;
  if (auto sockname = GetSockname(fd.get()); sockname.ok()) extra_info.sockname = *std::move(sockname);
  if (options.peername) {
    extra_info.peername = std::move(options.peername);
  } else if (auto peername = GetPeername(fd.get()); peername.ok()) {
    extra_info.peername = *std::move(peername);
  }
  if (extra_info.sockname &&
      (extra_info.sockname->family == AddressFamily::kInet || extra_info.sockname->family == AddressFamily::kInet6)) {
    // Fails only on a socket that is broken already.
    const int on = 1;
    static_cast<void>(::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
  }
  auto socket = std::make_unique<RawSocket>(std::move(fd), extra_info.peername);
  return StreamTransport::Create(context, std::move(socket), std::move(protocol),
                                 {.extra_info = std::move(extra_info),
                                  .write_buffer_marks = options.write_buffer_marks,
                                  .on_lost = std::move(options.on_lost)});
}

}  // namespace transportd
