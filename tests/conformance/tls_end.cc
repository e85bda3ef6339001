#include "tests/conformance/tls_end.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <cerrno>

#include "transports/api/error.h"
#include "transports/base/check.h"

namespace transportd::conformance {

namespace {

constexpr size_t kPieceBytes = 65536;

BIO* Reader(const std::string& pem) {
  BIO* const bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  CHECK(bio != nullptr);
  return bio;
}

// As the service has it: OpenSSL's words, or TLS_ALERT_….
std::string TakeReason() {
  const char* const text = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  std::string reason = text != nullptr ? text : "?";
  for (char& letter : reason) {
    const auto byte = static_cast<unsigned char>(letter);
    letter = static_cast<char>(std::isalnum(byte) != 0 ? std::toupper(byte) : '_');
  }
  for (const std::string_view before : {"SSLV3_ALERT_", "TLSV1_ALERT_", "TLSV13_ALERT_"}) {
    if (reason.starts_with(before)) return "TLS_ALERT_" + reason.substr(before.size());
  }
  return reason;
}

}  // namespace

void UseIdentity(SSL_CTX& terms, const TestIdentity& identity) {
  BIO* const chain = Reader(identity.chain_pem);
  X509* const leaf = PEM_read_bio_X509(chain, nullptr, nullptr, nullptr);
  CHECK(SSL_CTX_use_certificate(&terms, leaf) == 1);
  X509_free(leaf);
  BIO_free(chain);
  BIO* const key_reader = Reader(identity.key_pem);
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(key_reader, nullptr, nullptr, nullptr);
  CHECK(SSL_CTX_use_PrivateKey(&terms, key) == 1);
  EVP_PKEY_free(key);
  BIO_free(key_reader);
}

TlsTerms ServerTerms(const TestIdentity& identity) {
  TlsTerms terms(SSL_CTX_new(TLS_server_method()));
  UseIdentity(*terms, identity);
  SSL_CTX_set_num_tickets(terms.get(), 0);
  return terms;
}

TlsTerms ClientTerms(const std::string& root_pem) {
  TlsTerms terms(SSL_CTX_new(TLS_client_method()));
  BIO* const reader = Reader(root_pem);
  X509* const root = PEM_read_bio_X509(reader, nullptr, nullptr, nullptr);
  CHECK(X509_STORE_add_cert(SSL_CTX_get_cert_store(terms.get()), root) == 1);
  X509_free(root);
  BIO_free(reader);
  SSL_CTX_set_verify(terms.get(), SSL_VERIFY_PEER, nullptr);
  return terms;
}

std::string SocketStream::Send(std::string_view data) {
  while (!data.empty()) {
    const ssize_t sent = send(fd_->get(), data.data(), data.size(), MSG_NOSIGNAL);
    const int error_number = errno;
    if (sent < 0) return ErrnoName(error_number);
    data.remove_prefix(static_cast<size_t>(sent));
  }
  return "";
}

std::string SocketStream::Receive(std::string& data, size_t most_bytes) {
  char piece[kPieceBytes];
  const ssize_t got = recv(fd_->get(), piece, std::min(sizeof(piece), most_bytes), 0);
  const int error_number = errno;
  if (got < 0) return ErrnoName(error_number);
  if (got == 0) return "eof";
  data.append(piece, static_cast<size_t>(got));
  return "";
}

TlsEnd::TlsEnd(std::shared_ptr<PeerStream> lower, SSL_CTX& terms, bool server_side, const std::string& server_hostname)
    : lower_(std::move(lower)), ssl_(SSL_new(&terms)) {
  CHECK(ssl_ != nullptr);
  SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  for (BIO* const bio : {SSL_get_rbio(ssl_), SSL_get_wbio(ssl_)}) BIO_set_mem_eof_return(bio, -1);
  if (server_side) {
    SSL_set_accept_state(ssl_);
    return;
  }
  SSL_set_connect_state(ssl_);
  if (server_hostname.empty()) return;
  CHECK(SSL_set_tlsext_host_name(ssl_, server_hostname.c_str()) == 1);
  CHECK(SSL_set1_host(ssl_, server_hostname.c_str()) == 1);
}

std::string TlsEnd::Flush() {
  std::string data;
  {
    MutexLock lock(mutex_);
    data.resize(BIO_ctrl_pending(SSL_get_wbio(ssl_)));
    if (data.empty()) return "";
    CHECK(BIO_read(SSL_get_wbio(ssl_), data.data(), static_cast<int>(data.size())) == static_cast<int>(data.size()));
  }
  return lower_->Send(data);
}

std::string TlsEnd::Fill() {
  std::string data;
  std::string end = lower_->Receive(data, kPieceBytes);
  if (!end.empty()) return end == "eof" ? "ragged eof" : end;
  MutexLock lock(mutex_);
  CHECK(BIO_write(SSL_get_rbio(ssl_), data.data(), static_cast<int>(data.size())) == static_cast<int>(data.size()));
  return "";
}

std::string TlsEnd::Handshake(SSL_SESSION* session) {
  if (session != nullptr) CHECK(SSL_set_session(ssl_, session) == 1);
  while (true) {
    int result = 0;
    std::string error;
    {
      MutexLock lock(mutex_);
      ERR_clear_error();
      result = SSL_do_handshake(ssl_);
      if (result != 1 && SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ) error = TakeReason();
    }
    std::string unsent = Flush();
    if (!error.empty()) return error;
    if (result == 1 || !unsent.empty()) return unsent;
    if (std::string end = Fill(); !end.empty()) return end;
  }
}

void TlsEnd::Notify() {
  MutexLock sending(sending_);
  {
    MutexLock lock(mutex_);
    if (notified_) return;
    notified_ = true;
    SSL_shutdown(ssl_);
    ERR_clear_error();
  }
  Flush();
}

std::string TlsEnd::Send(std::string_view data) {
  MutexLock sending(sending_);
  while (!data.empty()) {
    const size_t size_bytes = std::min(data.size(), kPieceBytes);
    {
      MutexLock lock(mutex_);
      ERR_clear_error();
      if (SSL_write(ssl_, data.data(), static_cast<int>(size_bytes)) <= 0) return TakeReason();
    }
    data.remove_prefix(size_bytes);
    if (std::string error = Flush(); !error.empty()) return error;
  }
  return "";
}

std::string TlsEnd::Receive(std::string& data, size_t most_bytes) {
  char piece[kPieceBytes];
  while (true) {
    std::string end;
    {
      MutexLock lock(mutex_);
      ERR_clear_error();
      const int size = SSL_read(ssl_, piece, static_cast<int>(std::min(sizeof(piece), most_bytes)));
      if (size > 0) {
        data.append(piece, static_cast<size_t>(size));
        return "";
      }
      const int kind = SSL_get_error(ssl_, size);
      if (kind == SSL_ERROR_ZERO_RETURN) {
        end = "eof";
      } else if (kind != SSL_ERROR_WANT_READ) {
        end = TakeReason();
      }
    }
    if (end == "eof") Notify();
    if (!end.empty()) {
      Flush();
      return end;
    }
    if (end = Fill(); !end.empty()) return end;
  }
}

}  // namespace transportd::conformance
