// The other end of a TLS connection, made of OpenSSL's own calls on a socket: nothing of transports/tls is in it.
#ifndef TRANSPORTD_TESTS_UNIT_TLS_OPENSSL_PEER_H_
#define TRANSPORTD_TESTS_UNIT_TLS_OPENSSL_PEER_H_

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <signal.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "tests/support/raw_peer.h"
#include "tests/support/test_certificates.h"
#include "transports/base/check.h"

namespace transportd {

struct SslCtxFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using OpensslContext = std::unique_ptr<SSL_CTX, SslCtxFree>;

inline void UseIdentity(SSL_CTX* context, const TestIdentity& identity) {
  BIO* const chain = BIO_new_mem_buf(identity.chain_pem.data(), static_cast<int>(identity.chain_pem.size()));
  X509* const leaf = PEM_read_bio_X509(chain, nullptr, nullptr, nullptr);
  CHECK(SSL_CTX_use_certificate(context, leaf) == 1);
  X509_free(leaf);
  while (X509* const above = PEM_read_bio_X509(chain, nullptr, nullptr, nullptr)) {
    CHECK(SSL_CTX_add0_chain_cert(context, above) == 1);
  }
  ERR_clear_error();
  BIO_free(chain);
  BIO* const key_bio = BIO_new_mem_buf(identity.key_pem.data(), static_cast<int>(identity.key_pem.size()));
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(key_bio, nullptr, nullptr, nullptr);
  CHECK(SSL_CTX_use_PrivateKey(context, key) == 1);
  EVP_PKEY_free(key);
  BIO_free(key_bio);
}

// Takes and shows the shared identity; asks for nothing.
inline OpensslContext ServerContext() {
  OpensslContext context(SSL_CTX_new(TLS_server_method()));
  UseIdentity(context.get(), SharedTestIdentity());
  return context;
}
// Takes any certificate.
inline OpensslContext ClientContext() { return OpensslContext(SSL_CTX_new(TLS_client_method())); }

// Never waits: Poll does what can be done, and is called again and again. Threading: the test's thread.
class OpensslPeer final {
 public:
  enum class Role { kServer, kClient };

  // Takes over a connected socket.
  OpensslPeer(SSL_CTX* context, RawPeer raw, Role role) : raw_(std::move(raw)), ssl_(SSL_new(context)) {
    // OpenSSL's own socket writes raise SIGPIPE where ours do not.
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    CHECK(SSL_set_fd(ssl_, raw_.fd()) == 1);
    if (role == Role::kServer) {
      SSL_set_accept_state(ssl_);
    } else {
      SSL_set_connect_state(ssl_);
    }
  }
  ~OpensslPeer() { SSL_free(ssl_); }
  OpensslPeer(const OpensslPeer&) = delete;
  OpensslPeer& operator=(const OpensslPeer&) = delete;

  SSL* ssl() { return ssl_; }
  RawPeer& raw() { return raw_; }
  bool handshaken() const { return handshaken_; }
  const std::string& received() const { return received_; }
  // close_notify came.
  bool notified() const { return (SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0; }
  // The last error's text; empty: none.
  const std::string& error() const { return error_; }
  // FIN or RST came.
  bool ended() const { return ended_; }

  void Send(std::string_view data) { to_send_.append(data); }
  size_t unsent_bytes() const { return to_send_.size() - sent_bytes_; }
  // close_notify.
  void Shutdown() { SSL_shutdown(ssl_); }

  void Poll() {
    if (!error_.empty() || ended_) return;
    ERR_clear_error();
    if (!handshaken_) {
      const int result = SSL_do_handshake(ssl_);
      if (result != 1) return Failed(result);
      handshaken_ = true;
    }
    while (unsent_bytes() > 0) {
      const int sent =
          SSL_write(ssl_, to_send_.data() + sent_bytes_, static_cast<int>(std::min<size_t>(unsent_bytes(), 16384)));
      if (sent <= 0) {
        Failed(sent);
        break;
      }
      sent_bytes_ += static_cast<size_t>(sent);
    }
    if (!reads_) return;
    char buffer[65536];
    while (true) {
      const int size = SSL_read(ssl_, buffer, sizeof(buffer));
      if (size <= 0) return Failed(size);
      received_.append(buffer, static_cast<size_t>(size));
    }
  }
  void StopReading() { reads_ = false; }
  void StartReading() { reads_ = true; }

 private:
  void Failed(int result) {
    const int kind = SSL_get_error(ssl_, result);
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE || kind == SSL_ERROR_ZERO_RETURN) return;
    if (kind == SSL_ERROR_SYSCALL) {
      ended_ = true;
      return;
    }
    const unsigned long code = ERR_peek_last_error();
    const char* const text = ERR_reason_error_string(code);
    error_ = text != nullptr ? text : "?";
    ended_ = ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
  }

  RawPeer raw_;
  SSL* const ssl_;
  bool handshaken_ = false;
  bool ended_ = false;
  size_t sent_bytes_ = 0;  // Of to_send_.
  bool reads_ = true;
  std::string to_send_;
  std::string received_;
  std::string error_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_UNIT_TLS_OPENSSL_PEER_H_
