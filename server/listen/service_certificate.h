// The service's own certificate, and whom it trusts to sign its clients'.
#ifndef TRANSPORTD_SERVER_LISTEN_SERVICE_CERTIFICATE_H_
#define TRANSPORTD_SERVER_LISTEN_SERVICE_CERTIFICATE_H_

#include <chrono>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/base/mutex.h"

namespace transportd {

// A whole one: the key is the certificate's, and every file was readable and well-formed. Threading: a value.
struct ServiceCertificate {
  std::string certificate_chain_pem;
  std::string private_key_pem;
  std::string client_ca_pem;  // Empty: clients are not asked for certificates.
  std::chrono::system_clock::time_point not_after;
};

// PEM files, as tools and Kubernetes leave them. Threading: a value.
struct ServiceCertificateFiles {
  std::string certificate;  // The chain, leaf first.
  std::string key;
  std::string client_ca;  // Empty: none.
};

// INVALID_ARGUMENT / BAD_CONFIGURATION, which names the file and what is wrong with it: also when the certificate is
// not valid at `now`. ReadConfigFile's error, of a file that cannot be read.
absl::StatusOr<ServiceCertificate> ReadServiceCertificate(const ServiceCertificateFiles& files,
                                                          std::chrono::system_clock::time_point now);

// The last good one. Threading: any thread.
class ServiceCertificateStore final {
 public:
  static absl::StatusOr<std::unique_ptr<ServiceCertificateStore>> Create(ServiceCertificateFiles files);

  std::shared_ptr<const ServiceCertificate> current() const;
  // Reads the files again. An error changes nothing: a half-written or expired pair is never handed out.
  absl::Status Reload();

  const ServiceCertificateFiles& files() const { return files_; }

 private:
  ServiceCertificateStore(ServiceCertificateFiles files, ServiceCertificate certificate);

  const ServiceCertificateFiles files_;
  mutable Mutex mutex_;
  std::shared_ptr<const ServiceCertificate> current_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_LISTEN_SERVICE_CERTIFICATE_H_
