// How a program gets to the service.
#ifndef TRANSPORTD_CLIENTS_CPP_CONNECT_H_
#define TRANSPORTD_CLIENTS_CPP_CONNECT_H_

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/remote_event_loop.h"
#include "grpcpp/channel.h"
#include "grpcpp/security/credentials.h"

namespace transportd {

// Where a service listens when nobody says otherwise.
inline constexpr char kDefaultTarget[] = "127.0.0.1:50051";

// Threading: a value.
struct ConnectOptions {
  // A gRPC target: `127.0.0.1:50051`, `unix:/run/transportd.sock`, `dns:///host:port`. Empty: the environment's
  // TRANSPORTD_TARGET, else kDefaultTarget.
  std::string target = {};
  // Sent as `authorization: Bearer TOKEN`. Empty: the environment's TRANSPORTD_TOKEN, else none. See
  // CheckToken.
  std::string token = {};
  // Shown by `transportctl sessions`. UTF-8. Empty: the program's name.
  std::string client_name = {};
  // The longest time until the session is open.
  std::chrono::nanoseconds timeout = std::chrono::seconds(10);
  // Null: no TLS.
  std::shared_ptr<grpc::ChannelCredentials> credentials = {};
};

// `options` with what is empty filled in from the environment.
ConnectOptions WithEnvironment(ConnectOptions options);

// That a header of HTTP/2 may have `token` in it, as gRPC takes it: printable ASCII, 0x20 to 0x7e. Else
// INVALID_ARGUMENT / INVALID_TOKEN, which never says what the token is. gRPC aborts the process over one that is sent
// all the same.
absl::Status CheckToken(std::string_view token);

// A channel with a connection of its own. Connects when it is first used.
std::shared_ptr<grpc::Channel> CreateServiceChannel(const ConnectOptions& options);

// Opens a session, and returns when it is open. Errors: what the stream ended with: UNAVAILABLE when nobody listens
// there, at the second try either; UNAUTHENTICATED, RESOURCE_EXHAUSTED / TOO_MANY_SESSIONS, …; DEADLINE_EXCEEDED /
// CONNECT_TIMEOUT; INVALID_ARGUMENT / INVALID_TOKEN, INVALID_CLIENT_NAME before anything is sent.
absl::StatusOr<std::unique_ptr<RemoteEventLoop>> ConnectRemoteEventLoop(ConnectOptions options = {});

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_CONNECT_H_
