// TLS, as it is asked for: by create_connection, create_server and their like, and by start_tls.
// https://docs.python.org/3.13/library/ssl.html#ssl-contexts
#ifndef TRANSPORTD_TRANSPORTS_API_TLS_OPTIONS_H_
#define TRANSPORTD_TRANSPORTS_API_TLS_OPTIONS_H_

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace transportd {

enum class TlsVersion { kTls10, kTls11, kTls12, kTls13 };

// What is asked of the peer's certificate.
enum class TlsVerifyMode {
  kNone,      // A server asks for none; a client takes any.
  kOptional,  // A server takes none, or one that verifies. For a client as kRequired.
  kRequired,  // One that verifies, and on a client belongs to the server's name.
};

// TlsOptions in proto/transportd/v1/tls.proto says what each means, unset and empty included.
struct TlsOptions {
  std::optional<std::string> trust_roots_pem = {};
  std::string certificate_chain_pem = {};
  std::string private_key_pem = {};
  std::string identity = {};
  std::optional<TlsVerifyMode> verify_mode = {};
  // Clients only; servers ignore it.
  std::optional<std::string> server_hostname = {};
  std::vector<std::string> alpn_protocols = {};
  std::optional<TlsVersion> minimum_version = {};
  std::optional<TlsVersion> maximum_version = {};
  std::string cipher_list = {};
  std::string ciphersuites = {};
  std::optional<bool> session_resumption = {};
  std::optional<std::chrono::nanoseconds> handshake_timeout = {};  // Unset: 60 s.
  std::optional<std::chrono::nanoseconds> shutdown_timeout = {};   // Unset: 30 s.

  // Not in the contract: a client resumes only sessions that were made under the same scope.
  std::string resumption_scope = {};
};

// A certificate chain and its key, PEM: what TlsOptions::identity names.
struct TlsIdentity {
  std::string certificate_chain_pem = {};
  std::string private_key_pem = {};
};
// By name.
using TlsIdentities = std::map<std::string, TlsIdentity>;

// StartTlsRequest in proto/transportd/v1/tls.proto says what each means.
struct StartTlsOptions {
  bool server_side = false;
  TlsOptions tls = {};
  // What the program has received already although it is TLS: it comes before what is received from now on.
  std::string incoming = {};
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_TLS_OPTIONS_H_
