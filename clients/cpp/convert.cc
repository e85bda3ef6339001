#include "clients/cpp/convert.h"

#include <chrono>
#include <cstdint>
#include <string>

#include "google/protobuf/duration.pb.h"

namespace transportd::remote {
namespace {

// RFC 3629, without surrogates and overlong forms: what a proto string may hold.
bool IsUtf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    size_t count = 0;
    uint32_t code = 0;
    uint32_t least = 0;
    if (lead < 0x80) {
      ++i;
      continue;
    }
    if (lead >> 5 == 0x6) {
      count = 1, code = lead & 0x1f, least = 0x80;
    } else if (lead >> 4 == 0xe) {
      count = 2, code = lead & 0x0f, least = 0x800;
    } else if (lead >> 3 == 0x1e) {
      count = 3, code = lead & 0x07, least = 0x10000;
    } else {
      return false;
    }
    if (text.size() - i <= count) return false;
    for (size_t k = 1; k <= count; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if (next >> 6 != 0x2) return false;
      code = code << 6 | (next & 0x3f);
    }
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
    i += count + 1;
  }
  return true;
}

absl::Status CheckHost(std::string_view host, std::string_view field) {
  if (IsUtf8(host)) return absl::OkStatus();
  return InvalidArgument("INVALID_HOST", field, "the host must be UTF-8");
}

v1::AddressFamily ToProto(AddressFamily family) {
  switch (family) {
    case AddressFamily::kUnspecified:
      return v1::ADDRESS_FAMILY_UNSPECIFIED;
    case AddressFamily::kInet:
      return v1::ADDRESS_FAMILY_INET;
    case AddressFamily::kInet6:
      return v1::ADDRESS_FAMILY_INET6;
    case AddressFamily::kUnix:
      return v1::ADDRESS_FAMILY_UNIX;
  }
  return v1::ADDRESS_FAMILY_UNSPECIFIED;
}

void ToProto(Duration duration, google::protobuf::Duration& out) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
  out.set_seconds(seconds.count());
  out.set_nanos(static_cast<int32_t>((duration - seconds).count()));
}

absl::Status ToProto(const HostPort& host_port, std::string_view field, v1::HostPort& out) {
  if (host_port.host.has_value()) {
    if (absl::Status status = CheckHost(*host_port.host, field); !status.ok()) return status;
    out.set_host(*host_port.host);
  }
  if (host_port.port.has_value()) out.set_port(*host_port.port);
  return absl::OkStatus();
}

// The client keeps the watermarks itself; the service's are out of the way, so that it has nothing to say about them.
void SetQuietLimits(v1::WriteBufferLimits& limits) {
  constexpr uint64_t kHighest = uint64_t{1} << 30;
  limits.set_high_bytes(kHighest);
  limits.set_low_bytes(kHighest);
}

EndCause FromProto(v1::EndCause cause) {
  switch (cause) {
    case v1::END_CAUSE_EOF:
      return EndCause::kEof;
    case v1::END_CAUSE_LOCAL_CLOSE:
      return EndCause::kLocalClose;
    case v1::END_CAUSE_LOCAL_ABORT:
      return EndCause::kLocalAbort;
    case v1::END_CAUSE_RESET:
      return EndCause::kReset;
    case v1::END_CAUSE_BROKEN_PIPE:
      return EndCause::kBrokenPipe;
    case v1::END_CAUSE_TIMED_OUT:
      return EndCause::kTimedOut;
    case v1::END_CAUSE_UNREACHABLE:
      return EndCause::kUnreachable;
    case v1::END_CAUSE_TLS_ALERT:
      return EndCause::kTlsAlert;
    case v1::END_CAUSE_TLS_ERROR:
      return EndCause::kTlsError;
    case v1::END_CAUSE_POLICY_REVOKED:
      return EndCause::kPolicyRevoked;
    case v1::END_CAUSE_SESSION_LOST:
      return EndCause::kSessionLost;
    case v1::END_CAUSE_SERVICE_STOPPING:
      return EndCause::kServiceStopping;
    default:
      return EndCause::kOsError;
  }
}

// Whatever was sent: a code that is none becomes UNKNOWN, so that no error can look like OK. Causes of causes are not
// made; the depth is bounded for a message of somebody else's making.
TransportError ErrorFromProto(const v1::TransportError& error, int depth) {
  TransportError out;
  out.code =
      error.code() > 0 && error.code() <= 16 ? static_cast<absl::StatusCode>(error.code()) : absl::StatusCode::kUnknown;
  out.reason = error.reason().empty() ? "UNKNOWN" : error.reason();
  out.message = error.message();
  out.errno_number = error.errno_number();
  out.address = error.address();
  out.operation = error.operation();
  out.field = error.field();
  out.gai_code = error.gai_code();
  if (depth > 0) {
    for (const v1::TransportError& cause : error.causes()) out.causes.push_back(ErrorFromProto(cause, depth - 1));
  }
  return out;
}

}  // namespace

SocketAddress FromProto(const v1::SocketAddress& address) {
  SocketAddress out;
  switch (address.family()) {
    case v1::ADDRESS_FAMILY_INET:
      out.family = AddressFamily::kInet;
      break;
    case v1::ADDRESS_FAMILY_INET6:
      out.family = AddressFamily::kInet6;
      break;
    case v1::ADDRESS_FAMILY_UNIX:
      out.family = AddressFamily::kUnix;
      break;
    default:
      break;
  }
  out.host = address.host();
  out.port = static_cast<uint16_t>(address.port());
  out.flowinfo = address.flowinfo();
  out.scope_id = address.scope_id();
  out.path = address.path();
  return out;
}

ExtraInfo FromProto(const v1::ExtraInfo& extra_info) {
  ExtraInfo out;
  if (extra_info.has_sockname()) out.sockname = FromProto(extra_info.sockname());
  if (extra_info.has_peername()) out.peername = FromProto(extra_info.peername());
  return out;
}

TransportError FromProto(const v1::TransportError& error) { return ErrorFromProto(error, 2); }

absl::Status ToStatus(const v1::TransportError& error) { return transportd::ToStatus(FromProto(error)); }

ConnectionEnd FromProto(const v1::ConnectionLost& lost) {
  ConnectionEnd end;
  end.cause = FromProto(lost.cause());
  if (lost.has_error()) end.status = ToStatus(lost.error());
  end.received_bytes = lost.received_bytes();
  end.sent_bytes = lost.sent_bytes();
  end.dropped_bytes = lost.dropped_bytes();
  return end;
}

absl::Status ToProto(const CreateConnectionOptions& options, v1::CreateConnectionRequest& out) {
  absl::Status status = ToProto(options.remote, "remote", *out.mutable_remote());
  if (status.ok() && options.local.has_value()) status = ToProto(*options.local, "local", *out.mutable_local());
  if (!status.ok()) return status;
  out.set_family(ToProto(options.family));
  out.set_flags(options.flags);
  out.set_proto(options.proto);
  if (options.happy_eyeballs_delay.has_value()) {
    ToProto(*options.happy_eyeballs_delay, *out.mutable_happy_eyeballs_delay());
  }
  if (options.interleave.has_value()) out.set_interleave(*options.interleave);
  if (options.timeout.has_value()) ToProto(*options.timeout, *out.mutable_timeout());
  SetQuietLimits(*out.mutable_write_buffer_limits());
  return absl::OkStatus();
}

absl::Status ToProto(const CreateServerOptions& options, v1::CreateServerRequest& out) {
  for (const std::string& host : options.hosts) {
    if (absl::Status status = CheckHost(host, "hosts"); !status.ok()) return status;
    out.add_hosts(host);
  }
  if (options.port.has_value()) out.set_port(*options.port);
  out.set_family(ToProto(options.family));
  if (options.flags.has_value()) out.set_flags(*options.flags);
  out.set_backlog(options.backlog);
  out.set_reuse_address(options.reuse_address);
  out.set_reuse_port(options.reuse_port);
  out.set_keep_alive(options.keep_alive);
  out.set_start_serving(options.start_serving);
  if (options.timeout.has_value()) ToProto(*options.timeout, *out.mutable_timeout());
  SetQuietLimits(*out.mutable_write_buffer_limits());
  return absl::OkStatus();
}

}  // namespace transportd::remote
