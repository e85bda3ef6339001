#include "server/session/handle.h"

#include <string_view>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {

namespace {

std::string_view KindText(Handle::Kind kind) {
  switch (kind) {
    case Handle::Kind::kStream:
      return "a stream transport";
    case Handle::Kind::kServer:
      return "a server";
    case Handle::Kind::kDatagram:
      return "a datagram endpoint";
    case Handle::Kind::kSocket:
      return "a socket";
    case Handle::Kind::kSubprocess:
      return "a subprocess";
  }
  return "";
}

}  // namespace

absl::Status Handle::WrongKind() const {
  return MakeError(absl::StatusCode::kUnimplemented, "WRONG_KIND",
                   StrCat(id_, " is ", KindText(kind_), ", and has no such method"));
}

}  // namespace transportd
