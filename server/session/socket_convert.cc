#include "server/session/socket_convert.h"

#include "server/session/convert.h"

namespace transportd {

void ToProto(const SocketKind& kind, v1::SocketKind& out) {
  // The numbers are the same.
  out.set_family(static_cast<v1::AddressFamily>(kind.family));
  out.set_type(static_cast<v1::SocketType>(kind.type));
  out.set_proto(kind.proto);
}

void ToProto(const AddressInfo& info, v1::AddressInfo& out) {
  out.set_family(static_cast<v1::AddressFamily>(info.family));
  out.set_type(static_cast<v1::SocketType>(info.type));
  out.set_proto(info.proto);
  out.set_canonname(info.canonname);
  ToProto(info.address, *out.mutable_address());
}

SocketpairOptions FromProto(const v1::SocketpairRequest& request) {
  return {.family = FromProto(request.family()),
          .type = request.type() == v1::SOCKET_TYPE_UNSPECIFIED ? SocketType::kStream
                                                                : static_cast<SocketType>(request.type())};
}

GetaddrinfoOptions FromProto(const v1::GetaddrinfoRequest& request) {
  GetaddrinfoOptions options{.family = FromProto(request.family()),
                             .type = static_cast<SocketType>(request.type()),
                             .proto = request.proto(),
                             .flags = request.flags()};
  if (request.has_host()) options.host = request.host();
  if (request.has_port()) options.port = request.port();
  return options;
}

SendfileOptions FromProto(const v1::SendfileRequest& request) {
  SendfileOptions options{.path = request.path(), .offset_bytes = request.offset_bytes()};
  if (request.has_count_bytes()) options.count_bytes = request.count_bytes();
  if (request.has_fallback()) options.fallback = request.fallback();
  return options;
}

}  // namespace transportd
