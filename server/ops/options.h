// What transportd was told.
#ifndef TRANSPORTD_SERVER_OPS_OPTIONS_H_
#define TRANSPORTD_SERVER_OPS_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "server/listen/listen_address.h"
#include "server/ops/configuration.h"
#include "server/policy/per_source_limiter.h"
#include "server/session/session_limits.h"
#include "transports/base/logging.h"

namespace transportd {

// Each field: the flag of the same name; see OptionsHelp. Threading: a value.
struct Options {
  std::vector<ListenAddress> listen;
  std::vector<ListenAddress> health_listen;  // Plaintext, and nothing but health.
  // HTTP, for operators and for scrapers. Plaintext; admin_listen on loopback and Unix sockets only.
  std::vector<ListenAddress> admin_listen;
  std::vector<ListenAddress> metrics_listen;
  std::string address_file;     // Empty: none.
  std::string instance_target;  // Empty: where the first listener can be dialled.
  bool dev = false;
  std::string policy;         // Empty: with --dev only.
  std::string shadow_policy;  // Empty: none.
  bool keep_on_reload = false;
  std::string identities;       // Empty: certificates with a SPIFFE ID, and the principals of Unix listeners.
  std::string tls_certificate;  // Empty: no listener has TLS.
  std::string tls_key;
  std::string tls_client_ca;  // Empty: clients are not asked for certificates.
  std::string audit_log = "stdout";
  bool refuse_without_audit = true;
  PerSourceOptions per_source;
  std::chrono::nanoseconds authentication_timeout = std::chrono::seconds(60);
  std::vector<std::string> self_addresses;  // ADDRESS:PORT each, besides those that the service knows of.
  bool reflection = false;
  int loops = 1;
  int grpc_threads = 1;
  int max_concurrent_streams = 1000;
  uint64_t grpc_buffer_bytes = 512ull * 1024 * 1024;
  std::chrono::nanoseconds drain_timeout = std::chrono::seconds(30);
  LogLevel log_level = LogLevel::kInfo;
  bool log_json = false;
  std::vector<int> inherited_fds;  // Not negative.
  std::optional<std::string> spawn_helper;
  std::vector<std::string> tls_identity;  // "NAME=CERTFILE,KEYFILE"; see ReadTlsIdentities.
  SessionLimits session_limits;
  ServiceLimits service_limits;

  // The rest is then not to be used.
  bool help = false;
  std::string completion;  // A shell's name; empty: none.
  bool print_config = false;
  bool version = false;
};

// `arguments` without the program's name; see Configure. INVALID_ARGUMENT, with a sentence that says what to do, when
// they are no configuration to start with. `print`: called with what --print-config prints, which comes before that.
absl::StatusOr<Options> ParseOptions(std::span<const char* const> arguments, Environment environment,
                                     absl::FunctionRef<void(const std::string& text)> print);

// The text of --help.
std::string OptionsHelp();

// The text of --completion.
std::string OptionsCompletion(const std::string& shell);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_OPTIONS_H_
