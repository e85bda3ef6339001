#include "server/session/convert.h"

#include <algorithm>
#include <chrono>

#include "server/session/socket_convert.h"
#include "server/session/tls_convert.h"
#include "transports/base/utf8.h"

namespace transportd {

namespace {

v1::AddressFamily EnumOf(AddressFamily family) {
  switch (family) {
    case AddressFamily::kInet:
      return v1::ADDRESS_FAMILY_INET;
    case AddressFamily::kInet6:
      return v1::ADDRESS_FAMILY_INET6;
    case AddressFamily::kUnix:
      return v1::ADDRESS_FAMILY_UNIX;
    case AddressFamily::kUnspecified:
      break;
  }
  return v1::ADDRESS_FAMILY_UNSPECIFIED;
}

v1::EndCause EnumOf(EndCause cause) {
  switch (cause) {
    case EndCause::kEof:
      return v1::END_CAUSE_EOF;
    case EndCause::kLocalClose:
      return v1::END_CAUSE_LOCAL_CLOSE;
    case EndCause::kLocalAbort:
      return v1::END_CAUSE_LOCAL_ABORT;
    case EndCause::kReset:
      return v1::END_CAUSE_RESET;
    case EndCause::kBrokenPipe:
      return v1::END_CAUSE_BROKEN_PIPE;
    case EndCause::kTimedOut:
      return v1::END_CAUSE_TIMED_OUT;
    case EndCause::kUnreachable:
      return v1::END_CAUSE_UNREACHABLE;
    case EndCause::kTlsAlert:
      return v1::END_CAUSE_TLS_ALERT;
    case EndCause::kTlsError:
      return v1::END_CAUSE_TLS_ERROR;
    case EndCause::kOperator:
      return v1::END_CAUSE_OPERATOR;
    case EndCause::kPolicyRevoked:
      return v1::END_CAUSE_POLICY_REVOKED;
    case EndCause::kSessionLost:
      return v1::END_CAUSE_SESSION_LOST;
    case EndCause::kServiceStopping:
      return v1::END_CAUSE_SERVICE_STOPPING;
    case EndCause::kRaggedEof:
      return v1::END_CAUSE_RAGGED_EOF;
    case EndCause::kOsError:
      break;
  }
  return v1::END_CAUSE_OS_ERROR;
}

v1::PipeKind EnumOf(PipeInfo::Kind kind) {
  switch (kind) {
    case PipeInfo::Kind::kFifo:
      return v1::PIPE_KIND_FIFO;
    case PipeInfo::Kind::kCharacterDevice:
      return v1::PIPE_KIND_CHARACTER_DEVICE;
    case PipeInfo::Kind::kTerminal:
      return v1::PIPE_KIND_TERMINAL;
    case PipeInfo::Kind::kSocket:
      return v1::PIPE_KIND_SOCKET;
  }
  return v1::PIPE_KIND_UNSPECIFIED;
}

}  // namespace

void ToProto(std::chrono::system_clock::time_point time, google::protobuf::Timestamp& out) {
  const auto since = time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  out.set_seconds(seconds.count());
  out.set_nanos(static_cast<int32_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since - seconds).count()));
}

void ToProto(Duration duration, google::protobuf::Duration& out) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
  out.set_seconds(seconds.count());
  out.set_nanos(static_cast<int32_t>((duration - seconds).count()));
}

void ToProto(const SocketAddress& address, v1::SocketAddress& out) {
  out.set_family(EnumOf(address.family));
  out.set_host(address.host);
  out.set_port(address.port);
  out.set_flowinfo(address.flowinfo);
  out.set_scope_id(address.scope_id);
  out.set_path(address.path);
}

void ToProto(const PipeInfo& pipe, v1::PipeInfo& out) {
  out.set_kind(EnumOf(pipe.kind));
  out.set_can_read(pipe.can_read);
  out.set_can_write(pipe.can_write);
  out.set_path(pipe.path);
  if (pipe.fd) out.set_fd(static_cast<uint32_t>(*pipe.fd));
}

void ToProto(const ExtraInfo& extra_info, v1::ExtraInfo& out) {
  if (extra_info.pipe) ToProto(*extra_info.pipe, *out.mutable_pipe());
  if (extra_info.pid) out.set_pid(static_cast<uint32_t>(*extra_info.pid));
  if (extra_info.sockname.has_value()) ToProto(*extra_info.sockname, *out.mutable_sockname());
  if (extra_info.peername.has_value()) ToProto(*extra_info.peername, *out.mutable_peername());
  if (extra_info.tls != nullptr) ToProto(*extra_info.tls, *out.mutable_tls());
  if (extra_info.socket.has_value()) ToProto(*extra_info.socket, *out.mutable_socket());
  if (extra_info.peercred.has_value()) {
    out.mutable_peercred()->set_pid(extra_info.peercred->pid);
    out.mutable_peercred()->set_uid(extra_info.peercred->uid);
    out.mutable_peercred()->set_gid(extra_info.peercred->gid);
  }
}

void ToProto(const TransportError& error, v1::TransportError& out) {
  out.set_code(static_cast<int32_t>(error.code));
  out.set_reason(error.reason);
  out.set_message(Utf8OrEscaped(error.message));
  out.set_errno_number(error.errno_number);
  if (error.errno_number != 0) out.set_errno_name(ErrnoName(error.errno_number));
  out.set_address(Utf8OrEscaped(error.address));
  out.set_operation(error.operation);
  out.set_field(error.field);
  out.set_gai_code(error.gai_code);
  out.set_sent_bytes(error.sent_bytes);
  out.set_tls_verify_code(error.tls_verify_code);
  for (const TransportError& cause : error.causes) ToProto(cause, *out.add_causes());
}

void ToProto(const ConnectionEnd& end, v1::ConnectionLost& out) {
  out.set_cause(EnumOf(end.cause));
  if (!end.status.ok()) ToProto(ToTransportError(end.status), *out.mutable_error());
  out.set_received_bytes(end.received_bytes);
  out.set_sent_bytes(end.sent_bytes);
  out.set_dropped_bytes(end.dropped_bytes);
}

void ToProto(const DatagramCounts& counts, v1::DatagramCounts& out) {
  out.set_received_count(counts.received_count);
  out.set_sent_count(counts.sent_count);
  out.set_dropped_received_count(counts.dropped_received_count);
  out.set_dropped_sent_count(counts.dropped_sent_count);
}

void ToProto(const WriteBufferMarks& marks, v1::WriteBufferLimits& out) {
  out.set_high_bytes(marks.high_bytes);
  out.set_low_bytes(marks.low_bytes);
}

void ToProto(const SessionLimits& limits, v1::Limits& out) {
  out.set_max_client_frame_bytes(limits.max_client_frame_bytes);
  out.set_max_server_frame_bytes(limits.max_server_frame_bytes);
  out.set_max_transport_count(limits.max_transport_count);
  out.set_max_request_count(limits.max_request_count);
  out.set_receive_window_bytes(limits.receive_window_bytes);
  out.set_max_receive_window_bytes(limits.max_receive_window_bytes);
  out.set_callback_charge_bytes(limits.callback_charge_bytes);
  out.set_session_receive_window_bytes(limits.session_receive_window_bytes);
  out.set_send_window_bytes(limits.send_window_bytes);
  out.set_session_send_window_bytes(limits.session_send_window_bytes);
  ToProto(limits.default_create_timeout, *out.mutable_default_create_timeout());
}

v1::TransportError ErrorProto(const absl::Status& status) {
  v1::TransportError out;
  ToProto(ToTransportError(status), out);
  return out;
}

absl::StatusOr<SocketAddress> FromProto(const v1::SocketAddress& address) {
  constexpr uint32_t kMaxPort = 65535;
  if (address.port() > kMaxPort) {
    return InvalidArgument("INVALID_PORT", "address.port", "a port is from 0 to 65535");
  }
  SocketAddress out;
  out.family = FromProto(address.family());
  if (out.family == AddressFamily::kUnspecified && !address.path().empty()) out.family = AddressFamily::kUnix;
  if (out.family == AddressFamily::kUnspecified && !address.host().empty()) {
    out.family = address.host().find(':') == std::string::npos ? AddressFamily::kInet : AddressFamily::kInet6;
  }
  out.host = address.host();
  out.port = static_cast<uint16_t>(address.port());
  out.flowinfo = address.flowinfo();
  out.scope_id = address.scope_id();
  out.path = address.path();
  return out;
}

HostPort FromProto(const v1::HostPort& host_port) {
  HostPort out;
  if (host_port.has_host()) out.host = host_port.host();
  if (host_port.has_port()) out.port = host_port.port();
  return out;
}

WriteBufferLimits FromProto(const v1::WriteBufferLimits& limits) {
  WriteBufferLimits out;
  if (limits.has_high_bytes()) out.high_bytes = limits.high_bytes();
  if (limits.has_low_bytes()) out.low_bytes = limits.low_bytes();
  return out;
}

AddressFamily FromProto(v1::AddressFamily family) {
  switch (family) {
    case v1::ADDRESS_FAMILY_UNSPECIFIED:
      return AddressFamily::kUnspecified;
    case v1::ADDRESS_FAMILY_INET:
      return AddressFamily::kInet;
    case v1::ADDRESS_FAMILY_INET6:
      return AddressFamily::kInet6;
    case v1::ADDRESS_FAMILY_UNIX:
      return AddressFamily::kUnix;
    default:
      return static_cast<AddressFamily>(family);  // For the call to refuse.
  }
}

Duration FromProto(const google::protobuf::Duration& duration) {
  constexpr int64_t kLongestSeconds = int64_t{100} * 366 * 24 * 3600;
  return std::chrono::seconds(std::clamp(duration.seconds(), -kLongestSeconds, kLongestSeconds)) +
         std::chrono::nanoseconds(duration.nanos());
}

CreateConnectionOptions FromProto(const v1::CreateConnectionRequest& request, Duration default_timeout) {
  CreateConnectionOptions options;
  options.remote = FromProto(request.remote());
  options.family = FromProto(request.family());
  options.flags = request.flags();
  options.proto = request.proto();
  if (request.has_local()) options.local = FromProto(request.local());
  if (request.has_happy_eyeballs_delay()) options.happy_eyeballs_delay = FromProto(request.happy_eyeballs_delay());
  if (request.has_interleave()) options.interleave = request.interleave();
  options.timeout = request.has_timeout() ? FromProto(request.timeout()) : default_timeout;
  options.write_buffer_limits = FromProto(request.write_buffer_limits());
  return options;
}

CreateServerOptions FromProto(const v1::CreateServerRequest& request, Duration default_timeout) {
  CreateServerOptions options;
  options.hosts.assign(request.hosts().begin(), request.hosts().end());
  if (request.has_port()) options.port = request.port();
  options.family = FromProto(request.family());
  if (request.has_flags()) options.flags = request.flags();
  if (request.has_backlog()) options.backlog = request.backlog();
  if (request.has_reuse_address()) options.reuse_address = request.reuse_address();
  if (request.has_reuse_port()) options.reuse_port = request.reuse_port();
  if (request.has_keep_alive()) options.keep_alive = request.keep_alive();
  if (request.has_start_serving()) options.start_serving = request.start_serving();
  options.write_buffer_limits = FromProto(request.write_buffer_limits());
  options.timeout = request.has_timeout() ? FromProto(request.timeout()) : default_timeout;
  return options;
}

CreateUnixConnectionOptions FromProto(const v1::CreateUnixConnectionRequest& request, Duration default_timeout) {
  CreateUnixConnectionOptions options;
  if (request.has_path()) options.path = request.path();
  options.write_buffer_limits = FromProto(request.write_buffer_limits());
  options.timeout = request.has_timeout() ? FromProto(request.timeout()) : default_timeout;
  return options;
}

CreateDatagramEndpointOptions FromProto(const v1::CreateDatagramEndpointRequest& request, Duration default_timeout) {
  CreateDatagramEndpointOptions options;
  if (request.has_local()) options.local = FromProto(request.local());
  if (request.has_local_path()) options.local_path = request.local_path();
  if (request.has_remote()) options.remote = FromProto(request.remote());
  if (request.has_remote_path()) options.remote_path = request.remote_path();
  options.family = FromProto(request.family());
  options.proto = request.proto();
  options.flags = request.flags();
  options.reuse_port = request.reuse_port();
  options.allow_broadcast = request.allow_broadcast();
  options.write_buffer_limits = FromProto(request.write_buffer_limits());
  options.timeout = request.has_timeout() ? FromProto(request.timeout()) : default_timeout;
  return options;
}

CreateUnixServerOptions FromProto(const v1::CreateUnixServerRequest& request) {
  CreateUnixServerOptions options;
  if (request.has_path()) options.path = request.path();
  if (request.has_backlog()) options.backlog = request.backlog();
  if (request.has_start_serving()) options.start_serving = request.start_serving();
  if (request.has_cleanup_socket()) options.cleanup_socket = request.cleanup_socket();
  if (request.has_mode()) options.mode = request.mode();
  options.write_buffer_limits = FromProto(request.write_buffer_limits());
  return options;
}

}  // namespace transportd
