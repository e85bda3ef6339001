// What is wrong between this program and the service, when gRPC says only that there was no connection.
#ifndef TRANSPORTD_CLIENTS_CPP_CONNECT_DIAGNOSIS_H_
#define TRANSPORTD_CLIENTS_CPP_CONNECT_DIAGNOSIS_H_

#include "absl/status/status.h"
#include "clients/cpp/connect.h"
#include "transports/api/time.h"

namespace transportd {

// `status`: what a call to the service ended with. When it is gRPC's UNAVAILABLE, connects to the target once more, by
// TLS, asks for nothing, and answers what is wrong, if that says; else returns `status`.
//
// UNAVAILABLE / SERVICE_WANTS_TLS, SERVICE_WITHOUT_TLS, SERVICE_HUNG_UP (it takes connections, and ends them at once),
// SERVICE_NOT_TRUSTED (its certificate: who signed it, whom it names, its dates); UNAUTHENTICATED /
// CLIENT_CERTIFICATE_REFUSED (also when there is none, and the service wants one).
//
// `options` as WithEnvironment leaves them. Blocks for `timeout` at most, and while a name server is asked. Threading:
// any thread.
absl::Status ExplainUnavailable(const ConnectOptions& options, const absl::Status& status, Duration timeout);

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_CONNECT_DIAGNOSIS_H_
