#include "server/rpc/grpc_status.h"

#include <cstdint>
#include <string>
#include <string_view>

#include "google/protobuf/any.pb.h"
#include "proto/frame/wire.h"
#include "server/session/convert.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

// gRPC puts `grpc-message` into a header, percent-encoded, and a client refuses trailers beyond 8 KiB in all.
constexpr size_t kMaxMessageBytes = 1024;
constexpr size_t kMaxDetailsBytes = 4096;

void AppendVarint(std::string& out, uint64_t value) {
  char bytes[wire::kMaxVarint64Bytes];
  out.append(bytes, wire::PutVarint(bytes, value));
}

void AppendBytes(std::string& out, uint32_t field_number, std::string_view bytes) {
  out.push_back(wire::Tag(field_number, wire::Type::kLengthDelimited));
  AppendVarint(out, bytes.size());
  out.append(bytes);
}

// google.rpc.Status{code = 1, message = 2, details = 3}: its .proto is not packaged.
std::string SerializeRpcStatus(const v1::TransportError& error, grpc::StatusCode code, std::string_view message) {
  google::protobuf::Any detail;
  detail.PackFrom(error);
  std::string out;
  out.push_back(wire::Tag(1, wire::Type::kVarint));
  AppendVarint(out, static_cast<uint64_t>(code));
  AppendBytes(out, 2, message);
  AppendBytes(out, 3, detail.SerializeAsString());
  return out;
}

grpc::StatusCode CanonicalCode(int32_t code) {
  return code > grpc::StatusCode::OK && code <= grpc::StatusCode::UNAUTHENTICATED ? static_cast<grpc::StatusCode>(code)
                                                                                  : grpc::StatusCode::UNKNOWN;
}

// At most `max_bytes`, cut at the beginning of a UTF-8 sequence.
std::string Truncated(std::string text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  size_t end = max_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
  return text;
}

}  // namespace

grpc::Status ToGrpcStatus(const v1::TransportError& error) {
  const grpc::StatusCode code = CanonicalCode(error.code());
  const std::string message = Truncated(StrCat(error.reason(), ": ", error.message()), kMaxMessageBytes);
  std::string details = SerializeRpcStatus(error, code, message);
  if (details.size() > kMaxDetailsBytes) {
    // A client that cannot read the trailers sees no error at all, so the causes go first, then the long text.
    v1::TransportError brief = error;
    while (brief.causes_size() > 0 && brief.ByteSizeLong() > kMaxDetailsBytes / 2) brief.mutable_causes()->RemoveLast();
    brief.set_message(Truncated(brief.message(), kMaxMessageBytes));
    brief.set_address(Truncated(brief.address(), kMaxMessageBytes));
    details = SerializeRpcStatus(brief, code, message);
  }
  return grpc::Status(code, message, details);
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  return status.ok() ? grpc::Status::OK : ToGrpcStatus(ErrorProto(status));
}

}  // namespace transportd
