#include "clients/cpp/connect.h"

#include <errno.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "clients/cpp/connect_diagnosis.h"
#include "clients/cpp/file_contents.h"
#include "clients/cpp/grpc_channel.h"
#include "clients/cpp/option_error.h"
#include "clients/cpp/service_target.h"
#include "clients/cpp/service_tls.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/support/channel_arguments.h"
#include "proto/grpc/openssl_at_exit.h"
#include "transports/api/error.h"
#include "transports/base/clock.h"
#include "transports/base/str_cat.h"
#include "transports/base/utf8.h"

namespace transportd {
namespace {

// No lower than any Limits.max_server_frame_bytes.
constexpr int kMaxFrameBytes = 64 * 1024 * 1024;
constexpr int kLookaheadBytes = 1024 * 1024;
constexpr int kMaxHttp2FrameBytes = 1024 * 1024;
// A dead service, or a dead network in between, is noticed within their sum.
constexpr int kKeepaliveTimeMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
// gRPC 1.51 takes 8 KiB of headers.
constexpr size_t kMaxTokenBytes = 7 * 1024;

std::string FromEnvironment(const char* name, const char* otherwise) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody here changes the environment.
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

absl::Status BadToken(std::string_view field, std::string_view message) {
  return OptionError("INVALID_TOKEN", field, message);
}

absl::StatusOr<std::string> ReadToken(const std::string& file) {
  absl::StatusOr<std::string> content = ReadFileContents(file);
  if (!content.ok()) {
    TransportError error = ToTransportError(content.status());
    error.code = absl::StatusCode::kInvalidArgument;
    error.field = "token_file";
    return ToStatus(error);
  }
  content->resize(content->find_last_not_of("\r\n") + 1);
  if (content->empty()) return BadToken("token_file", StrCat(file, ": it is empty"));
  if (absl::Status status = CheckToken(*content); !status.ok()) {
    return BadToken("token_file", StrCat(file, ": ", ToTransportError(status).message));
  }
  return content;
}

absl::StatusOr<std::unique_ptr<RemoteEventLoop>> Connect(const ConnectOptions& options) {
  const absl::StatusOr<std::string> token = TokenToSend(options);
  if (!token.ok()) return token.status();
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = CreateServiceChannel(options);
  if (!channel.ok()) return channel.status();
  absl::StatusOr<std::unique_ptr<RemoteEventLoop>> loop = RemoteEventLoop::Create(
      CreateGrpcFrameChannel(*std::move(channel), *token), {.client_name = options.client_name});
  if (!loop.ok()) return loop;
  if (absl::Status status = (*loop)->WaitOpened(options.timeout); !status.ok()) return status;
  return loop;
}

}  // namespace

ConnectOptions WithEnvironment(ConnectOptions options) {
  if (options.target.empty()) options.target = FromEnvironment("TRANSPORTD_TARGET", kDefaultTarget);
  if (options.token.empty() && options.token_file.empty()) {
    options.token = FromEnvironment("TRANSPORTD_TOKEN", "");
    options.token_file = FromEnvironment("TRANSPORTD_TOKEN_FILE", "");
  }
  const bool may_have_tls =
      options.credentials == nullptr && ParseServiceTarget(options.target).kind != ServiceTarget::Kind::kUnix;
  if (may_have_tls && options.ca_file.empty()) options.ca_file = FromEnvironment("TRANSPORTD_TARGET_CA", "");
  if (may_have_tls && !options.ca_file.empty()) {
    if (options.certificate_file.empty() && options.key_file.empty()) {
      options.certificate_file = FromEnvironment("TRANSPORTD_TARGET_CERTIFICATE", "");
      options.key_file = FromEnvironment("TRANSPORTD_TARGET_KEY", "");
    }
    if (options.server_name.empty()) options.server_name = FromEnvironment("TRANSPORTD_TARGET_NAME", "");
  }
  if (options.client_name.empty()) options.client_name = Utf8OrEscaped(program_invocation_short_name);
  return options;
}

absl::Status CheckToken(std::string_view token) {
  if (token.size() > kMaxTokenBytes) {
    return BadToken("token", StrCat("a token must have at most ", kMaxTokenBytes, " bytes; it has ", token.size()));
  }
  const auto bad = std::find_if(token.begin(), token.end(), [](char c) { return c < ' ' || c > '~'; });
  if (bad == token.end()) {
    // HTTP/2 takes no such field (RFC 9113, section 8.2.1).
    const bool has_margin = token.starts_with(' ') || token.ends_with(' ');
    return has_margin ? BadToken("token", "a token begins and ends without a space") : absl::OkStatus();
  }
  const auto index = static_cast<size_t>(bad - token.begin());
  const bool only_line_ends = token.find_first_not_of("\r\n", index) == std::string_view::npos;
  return BadToken("token", StrCat("a token must be printable ASCII without a line break; ",
                                  only_line_ends ? std::string("it ends with a line break")
                                                 : StrCat("byte ", index + 1, " of it is not")));
}

absl::StatusOr<std::string> TokenToSend(const ConnectOptions& options) {
  if (options.token.empty() && options.token_file.empty()) return "";
  if (!options.token.empty() && !options.token_file.empty()) {
    return BadToken("token_file", "there are a token and a file with one: one of them must do");
  }
  const bool is_private =
      options.credentials != nullptr || !options.ca_file.empty() || ParseServiceTarget(options.target).is_local();
  if (!is_private) {
    return InvalidArgument("TOKEN_WITHOUT_TLS", "",
                           StrCat("a token is sent by TLS only, unless the service is on this machine, and ",
                                  options.target, " would get it without"));
  }
  if (!options.token_file.empty()) return ReadToken(options.token_file);
  if (absl::Status status = CheckToken(options.token); !status.ok()) return status;
  return options.token;
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> CreateServiceChannel(const ConnectOptions& options) {
  KeepOpenSslAtExit();  // Before OpenSSL is used.
  const absl::StatusOr<std::optional<TlsOptions>> tls = ReadServiceTls(options);
  if (!tls.ok()) return tls.status();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxFrameBytes);
  // A connection for each channel: sessions do not wait for each other.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // What the service may send ahead at first; gRPC then tunes it. And in pieces as large as HTTP/2 has them, each of
  // which costs.
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kLookaheadBytes);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kMaxHttp2FrameBytes);
  // Statistics that nobody reads.
  arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
  // The service is reached as it is named, not through a proxy meant for web pages.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (!options.server_name.empty()) arguments.SetSslTargetNameOverride(options.server_name);
  return grpc::CreateCustomChannel(
      options.target, options.credentials != nullptr ? options.credentials : ToGrpcCredentials(*tls), arguments);
}

absl::StatusOr<std::unique_ptr<RemoteEventLoop>> ConnectRemoteEventLoop(ConnectOptions options) {
  options = WithEnvironment(std::move(options));
  if (!IsUtf8(options.client_name)) return InvalidArgument("INVALID_CLIENT_NAME", "client_name", "must be UTF-8");
  const TimePoint deadline = SystemClock().Now() + options.timeout;
  absl::StatusOr<std::unique_ptr<RemoteEventLoop>> loop = Connect(options);
  // gRPC 1.51 looks at the errno of connect(2) only after other calls, which may have set it (a process that has no
  // /sys: ENOENT, once in some hundred times), and takes a connection under way for one that failed.
  options.timeout = deadline - SystemClock().Now();
  if (absl::IsUnavailable(loop.status()) && options.timeout > Duration(0)) loop = Connect(options);
  if (!loop.ok()) return ExplainUnavailable(options, loop.status(), deadline - SystemClock().Now());
  return loop;
}

}  // namespace transportd
