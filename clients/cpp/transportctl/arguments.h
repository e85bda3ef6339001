// transportctl's command line.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_ARGUMENTS_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_ARGUMENTS_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "clients/cpp/transportctl/command_set.h"
#include "clients/cpp/transportctl/endpoint.h"
#include "transports/api/event_loop.h"
#include "transports/base/shell_completion.h"

namespace transportd::ctl {

// TLS as the command line has it; see ReadTlsFiles. Threading: a value.
struct TlsArguments {
  std::string cacert_file = {};  // Empty: whom the service's machine trusts.
  std::string cert_file = {};
  std::string key_file = {};  // Empty: the key is in `cert_file`.
  std::string identity = {};  // Instead of both.
  std::optional<std::string> servername = {};
  std::vector<std::string> alpn_protocols = {};
  bool insecure = false;
};

// `exec`. Threading: a value.
struct ExecArguments {
  std::vector<std::string> words = {};  // The program and its arguments; with `shell` one, the command.
  bool interactive = false;
  bool tty = false;
  bool shell = false;
  std::vector<std::pair<std::string, std::string>> env = {};
  std::optional<std::string> cwd = {};
  std::optional<AccountId> user = {};
  std::optional<AccountId> group = {};   // Set when `user` is.
  std::optional<Duration> timeout = {};  // Unset: for as long as it takes.
  Duration kill_after = std::chrono::seconds(5);
  std::optional<Duration> drain_timeout = {};
};

// `udp`. Threading: a value.
struct UdpArguments {
  bool whole = false;
  bool no_reply = false;
  std::optional<uint64_t> count = {};  // Of answers; unset: any.
  Duration reply_timeout = std::chrono::seconds(2);
};

// `top`. Threading: a value.
struct TopArguments {
  Duration interval = std::chrono::seconds(1);
  bool once = false;
};

// `policy`. Threading: a value.
struct PolicyArguments {
  enum class What { kCheck, kExplain, kTest };
  What what = What::kCheck;
  std::string file = {};                    // check, test: of what; explain: --policy.
  std::string principal = {};               // explain: --as.
  std::vector<std::string> words = {};      // explain: what is asked: `connect`, `db.example:5432`.
  bool udp = false;                         // explain connect, listen.
  bool resolve = false;                     // explain connect.
  std::vector<std::string> addresses = {};  // explain connect: --at.
  std::vector<uint16_t> own_ports = {};     // explain.
};

// Threading: a value.
struct Arguments {
  Command command = Command::kHelp;
  Command help_topic = Command::kHelp;  // help: of which command; kHelp: of all.
  std::string target = {};              // Empty: the environment, then the default.
  std::string token = {};
  std::string token_file = {};
  // TLS with the service: ConnectOptions has what they mean.
  std::string target_ca_file = {};
  std::string target_certificate_file = {};
  std::string target_key_file = {};
  std::string target_name = {};
  // Until the service has answered, and the connection is there.
  Duration timeout = std::chrono::seconds(10);
  bool json = false;
  bool verbose = false;
  Endpoint endpoint = {};  // connect, listen, udp.
  AddressFamily family = AddressFamily::kUnspecified;
  std::optional<Endpoint> source = {};                // connect, udp.
  std::optional<Duration> happy_eyeballs_delay = {};  // connect.
  bool half_close = true;                             // connect, listen.
  bool close_at_eof = false;                          // connect, listen.
  bool echo = false;                                  // listen.
  bool keep = false;                                  // listen.
  std::optional<TlsArguments> tls = {};               // connect, listen.
  std::string session_prefix = {};                    // transports, end.
  std::optional<uint32_t> transport_id = {};          // end; unset: the whole session.
  std::string principal = {};                         // token; empty: not said.
  Shell shell = Shell::kBash;                         // completion.
  ExecArguments exec = {};
  UdpArguments udp = {};
  TopArguments top = {};
  PolicyArguments policy = {};  // With exec.env and exec.cwd.
};

// `arguments` without the program's name. INVALID_ARGUMENT, with one sentence that says what is allowed.
absl::StatusOr<Arguments> ParseArguments(std::span<const std::string_view> arguments);

// `5s`, `250ms`, `2m`, `1h`; a number alone is seconds. More than 0, at most 1 h.
absl::StatusOr<Duration> ParseDuration(std::string_view text);

// An option as it is read. Threading: a value.
struct OptionName {
  std::string_view name;
  Commands commands;  // For which it has a meaning.
  bool has_value;
};
std::vector<OptionName> OptionNames();

// What HelpText says of it. Threading: a value.
struct OptionHelp {
  std::string_view placeholder;  // `FILE`; empty: it has no value, or nothing is said.
  std::string_view text;         // The first line; may be empty.
};
OptionHelp HelpOfOption(std::string_view name);

// `policy check|test FILE`, and what it does. Threading: a value.
struct CommandHelp {
  Command command;
  std::string_view usage;
  std::string_view text;  // Lines, the last without its end.
};
std::span<const CommandHelp> HelpOfCommands();

// What --help prints: kHelp: of all commands, else of this one alone.
std::string HelpText(Command topic);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_ARGUMENTS_H_
