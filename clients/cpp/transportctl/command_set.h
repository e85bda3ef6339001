// Which commands there are, and sets of them.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_COMMAND_SET_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_COMMAND_SET_H_

#include <string_view>
#include <utility>

namespace transportd::ctl {

enum class Command {
  kHelp,
  kConnect,
  kListen,
  kUdp,
  kExec,
  kSessions,
  kTransports,
  kTop,
  kStatus,
  kEnd,
  kHealth,
  kVersion,
  kToken,
  kPolicy,
  kCompletion,
  kProgramVersion  // --version: has no name.
};

inline constexpr std::pair<std::string_view, Command> kCommandNames[] = {
    {"connect", Command::kConnect}, {"listen", Command::kListen},         {"udp", Command::kUdp},
    {"exec", Command::kExec},       {"sessions", Command::kSessions},     {"transports", Command::kTransports},
    {"top", Command::kTop},         {"status", Command::kStatus},         {"end", Command::kEnd},
    {"health", Command::kHealth},   {"version", Command::kVersion},       {"token", Command::kToken},
    {"policy", Command::kPolicy},   {"completion", Command::kCompletion}, {"help", Command::kHelp},
};

// One bit each.
using Commands = unsigned;
constexpr Commands Of(Command command) { return 1u << static_cast<unsigned>(command); }
constexpr bool Contains(Commands commands, Command command) { return (commands & Of(command)) != 0; }

inline constexpr Commands kAll = ~0u;
// Those that need no service.
inline constexpr Commands kLocal = Of(Command::kPolicy) | Of(Command::kToken) | Of(Command::kCompletion);
inline constexpr Commands kOfService = kAll & ~kLocal;
inline constexpr Commands kStreams = Of(Command::kConnect) | Of(Command::kListen);
inline constexpr Commands kAddressed = kStreams | Of(Command::kUdp);
inline constexpr Commands kExecOnly = Of(Command::kExec);
// Those that print JSON when they are asked to.
inline constexpr Commands kJson = kOfService & ~kExecOnly & ~Of(Command::kTop);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_COMMAND_SET_H_
