// The certificates that this machine trusts.
#ifndef TRANSPORTD_TRANSPORTS_TLS_SYSTEM_TRUST_ROOTS_H_
#define TRANSPORTD_TRANSPORTS_TLS_SYSTEM_TRUST_ROOTS_H_

#include <string>

#include "absl/base/thread_annotations.h"
#include "transports/base/mutex.h"
#include "transports/tls/openssl_handles.h"

namespace transportd {

// Read once, when they are first asked for: what is installed later counts after a restart. Threading: any thread.
class SystemTrustRoots final {
 public:
  // Where OpenSSL looks: the environment's SSL_CERT_FILE and SSL_CERT_DIR, or what it was built with.
  SystemTrustRoots();
  // `file`: PEM, many certificates. `directory`: one a file, named by their hashes (openssl-rehash(1)). Either may be
  // missing.
  SystemTrustRoots(std::string file, std::string directory);

  // Blocks: the first call reads, and takes tens of milliseconds; others that come meanwhile wait. Never null.
  X509StorePtr Get();

 private:
  X509StorePtr Load() const;

  const std::string file_;
  const std::string directory_;
  Mutex mutex_;
  X509StorePtr roots_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TLS_SYSTEM_TRUST_ROOTS_H_
