#include "clients/cpp/convert.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>

#include "clients/cpp/tls_convert.h"
#include "google/protobuf/duration.pb.h"
#include "transports/base/utf8.h"

namespace transportd::remote {
namespace {

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
    case v1::END_CAUSE_OPERATOR:
      return EndCause::kOperator;
    case v1::END_CAUSE_POLICY_REVOKED:
      return EndCause::kPolicyRevoked;
    case v1::END_CAUSE_SESSION_LOST:
      return EndCause::kSessionLost;
    case v1::END_CAUSE_SERVICE_STOPPING:
      return EndCause::kServiceStopping;
    case v1::END_CAUSE_RAGGED_EOF:
      return EndCause::kRaggedEof;
    default:
      return EndCause::kOsError;
  }
}

PipeInfo FromProto(const v1::PipeInfo& pipe) {
  PipeInfo out;
  switch (pipe.kind()) {
    case v1::PIPE_KIND_CHARACTER_DEVICE:
      out.kind = PipeInfo::Kind::kCharacterDevice;
      break;
    case v1::PIPE_KIND_TERMINAL:
      out.kind = PipeInfo::Kind::kTerminal;
      break;
    case v1::PIPE_KIND_SOCKET:
      out.kind = PipeInfo::Kind::kSocket;
      break;
    default:
      break;
  }
  out.can_read = pipe.can_read();
  out.can_write = pipe.can_write();
  out.path = pipe.path();
  if (pipe.has_fd()) out.fd = static_cast<int>(pipe.fd());
  return out;
}

v1::Stdio ToProto(Stdio kind) {
  switch (kind) {
    case Stdio::kPipe:
      return v1::STDIO_PIPE;
    case Stdio::kNull:
      return v1::STDIO_NULL;
    case Stdio::kInherit:
      return v1::STDIO_INHERIT;
    case Stdio::kStdout:
      return v1::STDIO_STDOUT;
    case Stdio::kPty:
      return v1::STDIO_PTY;
  }
  return v1::STDIO_UNSPECIFIED;
}

absl::Status ToProto(const AccountId& account, std::string_view reason, std::string_view field, v1::Account& out) {
  if (const uint32_t* id = std::get_if<uint32_t>(&account)) {
    out.set_id(*id);
    return absl::OkStatus();
  }
  const std::string& name = std::get<std::string>(account);
  if (!IsUtf8(name)) return InvalidArgument(reason, field, "a name must be UTF-8");
  out.set_name(name);
  return absl::OkStatus();
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
  out.sent_bytes = error.sent_bytes();
  out.tls_verify_code = error.tls_verify_code();
  if (depth > 0) {
    for (const v1::TransportError& cause : error.causes()) out.causes.push_back(ErrorFromProto(cause, depth - 1));
  }
  return out;
}

}  // namespace

void ToProto(Duration duration, google::protobuf::Duration& out) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
  out.set_seconds(seconds.count());
  out.set_nanos(static_cast<int32_t>((duration - seconds).count()));
}

Duration FromProto(const google::protobuf::Duration& duration) {
  constexpr int64_t kMostSeconds = 10LL * 366 * 24 * 60 * 60;
  const int64_t nanos = std::clamp(duration.nanos(), 0, 999'999'999);
  return std::chrono::seconds(std::clamp<int64_t>(duration.seconds(), 0, kMostSeconds)) +
         std::chrono::nanoseconds(nanos);
}

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

SocketKind FromProto(const v1::SocketKind& kind) {
  // The numbers are the same.
  return {.family = v1::AddressFamily_IsValid(kind.family()) ? static_cast<AddressFamily>(kind.family())
                                                             : AddressFamily::kUnspecified,
          .type = static_cast<SocketType>(kind.type()),
          .proto = kind.proto()};
}

AddressInfo FromProto(const v1::AddressInfo& info) {
  SocketAddress address = FromProto(info.address());
  const AddressFamily family = address.family;
  return {.family = family,
          .type = static_cast<SocketType>(info.type()),
          .proto = info.proto(),
          .canonname = info.canonname(),
          .address = std::move(address)};
}

ExtraInfo FromProto(const v1::ExtraInfo& extra_info) {
  ExtraInfo out;
  if (extra_info.has_tls()) out.tls = FromProto(extra_info.tls());
  if (extra_info.has_sockname()) out.sockname = FromProto(extra_info.sockname());
  if (extra_info.has_peername()) out.peername = FromProto(extra_info.peername());
  if (extra_info.has_socket()) out.socket = FromProto(extra_info.socket());
  if (extra_info.has_peercred()) {
    const v1::PeerCredentials& peer = extra_info.peercred();
    out.peercred = PeerCredentials{.pid = peer.pid(), .uid = peer.uid(), .gid = peer.gid()};
  }
  if (extra_info.has_pipe()) out.pipe = FromProto(extra_info.pipe());
  if (extra_info.pid() != 0) out.pid = static_cast<int>(extra_info.pid());
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

DatagramEnd DatagramEndFromProto(const v1::ConnectionLost& lost) {
  const ConnectionEnd end = FromProto(lost);
  DatagramEnd out{.cause = end.cause, .status = end.status, .counts = {}};
  out.counts.received_count = lost.datagrams().received_count();
  out.counts.received_bytes = end.received_bytes;
  out.counts.sent_count = lost.datagrams().sent_count();
  out.counts.sent_bytes = end.sent_bytes;
  out.counts.dropped_received_count = lost.datagrams().dropped_received_count();
  out.counts.dropped_sent_count = lost.datagrams().dropped_sent_count();
  out.counts.dropped_sent_bytes = end.dropped_bytes;
  return out;
}

absl::Status ToProto(const SocketAddress& address, v1::SocketAddress& out) {
  if (absl::Status status = CheckHost(address.host, "address"); !status.ok()) return status;
  out.set_family(ToProto(address.family));
  out.set_host(address.host);
  out.set_port(address.port);
  out.set_flowinfo(address.flowinfo);
  out.set_scope_id(address.scope_id);
  out.set_path(address.path);
  return absl::OkStatus();
}

absl::Status ToProto(const CreateDatagramEndpointOptions& options, v1::CreateDatagramEndpointRequest& out) {
  absl::Status status;
  if (options.local) status = ToProto(*options.local, "local", *out.mutable_local());
  if (options.remote && status.ok()) status = ToProto(*options.remote, "remote", *out.mutable_remote());
  if ((options.local && options.local_path) || (options.remote && options.remote_path)) {
    status.Update(InvalidArgument("INVALID_FAMILY", "family", "an end is a host and port, or a path"));
  }
  if (!status.ok()) return status;
  if (options.local_path) out.set_local_path(*options.local_path);
  if (options.remote_path) out.set_remote_path(*options.remote_path);
  out.set_family(ToProto(options.family));
  out.set_proto(options.proto);
  out.set_flags(options.flags);
  out.set_reuse_port(options.reuse_port);
  out.set_allow_broadcast(options.allow_broadcast);
  if (options.timeout) ToProto(*options.timeout, *out.mutable_timeout());
  SetQuietLimits(*out.mutable_write_buffer_limits());
  return absl::OkStatus();
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
  return SetTls(options.tls, out);
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
  return SetTls(options.tls, out);
}

absl::Status ToProto(const CreateUnixConnectionOptions& options, v1::CreateUnixConnectionRequest& out) {
  if (options.path.has_value()) out.set_path(*options.path);
  if (options.timeout.has_value()) ToProto(*options.timeout, *out.mutable_timeout());
  SetQuietLimits(*out.mutable_write_buffer_limits());
  return SetTls(options.tls, out);
}

void ToProto(const SocketpairOptions& options, v1::SocketpairRequest& out) {
  out.set_family(static_cast<v1::AddressFamily>(options.family));
  out.set_type(static_cast<v1::SocketType>(options.type));
}

void ToProto(const GetaddrinfoOptions& options, v1::GetaddrinfoRequest& out) {
  if (options.host.has_value()) out.set_host(*options.host);
  if (options.port.has_value()) out.set_port(*options.port);
  out.set_family(static_cast<v1::AddressFamily>(options.family));
  out.set_type(static_cast<v1::SocketType>(options.type));
  out.set_proto(options.proto);
  out.set_flags(options.flags);
}

void ToProto(const SendfileOptions& options, v1::SendfileRequest& out) {
  out.set_path(options.path);
  out.set_offset_bytes(options.offset_bytes);
  if (options.count_bytes.has_value()) out.set_count_bytes(*options.count_bytes);
  out.set_fallback(options.fallback);
}

void SetQuietSocketLimits(v1::ConnectAcceptedSocketRequest& out) { SetQuietLimits(*out.mutable_write_buffer_limits()); }

absl::Status ToProto(const CreateUnixServerOptions& options, v1::CreateUnixServerRequest& out) {
  if (options.path.has_value()) out.set_path(*options.path);
  out.set_backlog(options.backlog);
  out.set_start_serving(options.start_serving);
  out.set_cleanup_socket(options.cleanup_socket);
  if (options.mode.has_value()) out.set_mode(*options.mode);
  SetQuietLimits(*out.mutable_write_buffer_limits());
  return SetTls(options.tls, out);
}

absl::Status ToProto(const ConnectPipeOptions& options, v1::ConnectWritePipeRequest& out) {
  SetQuietLimits(*out.mutable_write_buffer_limits());
  return ToProto(options, *out.mutable_source());
}

absl::Status ToProto(const ConnectPipeOptions& options, v1::PipeSource& out) {
  if (options.path && options.fd) {
    return InvalidArgument("INVALID_PIPE", "pipe", "either a path or a descriptor is needed");
  }
  if (options.path) out.set_path(*options.path);
  if (options.fd) out.set_fd(static_cast<uint32_t>(*options.fd));
  return absl::OkStatus();
}

absl::Status ToProto(const SubprocessOptions& options, v1::SubprocessOptions& out) {
  absl::Status status;
  if (options.user) status = ToProto(*options.user, "INVALID_USER", "user", *out.mutable_user());
  if (status.ok() && options.group) {
    status = ToProto(*options.group, "INVALID_GROUP", "group", *out.mutable_group());
  }
  if (options.extra_groups) {
    v1::Accounts& groups = *out.mutable_extra_groups();
    for (const AccountId& group : *options.extra_groups) {
      if (status.ok()) status = ToProto(group, "INVALID_GROUP", "extra_groups", *groups.add_accounts());
    }
  }
  if (!status.ok()) return status;
  out.set_stdin(ToProto(options.stdin_kind));
  out.set_stdout(ToProto(options.stdout_kind));
  out.set_stderr(ToProto(options.stderr_kind));
  if (options.cwd) out.set_cwd(*options.cwd);
  if (options.env) {
    v1::Environment& env = *out.mutable_env();
    for (const auto& [name, value] : *options.env) {
      v1::EnvironmentVariable& variable = *env.add_variables();
      variable.set_name(name);
      variable.set_value(value);
    }
  }
  if (options.executable) out.set_executable(*options.executable);
  out.set_start_new_session(options.start_new_session);
  if (options.process_group) out.set_process_group(*options.process_group);
  if (options.umask) out.set_umask(*options.umask);
  out.set_restore_signals(options.restore_signals);
  if (options.pipesize_bytes) out.set_pipesize_bytes(*options.pipesize_bytes);
  if (options.window_size) {
    out.mutable_window_size()->set_rows(options.window_size->rows);
    out.mutable_window_size()->set_columns(options.window_size->columns);
  }
  if (options.drain_timeout) ToProto(*options.drain_timeout, *out.mutable_drain_timeout());
  SetQuietLimits(*out.mutable_write_buffer_limits());
  return absl::OkStatus();
}

}  // namespace transportd::remote
