#include "transports/tls/system_trust_roots.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "transports/base/check.h"

namespace transportd {
namespace {

std::string FromEnvironment(const char* variable, const char* otherwise) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing here changes the environment.
  const char* const value = std::getenv(variable);
  return value != nullptr ? value : otherwise;
}

// "0123abcd.0": a certificate's hash and a running number. Revocation lists have an r before the number.
bool IsHashedName(std::string_view name) {
  constexpr size_t kHashDigitCount = 8;
  if (name.size() < kHashDigitCount + 2 || name[kHashDigitCount] != '.') return false;
  const std::string_view number = name.substr(kHashDigitCount + 1);
  return name.substr(0, kHashDigitCount).find_first_not_of("0123456789abcdef") == std::string_view::npos &&
         number.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

SystemTrustRoots::SystemTrustRoots()
    : SystemTrustRoots(FromEnvironment(X509_get_default_cert_file_env(), X509_get_default_cert_file()),
                       FromEnvironment(X509_get_default_cert_dir_env(), X509_get_default_cert_dir())) {}

SystemTrustRoots::SystemTrustRoots(std::string file, std::string directory)
    : file_(std::move(file)), directory_(std::move(directory)) {}

X509StorePtr SystemTrustRoots::Get() {
  const MutexLock lock(mutex_);
  if (roots_ == nullptr) roots_ = Load();
  X509_STORE_up_ref(roots_.get());
  return X509StorePtr(roots_.get());
}

// Not X509_STORE_set_default_paths: that would read the directory while certificates are verified, on a loop's thread.
X509StorePtr SystemTrustRoots::Load() const {
  X509StorePtr store(X509_STORE_new());
  CHECK(store != nullptr);
  X509_STORE_load_file(store.get(), file_.c_str());
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, ignored)) {
    if (IsHashedName(entry.path().filename().native())) X509_STORE_load_file(store.get(), entry.path().c_str());
  }
  ERR_clear_error();
  return store;
}

}  // namespace transportd
