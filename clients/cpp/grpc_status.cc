#include "clients/cpp/grpc_status.h"

#include <string>
#include <string_view>

#include "clients/cpp/convert.h"
#include "proto/frame/wire.h"
#include "transportd/v1/types.pb.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

constexpr std::string_view kTypeName = "transportd.v1.TransportError";

// google.protobuf.Any: type_url = 1, value = 2. A type's name follows the last slash.
bool ReadAny(std::string_view any, v1::TransportError& error) {
  std::string_view type_url;
  std::string_view value;
  wire::FieldReader reader(any);
  for (wire::Field field; reader.Next(field);) {
    if (field.type != wire::Type::kLengthDelimited) continue;
    if (field.number == 1) type_url = field.bytes;
    if (field.number == 2) value = field.bytes;
  }
  const size_t slash = type_url.rfind('/');
  if (!reader.ok() || slash == std::string_view::npos || type_url.substr(slash + 1) != kTypeName) return false;
  return error.ParseFromArray(value.data(), static_cast<int>(value.size()));
}

}  // namespace

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string details = status.error_details();
  // google.rpc.Status: details = 3.
  wire::FieldReader reader(details);
  for (wire::Field field; reader.Next(field);) {
    v1::TransportError error;
    if (field.number == 3 && field.type == wire::Type::kLengthDelimited && ReadAny(field.bytes, error)) {
      return remote::ToStatus(error);
    }
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), ToAbsl(status.error_message()));
}

}  // namespace transportd
