#include "transports/api/error.h"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace transportd {
namespace {

constexpr char kPayloadUrl[] = "transportd/TransportError";

// Causes of causes of … are not made; the bound keeps a payload of somebody else's making from using up the stack.
constexpr int kMaxCauseDepth = 8;

// This layer is below transports/base, where CHECK is.
void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "transports/api/error.cc: %s\n", what);
  std::abort();
}

// The payload: every field in the order of TransportError, numbers as 4 bytes (least significant first), strings and
// lists preceded by their length. It never leaves the process, so it needs no version.
void PutNumber(uint32_t number, std::string& out) {
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(number >> shift & 0xff));
}

void PutString(std::string_view text, std::string& out) {
  PutNumber(static_cast<uint32_t>(text.size()), out);
  out.append(text);
}

void Encode(const TransportError& error, std::string& out) {
  PutNumber(static_cast<uint32_t>(error.code), out);
  PutString(error.reason, out);
  PutString(error.message, out);
  PutNumber(static_cast<uint32_t>(error.errno_number), out);
  PutString(error.address, out);
  PutString(error.operation, out);
  PutString(error.field, out);
  PutNumber(static_cast<uint32_t>(error.gai_code), out);
  PutNumber(static_cast<uint32_t>(error.sent_bytes), out);
  PutNumber(static_cast<uint32_t>(error.sent_bytes >> 32), out);
  PutNumber(static_cast<uint32_t>(error.tls_verify_code), out);
  PutNumber(static_cast<uint32_t>(error.causes.size()), out);
  for (const TransportError& cause : error.causes) Encode(cause, out);
}

bool TakeNumber(std::string_view& in, uint32_t& number) {
  if (in.size() < 4) return false;
  number = 0;
  for (size_t i = 0; i < 4; ++i) number |= static_cast<uint32_t>(static_cast<unsigned char>(in[i])) << (8 * i);
  in.remove_prefix(4);
  return true;
}

bool TakeLong(std::string_view& in, uint64_t& number) {
  uint32_t low = 0;
  uint32_t high = 0;
  if (!TakeNumber(in, low) || !TakeNumber(in, high)) return false;
  number = static_cast<uint64_t>(high) << 32 | low;
  return true;
}

bool TakeInt(std::string_view& in, int& number) {
  uint32_t bits = 0;
  if (!TakeNumber(in, bits)) return false;
  number = static_cast<int>(bits);
  return true;
}

bool TakeString(std::string_view& in, std::string& text) {
  uint32_t size_bytes = 0;
  if (!TakeNumber(in, size_bytes) || in.size() < size_bytes) return false;
  text.assign(in.substr(0, size_bytes));
  in.remove_prefix(size_bytes);
  return true;
}

bool Decode(std::string_view& in, int depth, TransportError& error) {
  int code = 0;
  uint32_t cause_count = 0;
  if (depth > kMaxCauseDepth || !TakeInt(in, code) || !TakeString(in, error.reason) || !TakeString(in, error.message) ||
      !TakeInt(in, error.errno_number) || !TakeString(in, error.address) || !TakeString(in, error.operation) ||
      !TakeString(in, error.field) || !TakeInt(in, error.gai_code) || !TakeLong(in, error.sent_bytes) ||
      !TakeInt(in, error.tls_verify_code) || !TakeNumber(in, cause_count)) {
    return false;
  }
  error.code = static_cast<absl::StatusCode>(code);
  for (uint32_t i = 0; i < cause_count; ++i) {
    TransportError cause;
    if (!Decode(in, depth + 1, cause)) return false;
    error.causes.push_back(std::move(cause));
  }
  return true;
}

// Abseil's table (absl::ErrnoToStatusCode), but for the errors of sockets that it leaves out or whose code there would
// mislead: no address "already exists" when the kernel says that this machine has no such address.
absl::StatusCode CodeOfErrno(int error_number) {
  switch (error_number) {
    case EADDRNOTAVAIL:
    case ELOOP:
      return absl::StatusCode::kFailedPrecondition;
    case EMSGSIZE:
      return absl::StatusCode::kInvalidArgument;
    case EINPROGRESS:
    case EALREADY:
    case EPROTO:
      return absl::StatusCode::kUnavailable;
    case EIO:
      return absl::StatusCode::kDataLoss;
    default:
      return absl::ErrnoToStatusCode(error_number);
  }
}

std::string ErrnoDescription(int error_number) {
  const char* description = strerrordesc_np(error_number);
  return description != nullptr ? description : absl::StrCat("Unknown error ", error_number);
}

// What to do about those that are a matter of configuration.
std::string_view ErrnoRemedy(int error_number) {
  switch (error_number) {
    case EMFILE:
      return " (close some, or raise the limit of the process that has them: ulimit -n)";
    case ENFILE:
      return " (close some, or raise the system's limit: sysctl fs.file-max)";
    default:
      return "";
  }
}

}  // namespace

absl::Status ToStatus(const TransportError& error) {
  Require(error.code != absl::StatusCode::kOk, "ToStatus of an error with code OK");
  absl::Status status(error.code, error.message);
  std::string payload;
  Encode(error, payload);
  status.SetPayload(kPayloadUrl, absl::Cord(std::move(payload)));
  return status;
}

TransportError ToTransportError(const absl::Status& status) {
  Require(!status.ok(), "ToTransportError of an OK status");
  if (absl::optional<absl::Cord> payload = status.GetPayload(kPayloadUrl); payload.has_value()) {
    std::string bytes(*payload);
    std::string_view rest = bytes;
    TransportError error;
    if (Decode(rest, 0, error) && rest.empty() && error.code != absl::StatusCode::kOk) return error;
  }
  TransportError error;
  error.code = status.code();
  error.reason = "UNKNOWN";
  error.message = std::string(status.message());
  return error;
}

absl::Status ErrnoToStatus(int error_number, std::string_view operation, std::string_view address) {
  Require(error_number != 0, "ErrnoToStatus of errno 0");
  TransportError error;
  error.code = CodeOfErrno(error_number);
  error.reason = ErrnoName(error_number);
  error.errno_number = error_number;
  error.address = std::string(address);
  error.operation = std::string(operation);
  error.message = operation;
  if (!address.empty()) error.message.append(" ").append(address);
  error.message.append(": ").append(ErrnoDescription(error_number)).append(ErrnoRemedy(error_number));
  return ToStatus(error);
}

absl::Status InvalidArgument(std::string_view reason, std::string_view field, std::string_view message) {
  TransportError error;
  error.code = absl::StatusCode::kInvalidArgument;
  error.reason = std::string(reason);
  if (!field.empty()) error.message.append(field).append(": ");
  error.message.append(message);
  error.field = std::string(field);
  return ToStatus(error);
}

absl::Status MakeError(absl::StatusCode code, std::string_view reason, std::string_view message) {
  TransportError error;
  error.code = code;
  error.reason = std::string(reason);
  error.message = std::string(message);
  return ToStatus(error);
}

std::string ErrnoName(int error_number) {
  const char* name = strerrorname_np(error_number);
  return name != nullptr ? name : absl::StrCat("E", error_number);
}

}  // namespace transportd
