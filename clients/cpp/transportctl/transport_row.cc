#include "clients/cpp/transportctl/transport_row.h"

#include "clients/cpp/convert.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

std::string AddressText(const v1::SocketAddress& address) {
  const SocketAddress out = remote::FromProto(address);
  return out.family == AddressFamily::kUnspecified ? "" : out.ToString();
}

}  // namespace

std::string KindText(const v1::TransportInfo& transport) {
  switch (transport.kind()) {
    case v1::TRANSPORT_KIND_STREAM:
      return transport.has_pipe() ? "pipe" : "stream";
    case v1::TRANSPORT_KIND_SERVER:
      return "server";
    case v1::TRANSPORT_KIND_DATAGRAM:
      return "datagram";
    case v1::TRANSPORT_KIND_SOCKET:
      return "socket";
    case v1::TRANSPORT_KIND_SUBPROCESS:
      return "subprocess";
    default:
      return StrCat("kind ", static_cast<int>(transport.kind()));  // Of a service newer than this program.
  }
}

std::string LocalText(const v1::TransportInfo& transport) {
  if (transport.pid() != 0) return StrCat("pid ", transport.pid());
  if (!transport.has_pipe()) return AddressText(transport.sockname());
  const v1::PipeInfo& pipe = transport.pipe();
  if (!pipe.path().empty()) return pipe.path();
  return pipe.has_fd() && transport.subprocess_id() == 0 ? StrCat("fd ", pipe.fd()) : "";
}

std::string PeerText(const v1::TransportInfo& transport) {
  if (transport.subprocess_id() == 0) return AddressText(transport.peername());
  const v1::PipeInfo& pipe = transport.pipe();
  const std::string end = pipe.kind() == v1::PIPE_KIND_TERMINAL ? "terminal" : StrCat("fd ", pipe.fd());
  return StrCat(end, " of subprocess ", transport.subprocess_id());
}

std::vector<std::string> TransportHeading() {
  return {"SESSION",  "ID",   "KIND",           "LOCAL",    "PEER", "SERVER",
          "RECEIVED", "SENT", "UNACKNOWLEDGED", "TO WRITE", "STATE"};
}

std::vector<std::string> TransportRow(const v1::TransportInfo& transport) {
  return {transport.session_prefix(),
          StrCat(transport.transport_id()),
          KindText(transport),
          LocalText(transport),
          PeerText(transport),
          transport.server_id() == 0 ? "" : StrCat(transport.server_id()),
          StrCat(transport.received_bytes()),
          StrCat(transport.sent_bytes()),
          StrCat(transport.unacknowledged_bytes()),
          StrCat(transport.write_buffer_size_bytes()),
          transport.is_closing()       ? "closing"
          : transport.reading_paused() ? "paused"
                                       : "open"};
}

}  // namespace transportd::ctl
