// TLS with the service itself, as ConnectOptions has it, with its files read.
#ifndef TRANSPORTD_CLIENTS_CPP_SERVICE_TLS_H_
#define TRANSPORTD_CLIENTS_CPP_SERVICE_TLS_H_

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "clients/cpp/connect.h"
#include "grpcpp/security/credentials.h"
#include "transports/api/tls_options.h"

namespace transportd {

// Unset: without TLS. `options` as WithEnvironment leaves them. INVALID_ARGUMENT, whose `field` is ConnectOptions' own
// and whose message names the file: one that cannot be read, has not in it what it should, or does not fit another;
// also for options that do not go together. Blocks as files do. Threading: any thread.
absl::StatusOr<std::optional<TlsOptions>> ReadServiceTls(const ConnectOptions& options);

// For gRPC. Without `tls` there is none.
std::shared_ptr<grpc::ChannelCredentials> ToGrpcCredentials(const std::optional<TlsOptions>& tls);

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_SERVICE_TLS_H_
