// TLS for the peers of stage.h, the same as in tls_end.py: OpenSSL's own calls, nothing of transports/tls.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_TLS_END_H_
#define TRANSPORTD_TESTS_CONFORMANCE_TLS_END_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "tests/support/test_certificates.h"
#include "transports/base/mutex.h"
#include "transports/base/unique_fd.h"

namespace transportd::conformance {

struct SslCtxFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using TlsTerms = std::unique_ptr<SSL_CTX, SslCtxFree>;

// Shows the identity; asks for none. No session tickets: one that nobody reads turns the FIN of an abort into RST.
TlsTerms ServerTerms(const TestIdentity& identity = SharedTestIdentity());
// Shows the identity.
void UseIdentity(SSL_CTX& terms, const TestIdentity& identity);
// Trusts the root alone.
TlsTerms ClientTerms(const std::string& root_pem = SharedTestAuthority().certificate_pem());

// What a peer sends and receives through. Calls wait; SO_RCVTIMEO and SO_SNDTIMEO bound them. Threading: one thread
// sends and one receives at a time.
class PeerStream {
 public:
  virtual ~PeerStream() = default;
  // Sends all. Empty, or the name of what went wrong.
  virtual std::string Send(std::string_view data) = 0;
  // Appends at most `most_bytes`, at least one. Empty, or how it ended: "eof", "ragged eof", the name of an error.
  virtual std::string Receive(std::string& data, size_t most_bytes) = 0;
};

class SocketStream final : public PeerStream {
 public:
  // shared_ptr: owned by every peer of the socket.
  explicit SocketStream(std::shared_ptr<UniqueFd> fd) : fd_(std::move(fd)) {}
  std::string Send(std::string_view data) override;
  std::string Receive(std::string& data, size_t most_bytes) override;

 private:
  const std::shared_ptr<UniqueFd> fd_;
};

class TlsEnd final : public PeerStream {
 public:
  // `server_hostname`: a client's, to ask for and to find in the certificate; empty: neither.
  TlsEnd(std::shared_ptr<PeerStream> lower, SSL_CTX& terms, bool server_side, const std::string& server_hostname);
  ~TlsEnd() override { SSL_free(ssl_); }
  TlsEnd(const TlsEnd&) = delete;
  TlsEnd& operator=(const TlsEnd&) = delete;

  SSL* ssl() { return ssl_; }
  // Empty, or the name of what went wrong. `session`: to resume; null: none.
  std::string Handshake(SSL_SESSION* session = nullptr);
  // close_notify; receiving goes on.
  void Notify();

  // PeerStream. Receive answers close_notify.
  std::string Send(std::string_view data) override;
  std::string Receive(std::string& data, size_t most_bytes) override;

 private:
  // Sends what OpenSSL has to send. As Send.
  std::string Flush();
  // Receives something for OpenSSL. As Receive.
  std::string Fill();

  const std::shared_ptr<PeerStream> lower_;
  Mutex sending_;
  Mutex mutex_;
  SSL* const ssl_;  // Used under the mutex; by others when no call is under way.
  bool notified_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_TLS_END_H_
