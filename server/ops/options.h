// What transportd was told on its command line.
#ifndef TRANSPORTD_SERVER_OPS_OPTIONS_H_
#define TRANSPORTD_SERVER_OPS_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/ops/listen_address.h"
#include "server/session/session_limits.h"
#include "transports/base/logging.h"

namespace transportd {

// Each field: the flag of the same name; see OptionsHelp. Threading: a value.
struct Options {
  std::vector<ListenAddress> listen;
  std::string address_file;  // Empty: none.
  bool dev = false;
  bool reflection = false;
  int loops = 1;
  int grpc_threads = 1;
  int max_concurrent_streams = 1000;
  uint64_t grpc_buffer_bytes = 512ull * 1024 * 1024;
  std::chrono::nanoseconds drain_timeout = std::chrono::seconds(30);
  LogLevel log_level = LogLevel::kInfo;
  std::vector<int> inherited_fds;  // Not negative.
  std::optional<std::string> spawn_helper;
  std::vector<std::string> tls_identity;  // "NAME=CERTFILE,KEYFILE"; see ReadTlsIdentities.
  SessionLimits session_limits;
  ServiceLimits service_limits;

  // The rest is then not to be used.
  bool help = false;
  bool version = false;
};

// `arguments` without the program's name. INVALID_ARGUMENT, with a sentence that says what to do, when they are no
// configuration to start with.
absl::StatusOr<Options> ParseOptions(std::span<const char* const> arguments);

// The text of --help.
std::string OptionsHelp();

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_OPTIONS_H_
