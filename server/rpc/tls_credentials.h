// TLS of the service's own door, with certificates that change while it is open.
#ifndef TRANSPORTD_SERVER_RPC_TLS_CREDENTIALS_H_
#define TRANSPORTD_SERVER_RPC_TLS_CREDENTIALS_H_

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "server/listen/service_certificate.h"

namespace transportd {

// What is asked of a client, when there is a CA for it.
enum class ClientCertificateUse {
  kOptional,  // One that is presented must verify.
  kRequired,
};

// Each handshake has the certificate that is the store's then. (gRPC 1.51's own FileWatcherCertificateProvider hands
// out halves of pairs, and fails every handshake then.) `store` must outlive every server with these. A handshake
// without a certificate, when the store's had no CA at the start, asks for none later.
std::shared_ptr<grpc::ServerCredentials> TlsCredentials(const ServiceCertificateStore& store, ClientCertificateUse use);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_RPC_TLS_CREDENTIALS_H_
