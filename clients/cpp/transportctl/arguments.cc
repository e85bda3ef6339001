#include "clients/cpp/transportctl/arguments.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

absl::Status Usage(std::string_view text) { return absl::InvalidArgumentError(ToAbsl(text)); }

bool IsStreamCommand(Command command) { return command == Command::kConnect || command == Command::kListen; }

absl::StatusOr<Command> ParseCommand(std::string_view word) {
  constexpr std::pair<std::string_view, Command> kCommands[] = {
      {"help", Command::kHelp},         {"connect", Command::kConnect},       {"listen", Command::kListen},
      {"sessions", Command::kSessions}, {"transports", Command::kTransports}, {"health", Command::kHealth},
      {"version", Command::kVersion},
  };
  for (const auto& [name, command] : kCommands) {
    if (word == name) return command;
  }
  return Usage(StrCat("unknown command `", word,
                      "`; it must be connect, listen, sessions, transports, health, version or help"));
}

// The options in `arguments`, one at a time. Threading: a value.
class OptionReader final {
 public:
  explicit OptionReader(std::span<const std::string_view> arguments) : rest_(arguments) {}

  // The next argument; false at the end.
  bool Next() {
    value_.reset();
    if (rest_.empty()) return false;
    name_ = rest_.front();
    rest_ = rest_.subspan(1);
    is_option_ = !only_words_ && name_.size() > 1 && name_.front() == '-';
    if (is_option_ && name_ == "--") {
      only_words_ = true;
      return Next();
    }
    const size_t equals = is_option_ ? name_.find('=') : std::string_view::npos;
    if (equals != std::string_view::npos) {
      value_ = name_.substr(equals + 1);
      name_ = name_.substr(0, equals);
    }
    return true;
  }

  bool is_option() const { return is_option_; }
  std::string_view name() const { return name_; }

  absl::StatusOr<std::string_view> Value() {
    if (!value_.has_value()) {
      if (rest_.empty()) return Usage(StrCat(name_, " needs a value"));
      value_ = rest_.front();
      rest_ = rest_.subspan(1);
    }
    return *value_;
  }

  absl::Status NoValue() const {
    return value_.has_value() ? Usage(StrCat(name_, " takes no value")) : absl::OkStatus();
  }

 private:
  std::span<const std::string_view> rest_;
  std::string_view name_;
  std::optional<std::string_view> value_;
  bool is_option_ = false;
  bool only_words_ = false;
};

absl::Status ReadOption(OptionReader& reader, Arguments& out, std::vector<std::string_view>& stream_options,
                        std::vector<std::string_view>& connect_options, std::vector<std::string_view>& listen_options) {
  const std::string_view name = reader.name();
  const std::pair<std::string_view, bool*> flags[] = {
      {"--json", &out.json}, {"--verbose", &out.verbose}, {"-v", &out.verbose},
      {"--echo", &out.echo}, {"--keep", &out.keep},       {"-k", &out.keep},
  };
  for (const auto& [flag, value] : flags) {
    if (name != flag) continue;
    *value = true;
    if (value == &out.echo || value == &out.keep) listen_options.push_back(name);
    return reader.NoValue();
  }
  if (name == "--help" || name == "-h") {
    out.command = Command::kHelp;
    return reader.NoValue();
  }
  if (name == "--no-half-close") {
    out.half_close = false;
    stream_options.push_back(name);
    return reader.NoValue();
  }
  if (name == "-4" || name == "-6") {
    out.family = name == "-4" ? AddressFamily::kInet : AddressFamily::kInet6;
    stream_options.push_back(name);
    return reader.NoValue();
  }
  constexpr std::string_view kValued[] = {"--target", "--token",          "--timeout", "--family",
                                          "--source", "--happy-eyeballs", "--session"};
  if (std::find(std::begin(kValued), std::end(kValued), name) == std::end(kValued)) {
    return Usage(StrCat("unknown option ", name));
  }
  const absl::StatusOr<std::string_view> value = reader.Value();
  if (!value.ok()) return value.status();
  if (name == "--target" || name == "--token" || name == "--session") {
    if (value->empty()) return Usage(StrCat(name, " must not be empty"));
    (name == "--target" ? out.target : name == "--token" ? out.token : out.session_prefix) = std::string(*value);
    return absl::OkStatus();
  }
  if (name == "--family") {
    stream_options.push_back(name);
    if (*value != "4" && *value != "6") return Usage("--family must be 4 or 6");
    out.family = *value == "4" ? AddressFamily::kInet : AddressFamily::kInet6;
    return absl::OkStatus();
  }
  if (name == "--source") {
    connect_options.push_back(name);
    // A host alone is enough: the kernel picks the port.
    absl::StatusOr<HostPort> source = ParseEndpoint(*value, true);
    if (!source.ok()) return source.status();
    out.source = *std::move(source);
    return absl::OkStatus();
  }
  const absl::StatusOr<Duration> duration = ParseDuration(*value);
  if (!duration.ok()) return Usage(StrCat(name, ": ", std::string(duration.status().message())));
  if (name == "--timeout") {
    out.timeout = *duration;
  } else {
    connect_options.push_back(name);
    out.happy_eyeballs_delay = *duration;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Duration> ParseDuration(std::string_view text) {
  const auto bad = [&] {
    return Usage(StrCat("`", text, "` is no duration; write 5s, 250ms, 2m or 1h: more than 0, at most 1h"));
  };
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return bad();
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  double seconds = 0;
  if (unit.empty() || unit == "s") {
    seconds = number;
  } else if (unit == "ms") {
    seconds = number / 1000;
  } else if (unit == "m") {
    seconds = number * 60;
  } else if (unit == "h") {
    seconds = number * 3600;
  } else {
    return bad();
  }
  // Written so that a NaN is refused, too.
  if (!(seconds > 0 && seconds <= 3600)) return bad();
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

absl::StatusOr<HostPort> ParseEndpoint(std::string_view text, bool host_is_optional) {
  const auto bad = [&](std::string_view why) {
    return Usage(StrCat("`", text, "`: ", why, "; write ", host_is_optional ? "[HOST:]PORT" : "HOST:PORT",
                        ", with an IPv6 address in brackets: [::1]:80"));
  };
  HostPort out;
  std::string_view port = text;
  if (!text.empty() && text.front() == '[') {
    const size_t bracket = text.find(']');
    if (bracket == std::string_view::npos || bracket + 1 >= text.size() || text[bracket + 1] != ':') {
      return bad("after [ comes an address, then ]:PORT");
    }
    out.host = std::string(text.substr(1, bracket - 1));
    port = text.substr(bracket + 2);
  } else if (const size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    if (text.find(':') != colon) return bad("more than one colon");
    if (colon > 0) out.host = std::string(text.substr(0, colon));
    port = text.substr(colon + 1);
  } else if (!host_is_optional) {
    return bad("the port is missing");
  }
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number > 65535) {
    return bad("the port must be a number from 0 to 65535");
  }
  out.port = number;
  return out;
}

absl::StatusOr<Arguments> ParseArguments(std::span<const std::string_view> arguments) {
  Arguments out;
  std::vector<std::string_view> words;
  std::vector<std::string_view> stream_options;
  std::vector<std::string_view> connect_options;
  std::vector<std::string_view> listen_options;
  OptionReader reader(arguments);
  while (reader.Next()) {
    if (!reader.is_option()) {
      words.push_back(reader.name());
      continue;
    }
    if (reader.name() == "--help" || reader.name() == "-h") return Arguments{};
    if (reader.name() == "--version") {
      if (absl::Status status = reader.NoValue(); !status.ok()) return status;
      out = Arguments{};
      out.command = Command::kProgramVersion;
      return out;
    }
    absl::Status status = ReadOption(reader, out, stream_options, connect_options, listen_options);
    if (!status.ok()) return status;
  }
  if (words.empty()) return Usage("a command is missing");
  const absl::StatusOr<Command> command = ParseCommand(words.front());
  if (!command.ok()) return command.status();
  out.command = *command;

  const auto misplaced = [&](const std::vector<std::string_view>& options) {
    return Usage(StrCat(options.front(), " has no meaning for ", words.front()));
  };
  if (!stream_options.empty() && !IsStreamCommand(out.command)) return misplaced(stream_options);
  if (!connect_options.empty() && out.command != Command::kConnect) return misplaced(connect_options);
  if (!listen_options.empty() && out.command != Command::kListen) return misplaced(listen_options);
  if (!out.session_prefix.empty() && out.command != Command::kTransports) {
    return Usage(StrCat("--session has no meaning for ", words.front()));
  }
  const size_t word_count = IsStreamCommand(out.command) ? 2 : 1;
  if (words.size() < word_count) {
    return Usage(out.command == Command::kConnect ? "connect needs HOST:PORT" : "listen needs [HOST:]PORT");
  }
  if (words.size() > word_count) return Usage(StrCat("`", words[word_count], "` is one word too many"));
  if (IsStreamCommand(out.command)) {
    absl::StatusOr<HostPort> endpoint = ParseEndpoint(words[1], out.command == Command::kListen);
    if (!endpoint.ok()) return endpoint.status();
    out.endpoint = *std::move(endpoint);
  }
  return out;
}

std::string_view HelpText() {
  return R"(usage: transportctl [OPTION]... COMMAND

Uses a running transportd: its sockets, from here.

Commands:
  connect HOST:PORT    standard input to the socket, the socket to standard output, byte for byte; the end of the
                       input is the end of what is sent (half-close); ends when both directions have ended
  listen [HOST:]PORT   the same for the first connection that comes; port 0: any free one. The bound address is
                       printed on standard error
  sessions             who is connected to the service
  transports           what they have open
  health               whether the service serves: exit status 0 or 1
  version              this program's and the service's version
  help                 this text

Options:
  --target TARGET      the service, a gRPC target: 127.0.0.1:50051, unix:/run/transportd.sock
                       (default: $TRANSPORTD_TARGET, else 127.0.0.1:50051)
  --token TOKEN        who you are (default: $TRANSPORTD_TOKEN, which no other user can see)
  --timeout DURATION   the longest time until the connection or the answer is there: 5s, 250ms, 2m (default: 10s)
  --json               connect, listen: one JSON object a callback, one a line, instead of the bytes;
                       sessions, transports, health, version: one JSON object each
  -v, --verbose        tell on standard error what happens
  --version            this program's version; the service is not asked
  -h, --help           this text

Options of connect and listen:
  -4, -6, --family 4|6    only addresses of this family
  --no-half-close         do not tell the other side that the input has ended
Options of connect:
  --source HOST:PORT        the local end, in the service; port 0: any
  --happy-eyeballs DELAY    try the next address after this time (RFC 8305)
Options of listen:
  --echo                  send back what comes, instead of using standard input and output
  -k, --keep              go on after the first connection
Options of transports:
  --session PREFIX        only those of the session whose id begins so (8 characters at least)

Everything that is not data goes to standard error.

Exit status:
  0    it worked; the connection ended in order, and everything was sent
  1    it failed: refused, reset, unknown host, input not readable, output lost; health: not serving
  2    the command line is wrong
  3    no service at the target, or the session with it was lost
  4    the service refused: who you are, or what you ask
  124  timed out
)";
}

}  // namespace transportd::ctl
