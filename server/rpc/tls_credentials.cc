#include "server/rpc/tls_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <string>

#include "transports/base/check.h"

namespace transportd {
namespace {

grpc_ssl_client_certificate_request_type RequestType(const ServiceCertificate& certificate, ClientCertificateUse use) {
  if (certificate.client_ca_pem.empty()) return GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE;
  return use == ClientCertificateUse::kRequired ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                                : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY;
}

// The C++ library has no such credentials; the one underneath has.
class FetchingCredentials final : public grpc::ServerCredentials {
 public:
  FetchingCredentials(const ServiceCertificateStore& store, ClientCertificateUse use) : store_(store) {
    credentials_ =
        grpc_ssl_server_credentials_create_with_options(grpc_ssl_server_credentials_create_options_using_config_fetcher(
            RequestType(*store.current(), use), &FetchingCredentials::Fetch, this));
    CHECK(credentials_ != nullptr);
  }
  ~FetchingCredentials() override { grpc_server_credentials_release(credentials_); }

  // Not used: who calls is asked for each call.
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/) override {
    CHECK(false);
  }

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  // gRPC asks before each handshake, under a lock of its own for each port.
  static grpc_ssl_certificate_config_reload_status Fetch(void* self, grpc_ssl_server_certificate_config** config) {
    auto& credentials = *static_cast<FetchingCredentials*>(self);
    std::shared_ptr<const ServiceCertificate> current = credentials.store_.current();
    MutexLock lock(credentials.mutex_);
    if (current == credentials.handed_out_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    grpc_ssl_pem_key_cert_pair pair = {current->private_key_pem.c_str(), current->certificate_chain_pem.c_str()};
    // gRPC wants some, although it asks no client for a certificate then.
    const std::string& roots = current->client_ca_pem.empty() ? current->certificate_chain_pem : current->client_ca_pem;
    *config = grpc_ssl_server_certificate_config_create(roots.c_str(), &pair, 1);
    credentials.handed_out_ = std::move(current);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const ServiceCertificateStore& store_;
  grpc_server_credentials* credentials_ = nullptr;
  Mutex mutex_;
  std::shared_ptr<const ServiceCertificate> handed_out_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> TlsCredentials(const ServiceCertificateStore& store,
                                                        ClientCertificateUse use) {
  return std::make_shared<FetchingCredentials>(store, use);
}

}  // namespace transportd
