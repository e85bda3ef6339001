// transportctl's command line.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_ARGUMENTS_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_ARGUMENTS_H_

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "transports/api/address.h"
#include "transports/api/event_loop.h"

namespace transportd::ctl {

enum class Command { kHelp, kConnect, kListen, kSessions, kTransports, kHealth, kVersion, kProgramVersion };

// Threading: a value.
struct Arguments {
  Command command = Command::kHelp;
  std::string target;  // Empty: the environment, then the default.
  std::string token;
  Duration timeout = std::chrono::seconds(10);
  bool json = false;
  bool verbose = false;
  HostPort endpoint;  // connect, listen.
  AddressFamily family = AddressFamily::kUnspecified;
  std::optional<HostPort> source;                // connect.
  std::optional<Duration> happy_eyeballs_delay;  // connect.
  bool half_close = true;                        // connect, listen.
  bool echo = false;                             // listen.
  bool keep = false;                             // listen.
  std::string session_prefix;                    // transports.
};

// `arguments` without the program's name. INVALID_ARGUMENT, with one sentence that says what is allowed.
absl::StatusOr<Arguments> ParseArguments(std::span<const std::string_view> arguments);

// `example.org:80`, `[::1]:80`, `:80`. With `host_is_optional` also `80`. A host that is left out is unset.
absl::StatusOr<HostPort> ParseEndpoint(std::string_view text, bool host_is_optional);

// `5s`, `250ms`, `2m`, `1h`; a number alone is seconds. More than 0, at most 1 h.
absl::StatusOr<Duration> ParseDuration(std::string_view text);

// What --help prints.
std::string_view HelpText();

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_ARGUMENTS_H_
