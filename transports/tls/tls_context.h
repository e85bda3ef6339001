// The terms of TLS connections: an SSL_CTX made from TlsOptions.
#ifndef TRANSPORTD_TRANSPORTS_TLS_TLS_CONTEXT_H_
#define TRANSPORTD_TRANSPORTS_TLS_TLS_CONTEXT_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/tls_options.h"
#include "transports/tls/openssl_handles.h"

namespace transportd {

enum class TlsSide { kClient, kServer };

class TlsContext;

// What a connection keeps for as long as its SSL lives: where the sessions go that the peer lets it resume.
struct TlsResumption {
  TlsContext* context = nullptr;  // Null: nowhere.
  std::string peer = {};          // Names the peer within the context.
};

// shared_ptr: owned by the cache that found it, by the layers made of it and by their connections.
// Threading: Create and the destructor any thread; the rest one thread, the loop's.
class TlsContext final {
 public:
  // Reads and computes; opens nothing. The identity's name must have been resolved. `system_roots`: who is trusted when
  // the options do not say; may be null: nobody. INVALID_ARGUMENT, of a field "tls.…": INVALID_TRUST_ROOTS,
  // INVALID_CERTIFICATE, INVALID_PRIVATE_KEY, KEY_VALUES_MISMATCH, INVALID_ALPN, INVALID_TLS_VERSION, INVALID_CIPHERS,
  // INVALID_TIMEOUT, INVALID_SERVER_HOSTNAME, INVALID_TLS_VERIFY_MODE.
  static absl::StatusOr<std::shared_ptr<TlsContext>> Create(const TlsOptions& options, TlsSide side,
                                                            X509_STORE* system_roots);
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  TlsSide side() const { return side_; }
  bool verifies_peer() const { return verifies_peer_; }

  // A connection before its handshake. `server_hostname`: who the peer must be, on a client; empty: that is not asked.
  // `resumption` must outlive it. INTERNAL when OpenSSL has no memory.
  absl::StatusOr<SslPtr> NewConnection(const std::string& server_hostname, TlsResumption& resumption);

 private:
  TlsContext(SslCtxPtr context, TlsSide side) : context_(std::move(context)), side_(side) {}

  absl::Status SetVersions(const TlsOptions& options);
  absl::Status SetCiphers(const TlsOptions& options);
  absl::Status SetCertificate(const TlsOptions& options);
  absl::Status SetVerification(const TlsOptions& options, X509_STORE* system_roots);
  absl::Status SetAlpn(const TlsOptions& options);
  void SetResumption(const TlsOptions& options);

  static int SelectAlpn(SSL* connection, const unsigned char** out, unsigned char* out_size_bytes,
                        const unsigned char* offered, unsigned int offered_size_bytes, void* self);
  static int OnNewSession(SSL* connection, SSL_SESSION* session);
  void KeepSession(const std::string& peer, SslSessionPtr session);
  SslSessionPtr TakeSession(const std::string& peer);

  const SslCtxPtr context_;
  const TlsSide side_;
  bool verifies_peer_ = false;
  bool keeps_sessions_ = false;
  std::string alpn_;  // As on the wire: each name after its length.

  // A client's: the last session of each peer, and the peers in the order they came.
  absl::flat_hash_map<std::string, SslSessionPtr> sessions_;
  std::deque<std::string> session_order_;
};

// Equal for options of which one context can be made, and no others: a digest.
std::string TlsContextKey(const TlsOptions& options, TlsSide side);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TLS_TLS_CONTEXT_H_
