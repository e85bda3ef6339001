#include "clients/cpp/transportctl/arguments.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "clients/cpp/transportctl/new_token.h"
#include "clients/cpp/transportctl/option_reader.h"
#include "transports/base/str_cat.h"
#include "transports/base/utf8.h"

namespace transportd::ctl {
namespace {

absl::Status Usage(std::string_view text) { return absl::InvalidArgumentError(ToAbsl(text)); }

// What is read, and what it takes more than one option to know.
struct Parsed {
  Arguments arguments;
  bool tls = false;
  TlsArguments tls_arguments;
  std::optional<Duration> timeout;
  // As they were written, in their order; the first that has no meaning for the command is told.
  std::vector<std::string_view> options;
};

// --- Commands

absl::StatusOr<Command> ParseCommand(std::string_view word) {
  for (const auto& [name, command] : kCommandNames) {
    if (word == name) return command;
  }
  return Usage(StrCat("unknown command `", word,
                      "`; it must be connect, listen, udp, exec, sessions, transports, top, status, end, health, "
                      "version, token, policy, completion or help"));
}

// --- Options

absl::Status ReadDuration(std::string_view name, std::string_view text, Duration& out) {
  const absl::StatusOr<Duration> duration = ParseDuration(text);
  if (!duration.ok()) return Usage(StrCat(name, ": ", std::string(duration.status().message())));
  out = *duration;
  return absl::OkStatus();
}

absl::Status ReadText(std::string_view name, std::string_view text, std::string& out) {
  if (text.empty()) return Usage(StrCat(name, " must not be empty"));
  out = std::string(text);
  return absl::OkStatus();
}

absl::Status ReadFamily(std::string_view /*name*/, std::string_view text, Parsed& out) {
  if (text != "4" && text != "6") return Usage("--family must be 4 or 6");
  out.arguments.family = text == "4" ? AddressFamily::kInet : AddressFamily::kInet6;
  return absl::OkStatus();
}

absl::Status ReadSource(std::string_view /*name*/, std::string_view text, Parsed& out) {
  // A host alone is enough: the kernel picks the port.
  absl::StatusOr<Endpoint> source = ParseEndpoint(text, true);
  if (!source.ok()) return source.status();
  out.arguments.source = *std::move(source);
  return absl::OkStatus();
}

absl::Status ReadAlpn(std::string_view name, std::string_view text, Parsed& out) {
  std::vector<std::string>& protocols = out.tls_arguments.alpn_protocols;
  protocols.clear();
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    protocols.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  const bool is_bad = std::any_of(protocols.begin(), protocols.end(), [](const std::string& protocol) {
    return protocol.empty() || protocol.size() > 255;
  });
  return is_bad ? Usage(StrCat(name, " must be names of 1 to 255 bytes with commas in between: h2,http/1.1"))
                : absl::OkStatus();
}

absl::Status ReadVariable(std::string_view name, std::string_view text, Parsed& out) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) return Usage(StrCat(name, " must be NAME=VALUE"));
  // The last one of a name counts.
  auto& env = out.arguments.exec.env;
  const std::string variable(text.substr(0, equals));
  std::erase_if(env, [&](const auto& pair) { return pair.first == variable; });
  env.emplace_back(variable, text.substr(equals + 1));
  return absl::OkStatus();
}

absl::Status ReadCount(std::string_view name, std::string_view text, Parsed& out) {
  uint64_t& count = out.arguments.udp.count.emplace();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  return is_number && count > 0 ? absl::OkStatus() : Usage(StrCat(name, " must be a number, 1 or more"));
}

absl::Status ReadInterval(std::string_view name, std::string_view text, Parsed& out) {
  Duration& interval = out.arguments.top.interval;
  if (absl::Status status = ReadDuration(name, text, interval); !status.ok()) return status;
  const bool is_good = interval >= std::chrono::milliseconds(200) && interval <= std::chrono::minutes(1);
  return is_good ? absl::OkStatus() : Usage(StrCat(name, " must be 200ms to 1m"));
}

absl::Status ReadOutput(std::string_view name, std::string_view text, Parsed& out) {
  if (text != "text" && text != "json") return Usage(StrCat(name, " must be text or json"));
  out.arguments.json = text == "json";
  return absl::OkStatus();
}

absl::Status ReadOwnPort(std::string_view name, std::string_view text, Parsed& out) {
  uint16_t& port = out.arguments.policy.own_ports.emplace_back();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool is_port = error == std::errc() && end == text.data() + text.size() && port > 0;
  return is_port ? absl::OkStatus() : Usage(StrCat(name, " must be a port, 1 to 65535"));
}

AccountId ParseAccount(std::string_view text) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  return is_number ? AccountId(number) : AccountId(std::string(text));
}

absl::Status ReadUser(std::string_view name, std::string_view text, Parsed& out) {
  const size_t colon = std::min(text.find(':'), text.size());
  const std::string_view user = text.substr(0, colon);
  const std::string_view group = colon < text.size() ? text.substr(colon + 1) : "";
  if (user.empty() || group.empty()) {
    return Usage(
        StrCat(name,
               " must be USER:GROUP, each a name or a number: nobody:nogroup; without a group the program would "
               "keep the service's"));
  }
  out.arguments.exec.user = ParseAccount(user);
  out.arguments.exec.group = ParseAccount(group);
  return absl::OkStatus();
}

absl::Status ReadPrincipal(std::string_view name, std::string_view text, Parsed& out) {
  if (!IsPrincipalName(text)) return Usage(StrCat(name, " must be 1 to 256 printable ASCII characters, no space"));
  out.arguments.principal = std::string(text);
  return absl::OkStatus();
}

struct Option {
  std::string_view name;
  Commands commands;  // For which it has a meaning.
  bool has_value;
  absl::Status (*read)(std::string_view name, std::string_view value, Parsed& out);
};

using Name = std::string_view;

// An option without a value.
template <auto kSet>
absl::Status Flag(Name /*name*/, Name /*value*/, Parsed& out) {
  kSet(out);
  return absl::OkStatus();
}

constexpr auto kInteractive = [](Parsed& out) { out.arguments.exec.interactive = true; };
constexpr auto kTty = [](Parsed& out) { out.arguments.exec.tty = true; };
constexpr auto kBoth = [](Parsed& out) { out.arguments.exec.interactive = out.arguments.exec.tty = true; };

constexpr Option kOptions[] = {
    {"--target", kOfService, true,
     [](Name name, Name value, Parsed& out) { return ReadText(name, value, out.arguments.target); }},
    {"--token", kOfService, true,
     [](Name name, Name value, Parsed& out) { return ReadText(name, value, out.arguments.token); }},
    {"--token-file", kOfService, true,
     [](Name name, Name value, Parsed& out) { return ReadText(name, value, out.arguments.token_file); }},
    {"--target-ca", kOfService, true,
     [](Name name, Name value, Parsed& out) { return ReadText(name, value, out.arguments.target_ca_file); }},
    {"--target-certificate", kOfService, true,
     [](Name name, Name value, Parsed& out) { return ReadText(name, value, out.arguments.target_certificate_file); }},
    {"--target-key", kOfService, true,
     [](Name name, Name value, Parsed& out) { return ReadText(name, value, out.arguments.target_key_file); }},
    {"--target-name", kOfService, true,
     [](Name name, Name value, Parsed& out) { return ReadText(name, value, out.arguments.target_name); }},
    {"--timeout", kOfService, true,
     [](Name name, Name value, Parsed& out) { return ReadDuration(name, value, out.timeout.emplace()); }},
    {"--json", kJson, false, Flag<[](Parsed& out) { out.arguments.json = true; }>},
    {"--verbose", kOfService, false, Flag<[](Parsed& out) { out.arguments.verbose = true; }>},
    {"-v", kOfService, false, Flag<[](Parsed& out) { out.arguments.verbose = true; }>},

    {"--family", kAddressed | Of(Command::kPolicy), true, ReadFamily},
    {"-4", kAddressed | Of(Command::kPolicy), false,
     Flag<[](Parsed& out) { out.arguments.family = AddressFamily::kInet; }>},
    {"-6", kAddressed | Of(Command::kPolicy), false,
     Flag<[](Parsed& out) { out.arguments.family = AddressFamily::kInet6; }>},
    {"--source", Of(Command::kConnect) | Of(Command::kUdp), true, ReadSource},
    {"--happy-eyeballs", Of(Command::kConnect), true,
     [](Name name, Name value, Parsed& out) {
       return ReadDuration(name, value, out.arguments.happy_eyeballs_delay.emplace());
     }},
    {"--no-half-close", kStreams, false, Flag<[](Parsed& out) { out.arguments.half_close = false; }>},
    {"--close-at-eof", kStreams, false, Flag<[](Parsed& out) { out.arguments.close_at_eof = true; }>},
    {"--echo", Of(Command::kListen), false, Flag<[](Parsed& out) { out.arguments.echo = true; }>},
    {"--keep", Of(Command::kListen), false, Flag<[](Parsed& out) { out.arguments.keep = true; }>},
    {"-k", Of(Command::kListen), false, Flag<[](Parsed& out) { out.arguments.keep = true; }>},

    {"--tls", kStreams, false, Flag<[](Parsed& out) { out.tls = true; }>},
    {"--cacert", kStreams, true,
     [](Name name, Name value, Parsed& out) { return ReadText(name, value, out.tls_arguments.cacert_file); }},
    {"--cert", kStreams, true,
     [](Name name, Name value, Parsed& out) { return ReadText(name, value, out.tls_arguments.cert_file); }},
    {"--key", kStreams, true,
     [](Name name, Name value, Parsed& out) { return ReadText(name, value, out.tls_arguments.key_file); }},
    {"--identity", kStreams, true,
     [](Name name, Name value, Parsed& out) {
       return IsUtf8(value) ? ReadText(name, value, out.tls_arguments.identity) : Usage(StrCat(name, " must be UTF-8"));
     }},
    {"--servername", Of(Command::kConnect), true,
     [](Name name, Name value, Parsed& out) { return ReadText(name, value, out.tls_arguments.servername.emplace()); }},
    {"--alpn", kStreams, true, ReadAlpn},
    {"--insecure", Of(Command::kConnect), false, Flag<[](Parsed& out) { out.tls_arguments.insecure = true; }>},

    {"--whole", Of(Command::kUdp), false, Flag<[](Parsed& out) { out.arguments.udp.whole = true; }>},
    {"--count", Of(Command::kUdp), true, ReadCount},
    {"-c", Of(Command::kUdp), true, ReadCount},
    {"--no-reply", Of(Command::kUdp), false, Flag<[](Parsed& out) { out.arguments.udp.no_reply = true; }>},

    {"--interactive", kExecOnly, false, Flag<kInteractive>},
    {"-i", kExecOnly, false, Flag<kInteractive>},
    {"--tty", kExecOnly, false, Flag<kTty>},
    {"-t", kExecOnly, false, Flag<kTty>},
    {"-it", kExecOnly, false, Flag<kBoth>},
    {"-ti", kExecOnly, false, Flag<kBoth>},
    {"--shell", kExecOnly, false, Flag<[](Parsed& out) { out.arguments.exec.shell = true; }>},
    {"--env", kExecOnly | Of(Command::kPolicy), true, ReadVariable},
    {"-e", kExecOnly | Of(Command::kPolicy), true, ReadVariable},
    {"--cwd", kExecOnly | Of(Command::kPolicy), true,
     [](Name name, Name value, Parsed& out) { return ReadText(name, value, out.arguments.exec.cwd.emplace()); }},
    {"--user", kExecOnly, true, ReadUser},
    {"-u", kExecOnly, true, ReadUser},
    {"--kill-after", kExecOnly, true,
     [](Name name, Name value, Parsed& out) { return ReadDuration(name, value, out.arguments.exec.kill_after); }},
    {"--drain-timeout", kExecOnly, true,
     [](Name name, Name value, Parsed& out) {
       return ReadDuration(name, value, out.arguments.exec.drain_timeout.emplace());
     }},

    {"--policy", Of(Command::kPolicy), true,
     [](Name name, Name value, Parsed& out) { return ReadText(name, value, out.arguments.policy.file); }},
    {"--as", Of(Command::kPolicy), true,
     [](Name name, Name value, Parsed& out) { return ReadText(name, value, out.arguments.policy.principal); }},
    {"--udp", Of(Command::kPolicy), false, Flag<[](Parsed& out) { out.arguments.policy.udp = true; }>},
    {"--resolve", Of(Command::kPolicy), false, Flag<[](Parsed& out) { out.arguments.policy.resolve = true; }>},
    {"--at", Of(Command::kPolicy), true,
     [](Name name, Name value, Parsed& out) {
       return ReadText(name, value, out.arguments.policy.addresses.emplace_back());
     }},
    {"--own-port", Of(Command::kPolicy), true, ReadOwnPort},

    {"--session", Of(Command::kTransports), true,
     [](Name name, Name value, Parsed& out) {
       return IsUtf8(value) ? ReadText(name, value, out.arguments.session_prefix)
                            : Usage(StrCat(name, " must be UTF-8"));
     }},

    {"--interval", Of(Command::kTop), true, ReadInterval},
    {"--once", Of(Command::kTop), false, Flag<[](Parsed& out) { out.arguments.top.once = true; }>},

    {"--output", Of(Command::kStatus), true, ReadOutput},
    {"-o", Of(Command::kStatus), true, ReadOutput},

    {"--principal", Of(Command::kToken), true, ReadPrincipal},
};

const Option* FindOption(std::string_view name) {
  const auto* const found =
      std::find_if(std::begin(kOptions), std::end(kOptions), [&](const Option& option) { return option.name == name; });
  return found != std::end(kOptions) ? found : nullptr;
}

absl::Status ReadOption(OptionReader& reader, Parsed& out) {
  const Option* const option = FindOption(reader.name());
  if (option == nullptr) return Usage(StrCat("unknown option ", reader.name()));
  out.options.push_back(reader.name());
  if (!option->has_value) {
    if (absl::Status status = reader.NoValue(); !status.ok()) return status;
    return option->read(reader.name(), "", out);
  }
  const absl::StatusOr<std::string_view> value = reader.Value();
  return value.ok() ? option->read(reader.name(), *value, out) : value.status();
}

// --- What belongs together

absl::Status CheckTls(Parsed& parsed) {
  TlsArguments& tls = parsed.tls_arguments;
  if (!parsed.tls) {
    for (const std::string_view name : parsed.options) {
      for (const std::string_view needs_tls :
           {"--cacert", "--cert", "--key", "--identity", "--servername", "--alpn", "--insecure"}) {
        if (name == needs_tls) return Usage(StrCat(name, " needs --tls"));
      }
    }
    return absl::OkStatus();
  }
  const bool is_server = parsed.arguments.command == Command::kListen;
  if (tls.cert_file.empty() && !tls.key_file.empty()) return Usage("--key needs --cert FILE, too");
  if (!tls.identity.empty() && !tls.cert_file.empty()) {
    return Usage("--identity is a certificate of the service's, --cert one of yours: give one of them");
  }
  if (is_server && tls.cert_file.empty() && tls.identity.empty()) {
    return Usage("listen --tls needs --cert FILE and --key FILE, or --identity NAME");
  }
  if (tls.insecure && !tls.cacert_file.empty()) {
    return Usage("--insecure trusts everybody, --cacert only whom the file names: give one of them");
  }
  if (!is_server && parsed.arguments.endpoint.is_unix() && !tls.insecure && !tls.servername) {
    return Usage("--tls over a Unix socket needs --servername NAME, whom the certificate must name, or --insecure");
  }
  parsed.arguments.tls = std::move(tls);
  return absl::OkStatus();
}

absl::Status CheckEndpoint(const Parsed& parsed) {
  const Arguments& arguments = parsed.arguments;
  const bool source_is_unix = arguments.source && arguments.source->is_unix();
  if (source_is_unix && arguments.command == Command::kConnect) return Usage("--source of connect must be HOST:PORT");
  if (arguments.source && arguments.command == Command::kUdp && source_is_unix != arguments.endpoint.is_unix()) {
    return Usage("--source and the address must be of one kind: both unix:PATH or both HOST:PORT");
  }
  if (!arguments.endpoint.is_unix()) return absl::OkStatus();
  for (const std::string_view name : parsed.options) {
    const bool is_source = name == "--source" && arguments.command == Command::kConnect;
    if (is_source || name == "--family" || name == "-4" || name == "-6" || name == "--happy-eyeballs") {
      return Usage(StrCat(name, " has no meaning for a Unix socket"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckUdp(const UdpArguments& udp) {
  return udp.count && udp.no_reply ? Usage("--count waits for answers, --no-reply for none: give one of them")
                                   : absl::OkStatus();
}

// What `policy explain` may be asked, and how many words follow.
struct Question {
  std::string_view name;
  size_t word_count;
  std::string_view usage;
};
constexpr Question kQuestions[] = {
    {"connect", 1, "connect HOST:PORT"},
    {"listen", 1, "listen ADDRESS:PORT"},
    {"run", 1, "run PROGRAM [ARGUMENT]..."},
    {"path", 2, "path connect|listen|read|write PATH"},
    {"option", 1, "option NAME"},
    {"tls", 1, "tls unverified|own_trust|identity:NAME"},
    {"resolve", 1, "resolve NAME"},
    {"admin", 1, "admin METHOD"},
    {"session", 0, "session"},
};

absl::Status ReadPolicyQuestion(std::span<const std::string_view> words, PolicyArguments& out) {
  if (out.file.empty()) return Usage("policy explain needs --policy FILE");
  if (out.principal.empty()) return Usage("policy explain needs --as PRINCIPAL");
  const auto* const question = std::find_if(std::begin(kQuestions), std::end(kQuestions), [&](const Question& one) {
    return !words.empty() && one.name == words.front();
  });
  if (question == std::end(kQuestions)) {
    std::string all;
    for (const Question& one : kQuestions) all += StrCat(all.empty() ? "" : ", ", one.name);
    return Usage(StrCat("policy explain needs what is asked: one of ", all));
  }
  const bool is_more = words.size() > question->word_count + 1 && question->name != "run";
  if (words.size() < question->word_count + 1 || is_more) {
    return Usage(StrCat("policy explain: write ", question->usage));
  }
  if (question->name != "connect" && (out.resolve || !out.addresses.empty())) {
    return Usage("--resolve and --at are for policy explain connect");
  }
  out.words.assign(words.begin(), words.end());
  return absl::OkStatus();
}

absl::Status ReadPolicyWords(std::span<const std::string_view> words, Parsed& parsed) {
  PolicyArguments& out = parsed.arguments.policy;
  if (words.size() > 1 && words[1] == "explain") {
    out.what = PolicyArguments::What::kExplain;
    return ReadPolicyQuestion(words.subspan(2), out);
  }
  if (words.size() != 3 || (words[1] != "check" && words[1] != "test")) {
    return Usage("policy needs check FILE, test FILE, or explain --policy FILE --as PRINCIPAL QUESTION");
  }
  if (!parsed.options.empty()) return Usage(StrCat(parsed.options.front(), " has no meaning for policy ", words[1]));
  out.what = words[1] == "check" ? PolicyArguments::What::kCheck : PolicyArguments::What::kTest;
  return ReadText("FILE", words[2], out.file);
}

absl::Status ReadEndWords(std::span<const std::string_view> words, Arguments& out) {
  if (words.size() < 2)
    return Usage("end needs a session, and may name one of its transports: end SESSION [TRANSPORT]");
  if (words.size() > 3) return Usage(StrCat("`", words[3], "` is one word too many"));
  if (words[1].size() < 8 || !IsUtf8(words[1])) {
    return Usage(StrCat("SESSION must be the first 8 characters of its id, as `transportctl sessions` shows it"));
  }
  out.session_prefix = std::string(words[1]);
  if (words.size() == 2) return absl::OkStatus();
  uint32_t& id = out.transport_id.emplace();
  const auto [end, error] = std::from_chars(words[2].data(), words[2].data() + words[2].size(), id);
  const bool is_id = error == std::errc() && end == words[2].data() + words[2].size() && id > 0;
  return is_id ? absl::OkStatus() : Usage("TRANSPORT must be the number of one, as `transportctl transports` shows it");
}

absl::StatusOr<Arguments> HelpFor(std::string_view topic) {
  const absl::StatusOr<Command> command = ParseCommand(topic);
  if (!command.ok()) return command.status();
  Arguments out;
  out.help_topic = *command;
  return out;
}

absl::Status ReadWords(std::span<const std::string_view> words, Parsed& parsed) {
  Arguments& out = parsed.arguments;
  if (out.command == Command::kExec) {
    out.exec.words.assign(words.begin() + 1, words.end());
    if (out.exec.words.empty()) return Usage("exec needs a command: exec -- COMMAND [ARGUMENT]...");
    if (out.exec.shell && out.exec.words.size() > 1) {
      return Usage("exec --shell takes one word, the whole command: exec --shell -- 'echo $HOME | wc -c'");
    }
    return absl::OkStatus();
  }
  if (out.command == Command::kToken) {
    if (words.size() < 2 || words[1] != "new") return Usage("token needs what to do: token new");
    return words.size() == 2 ? absl::OkStatus() : Usage(StrCat("`", words[2], "` is one word too many"));
  }
  if (out.command == Command::kPolicy) return ReadPolicyWords(words, parsed);
  if (out.command == Command::kEnd) return ReadEndWords(words, out);
  if (out.command == Command::kCompletion) {
    const Shell* const shell = words.size() == 2 ? FindShell(words[1]) : nullptr;
    if (shell == nullptr) return Usage("completion needs a shell: completion bash, zsh or fish");
    out.shell = *shell;
    return absl::OkStatus();
  }
  const bool has_address = Contains(kAddressed, out.command);
  const size_t word_count = has_address ? 2 : 1;
  if (words.size() < word_count) {
    return Usage(StrCat(words.front(), " needs ", out.command == Command::kListen ? "[HOST:]PORT" : "HOST:PORT",
                        " or unix:PATH"));
  }
  if (words.size() > word_count) return Usage(StrCat("`", words[word_count], "` is one word too many"));
  if (!has_address) return absl::OkStatus();
  absl::StatusOr<Endpoint> endpoint = ParseEndpoint(words[1], out.command == Command::kListen);
  if (!endpoint.ok()) return endpoint.status();
  out.endpoint = *std::move(endpoint);
  return absl::OkStatus();
}

// --timeout is for what takes long: the program with all that is before it, the next answer, or else the service.
void ApplyTimeout(Duration timeout, Arguments& out) {
  if (out.command == Command::kExec) {
    out.exec.timeout = timeout;
    out.timeout = timeout;
  } else if (out.command == Command::kUdp) {
    out.udp.reply_timeout = timeout;
    out.timeout = std::max(out.timeout, timeout);
  } else {
    out.timeout = timeout;
  }
}

}  // namespace

std::vector<OptionName> OptionNames() {
  std::vector<OptionName> names = {{"--version", 0, false}, {"--help", kAll, false}, {"-h", kAll, false}};
  for (const Option& option : kOptions) names.push_back({option.name, option.commands, option.has_value});
  return names;
}

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

absl::StatusOr<Arguments> ParseArguments(std::span<const std::string_view> arguments) {
  Parsed parsed;
  std::vector<std::string_view> words;
  OptionReader reader(arguments);
  while (reader.Next()) {
    if (!reader.is_option()) {
      words.push_back(reader.name());
      // The command's own options are its own: as env(1) and timeout(1).
      const bool is_exec = words.size() == 2 && words.front() == "exec";
      const bool is_run = words.size() == 4 && words[0] == "policy" && words[1] == "explain" && words[2] == "run";
      if (is_exec || is_run) {
        const std::span<const std::string_view> rest = reader.TakeRest();
        words.insert(words.end(), rest.begin(), rest.end());
      }
      continue;
    }
    if (reader.name() == "--help" || reader.name() == "-h") return HelpFor(words.empty() ? "help" : words.front());
    if (reader.name() == "--version") {
      if (absl::Status status = reader.NoValue(); !status.ok()) return status;
      Arguments out;
      out.command = Command::kProgramVersion;
      return out;
    }
    if (absl::Status status = ReadOption(reader, parsed); !status.ok()) return status;
  }
  if (words.empty()) return Usage("a command is missing");
  const absl::StatusOr<Command> command = ParseCommand(words.front());
  if (!command.ok()) return command.status();
  if (*command == Command::kHelp && words.size() == 2) return HelpFor(words.back());
  parsed.arguments.command = *command;
  for (const std::string_view name : parsed.options) {
    if (!Contains(FindOption(name)->commands, *command)) {
      return Usage(StrCat(name, " has no meaning for ", words.front()));
    }
  }
  if (absl::Status status = ReadWords(words, parsed); !status.ok()) return status;
  if (absl::Status status = CheckEndpoint(parsed); !status.ok()) return status;
  if (absl::Status status = CheckTls(parsed); !status.ok()) return status;
  if (absl::Status status = CheckUdp(parsed.arguments.udp); !status.ok()) return status;
  if (!parsed.arguments.token.empty() && !parsed.arguments.token_file.empty()) {
    return Usage("--token is a token, --token-file a file with one: give one of them");
  }
  if (parsed.timeout) ApplyTimeout(*parsed.timeout, parsed.arguments);
  return std::move(parsed.arguments);
}

}  // namespace transportd::ctl
