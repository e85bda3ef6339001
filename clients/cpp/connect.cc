#include "clients/cpp/connect.h"

#include <errno.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "clients/cpp/grpc_channel.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/support/channel_arguments.h"
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

std::string FromEnvironment(const char* name, const char* otherwise) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody here changes the environment.
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

absl::StatusOr<std::unique_ptr<RemoteEventLoop>> Connect(const ConnectOptions& options) {
  absl::StatusOr<std::unique_ptr<RemoteEventLoop>> loop = RemoteEventLoop::Create(
      CreateGrpcFrameChannel(CreateServiceChannel(options), options.token), {.client_name = options.client_name});
  if (!loop.ok()) return loop;
  if (absl::Status status = (*loop)->WaitOpened(options.timeout); !status.ok()) return status;
  return loop;
}

}  // namespace

ConnectOptions WithEnvironment(ConnectOptions options) {
  if (options.target.empty()) options.target = FromEnvironment("TRANSPORTD_TARGET", kDefaultTarget);
  if (options.token.empty()) options.token = FromEnvironment("TRANSPORTD_TOKEN", "");
  if (options.client_name.empty()) options.client_name = Utf8OrEscaped(program_invocation_short_name);
  return options;
}

absl::Status CheckToken(std::string_view token) {
  const auto bad = std::find_if(token.begin(), token.end(), [](char c) { return c < ' ' || c > '~'; });
  if (bad == token.end()) return absl::OkStatus();
  const auto index = static_cast<size_t>(bad - token.begin());
  const bool only_line_ends = token.find_first_not_of("\r\n", index) == std::string_view::npos;
  return InvalidArgument(
      "INVALID_TOKEN", "token",
      StrCat("must be printable ASCII without a line break; ",
             only_line_ends ? std::string("it ends with a line break") : StrCat("byte ", index + 1, " of it is not")));
}

std::shared_ptr<grpc::Channel> CreateServiceChannel(const ConnectOptions& options) {
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
  return grpc::CreateCustomChannel(
      options.target, options.credentials != nullptr ? options.credentials : grpc::InsecureChannelCredentials(),
      arguments);
}

absl::StatusOr<std::unique_ptr<RemoteEventLoop>> ConnectRemoteEventLoop(ConnectOptions options) {
  options = WithEnvironment(std::move(options));
  if (absl::Status status = CheckToken(options.token); !status.ok()) return status;
  if (!IsUtf8(options.client_name)) return InvalidArgument("INVALID_CLIENT_NAME", "client_name", "must be UTF-8");
  const TimePoint deadline = SystemClock().Now() + options.timeout;
  absl::StatusOr<std::unique_ptr<RemoteEventLoop>> loop = Connect(options);
  // gRPC 1.51 looks at the errno of connect(2) only after other calls, which may have set it (a process that has no
  // /sys: ENOENT, once in some hundred times), and takes a connection under way for one that failed.
  options.timeout = deadline - SystemClock().Now();
  if (absl::IsUnavailable(loop.status()) && options.timeout > Duration(0)) loop = Connect(options);
  return loop;
}

}  // namespace transportd
