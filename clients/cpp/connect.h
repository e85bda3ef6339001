// How a program gets to the service, and says who it is.
//
//   auto loop = ConnectRemoteEventLoop({.target = "transportd.lab.svc:50051",
//                                       .token_file = "/var/run/secrets/transportd/token",
//                                       .ca_file = "/etc/transportd/ca.pem"});
//
// Programs that say nothing leave it to the environment, as transportctl does:
//
//   export TRANSPORTD_TARGET=lab:50051 TRANSPORTD_TARGET_CA=ca.pem
//   export TRANSPORTD_TARGET_CERTIFICATE=me.pem TRANSPORTD_TARGET_KEY=me.key
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

// ConnectOptions::ca_file: the CAs that this machine trusts: those of OpenSSL (SSL_CERT_FILE, SSL_CERT_DIR).
inline constexpr char kSystemCa[] = "system";

// Empty: what the environment variable says that is named, if it is set. Files are PEM, at most 1 MiB, and read anew
// for each channel and each session, sometimes more than once: a pipe will not do. Threading: a value.
struct ConnectOptions {
  // A gRPC target: `127.0.0.1:50051`, `unix:/run/transportd.sock`, `dns:///host:port`. TRANSPORTD_TARGET, else
  // kDefaultTarget.
  std::string target = {};
  // Who calls. Sent as `authorization: Bearer TOKEN`, by TLS, to a Unix socket, or within this machine, and else
  // nowhere: see TokenToSend. TRANSPORTD_TOKEN, else none. See CheckToken.
  std::string token = {};
  // Instead: a file with the token, which may end with a line break. Read anew for each session, so that one
  // that is replaced in time, as Kubernetes does with projected ones, is the next session's. TRANSPORTD_TOKEN_FILE.
  std::string token_file = {};
  // TLS with the service, which must have a certificate that one of the CAs in this file has signed; or kSystemCa.
  // TRANSPORTD_TARGET_CA, unless the target is a Unix socket. None: no TLS.
  std::string ca_file = {};
  // The certificate, with what lies between it and its CA, by which the service knows who calls (transportd
  // --tls-client-ca). Needs `ca_file`. TRANSPORTD_TARGET_CERTIFICATE, where TLS is.
  std::string certificate_file = {};
  // Its key, without a passphrase. TRANSPORTD_TARGET_KEY, when the certificate is the environment's, too. None: it is
  // in `certificate_file`.
  std::string key_file = {};
  // Whom the service's certificate must name, a DNS name or an address. Needs `ca_file`. TRANSPORTD_TARGET_NAME, where
  // TLS is, else the target's host.
  std::string server_name = {};
  // Shown by `transportctl sessions`. UTF-8. Empty: the program's name.
  std::string client_name = {};
  // The longest time until the session is open.
  std::chrono::nanoseconds timeout = std::chrono::seconds(10);
  // Instead of `ca_file` and what belongs to it. Whether they may carry a token is the program's own decision. Null:
  // none.
  std::shared_ptr<grpc::ChannelCredentials> credentials = {};
};

// `options` with what is empty filled in from the environment.
ConnectOptions WithEnvironment(ConnectOptions options);

// That a header of HTTP/2 may have `token` in it, as gRPC takes it: printable ASCII, 0x20 to 0x7e, without a space at
// either end, and that it has at most 7168 bytes: with more in its headers the service's gRPC ends the connection. Else
// INVALID_ARGUMENT / INVALID_TOKEN, which never says what the token is. gRPC aborts the process over one that is sent
// all the same.
absl::Status CheckToken(std::string_view token);

// The token for the next call, read from its file when that is where it is; empty: none. `options` as WithEnvironment
// leaves them. INVALID_ARGUMENT / INVALID_TOKEN: there are two, or see CheckToken; the kernel's reason: the file cannot
// be read, which is named; TOKEN_WITHOUT_TLS: everybody on the way to the target could read it. Blocks as files do.
absl::StatusOr<std::string> TokenToSend(const ConnectOptions& options);

// A channel with a connection of its own. Connects when it is first used. `options` as WithEnvironment leaves them.
// INVALID_ARGUMENT, with the name of the file: INVALID_TRUST_ROOTS, INVALID_CERTIFICATE, INVALID_PRIVATE_KEY,
// KEY_VALUES_MISMATCH, FILE_TOO_LARGE, NOT_A_REGULAR_FILE, the kernel's reason; INVALID_SERVER_HOSTNAME;
// INVALID_SERVICE_TLS: options that do not go together.
absl::StatusOr<std::shared_ptr<grpc::Channel>> CreateServiceChannel(const ConnectOptions& options);

// Opens a session, and returns when it is open. Errors: those of TokenToSend and CreateServiceChannel, and
// INVALID_CLIENT_NAME, before anything is sent; what the stream ended with: UNAVAILABLE when nobody listens there, at
// the second try either, or what ExplainUnavailable (connect_diagnosis.h) finds out; UNAUTHENTICATED,
// RESOURCE_EXHAUSTED / TOO_MANY_SESSIONS, …; DEADLINE_EXCEEDED / CONNECT_TIMEOUT. Threading: any thread, which it
// blocks.
absl::StatusOr<std::unique_ptr<RemoteEventLoop>> ConnectRemoteEventLoop(ConnectOptions options = {});

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_CONNECT_H_
