#include "transports/tls/tls_context.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include <chrono>
#include <climits>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "transports/api/error.h"
#include "transports/api/time.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"
#include "transports/tls/tls_error.h"

namespace transportd {
namespace {

constexpr size_t kMaxPemBytes = 1024 * 1024;
constexpr size_t kMaxAlpnNameBytes = 255;  // RFC 7301, section 3.1.
constexpr size_t kMaxAlpnBytes = 65535;
constexpr size_t kMaxHostnameBytes = 253;
constexpr Duration kMaxTimeout = std::chrono::hours(1);
constexpr size_t kMaxSessionCount = 1024;
// What one read of the socket below may bring: four records.
constexpr size_t kReadAheadBytes = 64 * 1024;
constexpr std::string_view kSessionIdContext = "transportd";

absl::Status Internal(std::string_view what) {
  return MakeError(absl::StatusCode::kInternal, "INTERNAL_ERROR", StrCat(what, ": ", TakeOpensslError().text));
}

int ToNumber(TlsVersion version) {
  switch (version) {
    case TlsVersion::kTls10:
      return TLS1_VERSION;
    case TlsVersion::kTls11:
      return TLS1_1_VERSION;
    case TlsVersion::kTls12:
      return TLS1_2_VERSION;
    case TlsVersion::kTls13:
      return TLS1_3_VERSION;
  }
  return TLS1_2_VERSION;
}

BioPtr Reader(std::string_view bytes) {
  CHECK(bytes.size() <= INT_MAX);
  BioPtr reader(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
  CHECK(reader != nullptr);
  return reader;
}

// OpenSSL would ask on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

// Every certificate in `pem`. `reason` and `field` are those of the error.
absl::StatusOr<std::vector<X509Ptr>> ReadCertificates(std::string_view pem, std::string_view reason,
                                                      std::string_view field) {
  if (pem.size() > kMaxPemBytes) return InvalidArgument(reason, field, "at most 1 MiB");
  std::vector<X509Ptr> certificates;
  const BioPtr reader = Reader(pem);
  while (X509Ptr certificate{PEM_read_bio_X509_AUX(reader.get(), nullptr, NoPassphrase, nullptr)}) {
    certificates.push_back(std::move(certificate));
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const OpensslError error = TakeOpensslError();
  if (!at_end) return InvalidArgument(reason, field, StrCat("a certificate in it cannot be read: ", error.text));
  if (certificates.empty()) return InvalidArgument(reason, field, "there is no certificate in PEM form in it");
  return certificates;
}

absl::Status CheckTimeout(const std::optional<Duration>& timeout, std::string_view field) {
  if (timeout && (*timeout <= Duration::zero() || *timeout > kMaxTimeout)) {
    return InvalidArgument("INVALID_TIMEOUT", field, "more than 0, at most 1 h");
  }
  return absl::OkStatus();
}

// A peer of a later revision may send what is not known here.
template <typename Enum>
absl::Status CheckKnown(const std::optional<Enum>& value, Enum last, std::string_view reason, std::string_view field) {
  if (value && (*value < Enum{} || *value > last)) return InvalidArgument(reason, field, "not one that is known here");
  return absl::OkStatus();
}

absl::Status CheckServerHostname(const std::optional<std::string>& name) {
  constexpr std::string_view kField = "tls.server_hostname";
  if (!name || name->empty()) return absl::OkStatus();
  if (name->size() > kMaxHostnameBytes) {
    return InvalidArgument("INVALID_SERVER_HOSTNAME", kField, "a name has at most 253 bytes");
  }
  if (name->front() == '.') return InvalidArgument("INVALID_SERVER_HOSTNAME", kField, "a name begins with no dot");
  for (const char letter : *name) {
    if (letter <= ' ' || letter > '~') {
      return InvalidArgument("INVALID_SERVER_HOSTNAME", kField, "ASCII letters only; encode others by IDNA (xn--…)");
    }
  }
  return absl::OkStatus();
}

bool IsIpAddress(const std::string& host) {
  in6_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1 || inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

}  // namespace

absl::StatusOr<std::shared_ptr<TlsContext>> TlsContext::Create(const TlsOptions& options, TlsSide side,
                                                               X509_STORE* system_roots) {
  ERR_clear_error();
  if (absl::Status status = CheckTimeout(options.handshake_timeout, "tls.handshake_timeout"); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckTimeout(options.shutdown_timeout, "tls.shutdown_timeout"); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckServerHostname(options.server_hostname); !status.ok()) return status;
  for (absl::Status status :
       {CheckKnown(options.verify_mode, TlsVerifyMode::kRequired, "INVALID_TLS_VERIFY_MODE", "tls.verify_mode"),
        CheckKnown(options.minimum_version, TlsVersion::kTls13, "INVALID_TLS_VERSION", "tls.minimum_version"),
        CheckKnown(options.maximum_version, TlsVersion::kTls13, "INVALID_TLS_VERSION", "tls.maximum_version")}) {
    if (!status.ok()) return status;
  }

  SslCtxPtr made(SSL_CTX_new(side == TlsSide::kClient ? TLS_client_method() : TLS_server_method()));
  if (made == nullptr) return Internal("SSL_CTX_new");
  SSL_CTX_set_options(made.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  if (side == TlsSide::kServer) SSL_CTX_set_options(made.get(), SSL_OP_CIPHER_SERVER_PREFERENCE);
  // What a transport offers to write lies elsewhere the second time, and the memory of idle connections is given back.
  SSL_CTX_set_mode(made.get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(made.get(), 1);
  SSL_CTX_set_default_read_buffer_len(made.get(), kReadAheadBytes);
  SSL_CTX_set_dh_auto(made.get(), 1);

  // Not make_shared: the constructor is private.
  std::shared_ptr<TlsContext> context(new TlsContext(std::move(made), side));
  if (absl::Status status = context->SetVersions(options); !status.ok()) return status;
  if (absl::Status status = context->SetCiphers(options); !status.ok()) return status;
  if (absl::Status status = context->SetCertificate(options); !status.ok()) return status;
  if (absl::Status status = context->SetVerification(options, system_roots); !status.ok()) return status;
  if (absl::Status status = context->SetAlpn(options); !status.ok()) return status;
  context->SetResumption(options);
  ERR_clear_error();
  return context;
}

absl::Status TlsContext::SetVersions(const TlsOptions& options) {
  const TlsVersion minimum = options.minimum_version.value_or(TlsVersion::kTls12);
  if (options.maximum_version && *options.maximum_version < minimum) {
    return InvalidArgument("INVALID_TLS_VERSION", "tls.maximum_version", "not less than minimum_version (1.2)");
  }
  if (SSL_CTX_set_min_proto_version(context_.get(), ToNumber(minimum)) != 1 ||
      SSL_CTX_set_max_proto_version(context_.get(), options.maximum_version ? ToNumber(*options.maximum_version) : 0) !=
          1) {
    return InvalidArgument("INVALID_TLS_VERSION", "tls.minimum_version", TakeOpensslError().text);
  }
  return absl::OkStatus();
}

absl::Status TlsContext::SetCiphers(const TlsOptions& options) {
  if (!options.cipher_list.empty() && SSL_CTX_set_cipher_list(context_.get(), options.cipher_list.c_str()) != 1) {
    return InvalidArgument("INVALID_CIPHERS", "tls.cipher_list", TakeOpensslError().text);
  }
  if (!options.ciphersuites.empty() && SSL_CTX_set_ciphersuites(context_.get(), options.ciphersuites.c_str()) != 1) {
    return InvalidArgument("INVALID_CIPHERS", "tls.ciphersuites", TakeOpensslError().text);
  }
  return absl::OkStatus();
}

absl::Status TlsContext::SetCertificate(const TlsOptions& options) {
  constexpr std::string_view kChainField = "tls.certificate_chain_pem";
  constexpr std::string_view kKeyField = "tls.private_key_pem";
  if (options.certificate_chain_pem.empty()) {
    if (!options.private_key_pem.empty()) {
      return InvalidArgument("INVALID_CERTIFICATE", kChainField, "a key needs its certificate");
    }
    if (side_ == TlsSide::kServer) {
      return InvalidArgument("INVALID_CERTIFICATE", kChainField, "a server needs a certificate");
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<X509Ptr>> chain =
      ReadCertificates(options.certificate_chain_pem, "INVALID_CERTIFICATE", kChainField);
  if (!chain.ok()) return chain.status();

  // As Python has it, the key may stand with the certificate.
  const std::string& key_pem =
      options.private_key_pem.empty() ? options.certificate_chain_pem : options.private_key_pem;
  if (key_pem.size() > kMaxPemBytes) return InvalidArgument("INVALID_PRIVATE_KEY", kKeyField, "at most 1 MiB");
  const EvpPkeyPtr key(PEM_read_bio_PrivateKey(Reader(key_pem).get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) {
    return InvalidArgument(
        "INVALID_PRIVATE_KEY", kKeyField,
        StrCat("there is no key in PEM form, and without a passphrase, in it: ", TakeOpensslError().text));
  }
  if (X509_check_private_key(chain->front().get(), key.get()) != 1) {
    ERR_clear_error();
    return InvalidArgument("KEY_VALUES_MISMATCH", kKeyField, "it is not the key of the certificate");
  }
  // What the security level forbids, such as a key that is too short.
  if (SSL_CTX_use_certificate(context_.get(), chain->front().get()) != 1) {
    return InvalidArgument("INVALID_CERTIFICATE", kChainField, TakeOpensslError().text);
  }
  if (SSL_CTX_use_PrivateKey(context_.get(), key.get()) != 1) {
    return InvalidArgument("INVALID_PRIVATE_KEY", kKeyField, TakeOpensslError().text);
  }
  for (size_t i = 1; i < chain->size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context_.get(), (*chain)[i].get()) != 1) {
      return InvalidArgument("INVALID_CERTIFICATE", kChainField, TakeOpensslError().text);
    }
  }
  return absl::OkStatus();
}

absl::Status TlsContext::SetVerification(const TlsOptions& options, X509_STORE* system_roots) {
  const bool is_client = side_ == TlsSide::kClient;
  const TlsVerifyMode mode = options.verify_mode.value_or(is_client ? TlsVerifyMode::kRequired : TlsVerifyMode::kNone);
  verifies_peer_ = mode != TlsVerifyMode::kNone;
  int flags = SSL_VERIFY_NONE;
  if (verifies_peer_) flags = SSL_VERIFY_PEER;
  if (mode == TlsVerifyMode::kRequired) flags |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(context_.get(), flags, nullptr);
  // What is trusted need not be a root: a certificate that stands there itself will do.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context_.get()), X509_V_FLAG_PARTIAL_CHAIN);

  if (!options.trust_roots_pem) {
    if (system_roots != nullptr && verifies_peer_) SSL_CTX_set1_cert_store(context_.get(), system_roots);
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<X509Ptr>> roots =
      ReadCertificates(*options.trust_roots_pem, "INVALID_TRUST_ROOTS", "tls.trust_roots_pem");
  if (!roots.ok()) return roots.status();
  for (const X509Ptr& root : *roots) {
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), root.get()) != 1) {
      return InvalidArgument("INVALID_TRUST_ROOTS", "tls.trust_roots_pem", TakeOpensslError().text);
    }
    // So that clients can choose among their certificates.
    if (!is_client && verifies_peer_) SSL_CTX_add_client_CA(context_.get(), root.get());
  }
  return absl::OkStatus();
}

absl::Status TlsContext::SetAlpn(const TlsOptions& options) {
  for (const std::string& name : options.alpn_protocols) {
    if (name.empty() || name.size() > kMaxAlpnNameBytes) {
      return InvalidArgument("INVALID_ALPN", "tls.alpn_protocols", "a name has 1 to 255 bytes");
    }
    alpn_.push_back(static_cast<char>(name.size()));
    alpn_.append(name);
  }
  if (alpn_.empty()) return absl::OkStatus();
  if (alpn_.size() > kMaxAlpnBytes) {
    return InvalidArgument("INVALID_ALPN", "tls.alpn_protocols", "all names together have at most 65535 bytes");
  }
  if (side_ == TlsSide::kServer) {
    SSL_CTX_set_alpn_select_cb(context_.get(), &TlsContext::SelectAlpn, this);
  } else if (SSL_CTX_set_alpn_protos(context_.get(), reinterpret_cast<const unsigned char*>(alpn_.data()),
                                     static_cast<unsigned int>(alpn_.size())) != 0) {
    return Internal("SSL_CTX_set_alpn_protos");
  }
  return absl::OkStatus();
}

// As Python's ssl: the first of ours that the client offers; when there is none, the connection goes on without.
int TlsContext::SelectAlpn(SSL*, const unsigned char** out, unsigned char* out_size_bytes, const unsigned char* offered,
                           unsigned int offered_size_bytes, void* self) {
  const std::string& ours = static_cast<const TlsContext*>(self)->alpn_;
  unsigned char* chosen = nullptr;
  const int found = SSL_select_next_proto(&chosen, out_size_bytes, reinterpret_cast<const unsigned char*>(ours.data()),
                                          static_cast<unsigned int>(ours.size()), offered, offered_size_bytes);
  if (found != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

void TlsContext::SetResumption(const TlsOptions& options) {
  if (side_ == TlsSide::kServer) {
    // RFC 8446, section 4.6.1; without it OpenSSL refuses to resume a session whose client was verified.
    CHECK(SSL_CTX_set_session_id_context(context_.get(),
                                         reinterpret_cast<const unsigned char*>(kSessionIdContext.data()),
                                         static_cast<unsigned int>(kSessionIdContext.size())) == 1);
    if (options.session_resumption.value_or(true)) return;
    SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context_.get(), SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context_.get(), 0);
    return;
  }
  keeps_sessions_ = options.session_resumption.value_or(false);
  SSL_CTX_set_session_cache_mode(
      context_.get(), keeps_sessions_ ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL : SSL_SESS_CACHE_OFF);
  if (keeps_sessions_) SSL_CTX_sess_set_new_cb(context_.get(), &TlsContext::OnNewSession);
}

int TlsContext::OnNewSession(SSL* connection, SSL_SESSION* session) {
  const auto* const resumption = static_cast<const TlsResumption*>(SSL_get_app_data(connection));
  if (resumption == nullptr || resumption->context == nullptr) return 0;
  resumption->context->KeepSession(resumption->peer, SslSessionPtr(session));
  return 1;  // It is ours now.
}

void TlsContext::KeepSession(const std::string& peer, SslSessionPtr session) {
  const auto [it, is_new] = sessions_.try_emplace(peer);
  it->second = std::move(session);
  if (!is_new) return;
  session_order_.push_back(peer);
  if (session_order_.size() <= kMaxSessionCount) return;
  sessions_.erase(session_order_.front());
  session_order_.pop_front();
}

// RFC 8446, appendix C.4: a ticket is used once.
SslSessionPtr TlsContext::TakeSession(const std::string& peer) {
  const auto it = sessions_.find(peer);
  if (it == sessions_.end() || it->second == nullptr) return nullptr;
  if (SSL_SESSION_get_protocol_version(it->second.get()) == TLS1_3_VERSION) return std::move(it->second);
  SSL_SESSION_up_ref(it->second.get());
  return SslSessionPtr(it->second.get());
}

absl::StatusOr<SslPtr> TlsContext::NewConnection(const std::string& server_hostname, TlsResumption& resumption) {
  SslPtr connection(SSL_new(context_.get()));
  if (connection == nullptr) return Internal("SSL_new");
  SSL_set_app_data(connection.get(), &resumption);
  if (side_ == TlsSide::kServer) {
    SSL_set_accept_state(connection.get());
    return connection;
  }
  SSL_set_connect_state(connection.get());
  // A scope is this machine's own matter. RFC 6066, section 3: an address is no name to ask for.
  const std::string name = server_hostname.substr(0, server_hostname.find('%'));
  if (IsIpAddress(name)) {
    if (verifies_peer_) X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection.get()), name.c_str());
  } else if (!name.empty()) {
    if (SSL_set_tlsext_host_name(connection.get(), name.c_str()) != 1) return Internal("SSL_set_tlsext_host_name");
    if (verifies_peer_ && SSL_set1_host(connection.get(), name.c_str()) != 1) return Internal("SSL_set1_host");
    SSL_set_hostflags(connection.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  }
  if (keeps_sessions_) {
    resumption.context = this;
    const SslSessionPtr session = TakeSession(resumption.peer);
    if (session != nullptr && SSL_SESSION_is_resumable(session.get()) == 1) {
      SSL_set_session(connection.get(), session.get());
    }
  }
  return connection;
}

std::string TlsContextKey(const TlsOptions& options, TlsSide side) {
  std::string text;
  const auto put = [&text](std::string_view part) { text.append(StrCat(part.size(), ":")).append(part); };
  const auto put_number = [&text](int number) { text.append(StrCat(number, ";")); };
  put_number(static_cast<int>(side));
  put_number(options.trust_roots_pem ? 1 : 0);
  put(options.trust_roots_pem.value_or(""));
  put(options.certificate_chain_pem);
  put(options.private_key_pem);
  put_number(options.verify_mode ? static_cast<int>(*options.verify_mode) : -1);
  put_number(static_cast<int>(options.alpn_protocols.size()));
  for (const std::string& name : options.alpn_protocols) put(name);
  put_number(options.minimum_version ? static_cast<int>(*options.minimum_version) : -1);
  put_number(options.maximum_version ? static_cast<int>(*options.maximum_version) : -1);
  put(options.cipher_list);
  put(options.ciphersuites);
  put_number(options.session_resumption ? static_cast<int>(*options.session_resumption) : -1);
  put(options.resumption_scope);
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

}  // namespace transportd
