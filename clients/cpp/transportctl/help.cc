#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "clients/cpp/transportctl/arguments.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

// In the order of kCommandNames.
constexpr CommandHelp kCommandHelp[] = {
    {Command::kConnect, "connect ADDRESS",
     R"(standard input to the socket, the socket to standard output, byte for byte; the end of the
input is the end of what is sent (half-close); ends when both directions have ended)"},
    {Command::kListen, "listen ADDRESS",
     R"(as connect, with the first connection that comes; port 0: any free one. The bound address is
printed on standard error)"},
    {Command::kUdp, "udp ADDRESS",
     R"(a datagram for each line of standard input; each answer is a line of standard output. Ends when
the input has ended and no answer came for a while)"},
    {Command::kExec, "exec [--] PROGRAM [ARGUMENT]...",
     R"(runs a program where the service is; its standard output and error are transportctl's, its exit
status, too. Options of exec come before PROGRAM)"},
    {Command::kSessions, "sessions", R"(who is connected to the service)"},
    {Command::kTransports, "transports", R"(what the sessions have open)"},
    {Command::kTop, "top", R"(all of that as it changes, on the whole terminal: q quits, ? tells the other keys)"},
    {Command::kStatus, "status", R"(the service as a whole: limits, traffic, policy, certificates)"},
    {Command::kEnd, "end SESSION [TRANSPORT]",
     R"(ends a session with all that it has, or one of its transports. Its client is told that it was
an operator)"},
    {Command::kHealth, "health", R"(whether the service serves: exit status 0 or 1)"},
    {Command::kVersion, "version", R"(this program's and the service's version)"},
    {Command::kToken, "token new",
     R"(a new token on standard output, and its entry for the file of transportd --identities, which has
only its hash, on standard error: transportctl token new --principal ci >token 2>>identities)"},
    {Command::kPolicy, "policy check|test FILE | policy explain [OPTION]... QUESTION",
     R"(says what is wrong with a policy file; compares a policy with a table of expectations
(TAP); or says what a policy decides, and by which rule. No service is asked.
QUESTION is connect HOST:PORT, listen ADDRESS:PORT, run PROGRAM [ARGUMENT]...,
path connect|listen|read|write PATH, option NAME, tls unverified|own_trust|identity:NAME,
resolve NAME, admin METHOD, or session)"},
    {Command::kCompletion, "completion bash|zsh|fish",
     R"(a script with which this shell completes transportctl's command line: source <(transportctl
completion bash))"},
    {Command::kHelp, "help [COMMAND]", R"(this text, or that of one command, as COMMAND --help)"},
};

// Of the options, and of what is said of them. In the overview all of them stand under their headings, in this order.
struct Paragraph {
  std::string_view heading;  // Of this and those that follow, up to the next one that is not empty.
  Commands commands;         // In whose own help it stands; 0: in none.
  std::string_view text;
};

constexpr std::string_view kCommonHeading = "Options";

constexpr Paragraph kOptionHelp[] = {
    {"Options", kOfService,
     R"(  --target TARGET      the service, a gRPC target: 127.0.0.1:50051, unix:/run/transportd.sock
                       (default: $TRANSPORTD_TARGET, else 127.0.0.1:50051)
  --token-file FILE    who you are: a file with a token (default: $TRANSPORTD_TOKEN_FILE)
  --token TOKEN        the token itself, which others on this machine can see here (default: $TRANSPORTD_TOKEN, which
                       they cannot). Tokens go by TLS, to a Unix socket, or to loopback, and nowhere else
  --target-ca FILE     TLS with the service: whom to trust, PEM; system: whom this machine trusts
                       (default: $TRANSPORTD_TARGET_CA, else no TLS)
  --target-certificate FILE, --target-key FILE
                       who you are: a certificate and its key, PEM, without a passphrase; without --target-key it is in
                       the first file, too (default, if neither is given: $TRANSPORTD_TARGET_CERTIFICATE and
                       $TRANSPORTD_TARGET_KEY)
  --target-name NAME   whom the service's certificate must name (default: $TRANSPORTD_TARGET_NAME, else TARGET's host)
)"},
    {"", kOfService & ~kExecOnly & ~Of(Command::kUdp),
     R"(  --timeout DURATION   the longest time until the connection or the answer is there: 5s, 250ms, 2m (default: 10s);
                       udp and exec: see there
)"},
    {"", kJson,
     R"(  --json               connect, listen, udp: one JSON object a callback, one a line, instead of the bytes;
                       sessions, transports, status, end, health, version: one JSON object each
)"},
    {"", kOfService,
     R"(  -v, --verbose        tell on standard error what happens
)"},
    {"", 0,
     R"(  --version            this program's version; the service is not asked
  -h, --help           this text; after a command the text of that one alone

)"},
    {"Options of connect, listen and udp", kAddressed,
     R"(  -4, -6, --family 4|6    only addresses of this family
)"},
    {"Options of connect and listen", kStreams,
     R"(  --no-half-close         do not tell the other side that the input has ended
  --close-at-eof          when the input has ended, close the connection: for TLS, which has no half-close, and waits
                          for the other side otherwise
  --tls                   over TLS. --json and -v tell what came of it: version, cipher, ALPN, the peer's name
  --cacert FILE           whom to trust, PEM; connect: instead of whom the service's machine trusts; listen: ask each
                          client for a certificate, and take only those that these have signed
  --cert FILE, --key FILE
                          our certificate and its key, PEM, without a passphrase; without --key it is in the first file,
                          too. listen needs these or --identity
  --identity NAME         instead: a certificate that the service was started with (transportd --tls-identity)
  --alpn LIST             protocols to agree on, the most wanted first: h2,http/1.1
                          The files are read here and sent to the service.
)"},
    {"Options of connect", Of(Command::kConnect),
     R"(  --servername NAME       whom to ask for, and whom the certificate must name (default: HOST)
  --insecure              take any certificate
  --source HOST:PORT      the local end, in the service; port 0: any
  --happy-eyeballs DELAY  try the next address after this time (RFC 8305)
)"},
    {"Options of listen", Of(Command::kListen),
     R"(  --echo                  send back what comes, instead of using standard input and output
  -k, --keep              go on after the first connection
)"},
    {"Options of udp", Of(Command::kUdp),
     R"(  --timeout DURATION      how long to wait for one more answer (default: 2s)
  --whole                 the whole of standard input is one datagram, and answers come as they are, without a line end
  -c, --count N           end when N answers are there
  --no-reply              wait for no answer: end when all is sent; not with --count
  --source ADDRESS        the local end, in the service (default: any; unix: an abstract name)
)"},
    {"Options of exec", kExecOnly,
     R"(  -i, --interactive       standard input to the program's, its end included; without it the program reads nothing
  -t, --tty               a pseudo-terminal: standard output and error are one; with -i the local terminal passes every
                          key on. To set its type: exec -it -- env TERM=$TERM PROGRAM
  --shell                 PROGRAM is a whole command, for /bin/sh -c
  -e, --env NAME=VALUE    a variable; may be repeated. The environment is then these alone, and not the service's
  --cwd DIR               the folder to begin in
  -u, --user USER:GROUP   run as another user in this group alone, if the service may: nobody:nogroup
  --timeout DURATION      the longest time: then the program gets SIGTERM (default: none)
  --kill-after DURATION   and so long after that it is killed, with its process group (default: 5s)
  --drain-timeout DURATION  how long what the program started may hold its output after its end (default: for ever)
                          SIGINT, SIGTERM, SIGHUP and SIGQUIT are passed on to the program; the second one ends
                          transportctl, and thereby the program and its process group
)"},
    {"Options of transports", Of(Command::kTransports),
     R"(  --session PREFIX        only those of the session whose id begins so (8 characters at least)
)"},
    {"Options of top", Of(Command::kTop),
     R"(  --interval DURATION     how often to look: 200ms to 1m (default: 1s)
  --once                  print all of it, and end: two looks, an interval apart
                          NO_COLOR, when it is set and not empty, is honoured; TERM=dumb leaves --once
)"},
    {"Options of status", Of(Command::kStatus),
     R"(  -o, --output text|json  json: as --json, one GetStatusResponse of admin.proto (default: text)
)"},
    {"Options of policy explain", Of(Command::kPolicy),
     R"(  --policy FILE           the policy
  --as PRINCIPAL          who asks
  --udp                   connect, listen: datagrams, and not streams
  --resolve               connect: resolve HOST here, and explain every address
  -4, -6, --family 4|6    with --resolve: only addresses of this family
  --at ADDRESS            connect: as if HOST led to this address; may be repeated
  --own-port PORT         a port of the service itself, class SELF; may be repeated
  -e, --env NAME=VALUE    run: a variable that it is given; may be repeated. Stands before PROGRAM
  --cwd DIR               run: the folder to begin in (default: /). Stands before PROGRAM
                          run: symbolic links are followed here, as the service does where it is: what is asked, and
                          denied, is the real path
)"},
    {"Options of token", Of(Command::kToken),
     R"(  --principal NAME        who presents it: 1 to 256 printable ASCII characters (default: to be filled in)
)"},
};

constexpr std::string_view kAddressHelp =
    R"(ADDRESS is HOST:PORT, [IPV6]:PORT, for listen also PORT; or unix:PATH, or unix:@NAME for an abstract name. Names and
paths are those of the service's machine.
)";

constexpr std::string_view kStatusHelp = R"(Exit status:
  0    it worked; the connection ended in order, and everything was sent
  1    it failed: refused, reset, unknown host, input not readable, output lost; health: not serving
  2    the command line is wrong
  3    no service at the target, none that can be trusted or understood there, or the session with it was lost
  4    the service refused: who you are, or what you ask
  124  timed out; udp: no answer came
)";

constexpr std::string_view kExecStatusHelp = R"(Exit status of exec: the program's own, or
  2    the command line is wrong
  124  timed out
  125  the service failed: not reachable, refused, lost; or the program's input or output was lost here
  126  the program is there and cannot be executed
  127  the program is not there
  128 + N  signal N ended it: 143 for SIGTERM
)";

constexpr std::string_view kPolicyStatusHelp = R"(Exit status of policy:
  0    check: the file is valid; test: all is as expected; explain: it is allowed, by name at one address at least
  1    test: something is not as expected; explain: it is denied, or the name leads nowhere
  2    the command line is wrong
  78   a file cannot be read, or is not valid
)";

constexpr std::string_view kStandardErrorHelp = "Everything that is not data goes to standard error.\n";

// Where a command's text begins in the overview.
constexpr size_t kTextColumn = 23;

std::string Overview() {
  std::string out = R"(usage: transportctl [OPTION]... COMMAND

Uses a running transportd: its sockets and processes, from here.

Commands:
)";
  for (const CommandHelp& command : kCommandHelp) {
    std::string line = StrCat("  ", command.usage);
    if (line.size() + 2 > kTextColumn) out += std::exchange(line, "") + "\n";
    line.resize(kTextColumn, ' ');
    for (const char c : command.text) {
      line += c;
      if (c == '\n') line.append(kTextColumn, ' ');
    }
    out += line + "\n";
  }
  out += StrCat("\n", kAddressHelp, "\n");
  for (const Paragraph& paragraph : kOptionHelp) {
    if (!paragraph.heading.empty()) out += StrCat(paragraph.heading, ":\n");
    out += paragraph.text;
  }
  return out + StrCat("\n", kStandardErrorHelp, "\n", kStatusHelp, kExecStatusHelp, kPolicyStatusHelp);
}

}  // namespace

std::span<const CommandHelp> HelpOfCommands() { return kCommandHelp; }

OptionHelp HelpOfOption(std::string_view name) {
  for (const Paragraph& paragraph : kOptionHelp) {
    std::string_view rest = paragraph.text;
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
      // `  -c, --count N           end when …`
      if (!line.starts_with("  -")) continue;
      const size_t end = std::min(line.find("  ", 2), line.size());
      const std::string_view names = line.substr(2, end - 2);
      size_t at = 0;
      while ((at = names.find(name, at)) != names.npos) {
        const size_t after = at + name.size();
        const bool is_whole =
            (at == 0 || names[at - 1] == ' ') && (after == names.size() || names[after] == ' ' || names[after] == ',');
        if (is_whole) break;
        at = after;
      }
      if (at == names.npos) continue;
      OptionHelp help;
      std::string_view words = names.substr(at + name.size());
      // The next word that is no other name.
      while (!words.empty() && help.placeholder.empty()) {
        words.remove_prefix(std::min(words.find_first_not_of(" ,"), words.size()));
        const std::string_view word = words.substr(0, words.find_first_of(" ,"));
        words.remove_prefix(word.size());
        if (!word.starts_with('-')) help.placeholder = word;
      }
      help.text = line.substr(std::min(line.find_first_not_of(' ', end), line.size()));
      if (help.text.empty()) help.text = rest.substr(std::min(rest.find_first_not_of(' '), rest.size()));
      help.text = help.text.substr(0, help.text.find_first_of("\n(;:"));
      while (help.text.ends_with(' ')) help.text.remove_suffix(1);
      return help;
    }
  }
  return {};
}

std::string HelpText(Command topic) {
  const CommandHelp* const found = std::find_if(std::begin(kCommandHelp), std::end(kCommandHelp),
                                                [&](const CommandHelp& command) { return command.command == topic; });
  if (topic == Command::kHelp || found == std::end(kCommandHelp)) return Overview();
  std::string own;
  std::string common;
  bool is_common = false;
  for (const Paragraph& paragraph : kOptionHelp) {
    if (!paragraph.heading.empty()) is_common = paragraph.heading == kCommonHeading;
    if (Contains(paragraph.commands, topic)) (is_common ? common : own) += paragraph.text;
  }
  const std::string_view name = found->usage.substr(0, found->usage.find(' '));
  std::string out = StrCat("usage: transportctl [OPTION]... ", found->usage, "\n\n", found->text, "\n\n");
  if (Contains(kAddressed, topic)) out += StrCat(kAddressHelp, "\n");
  if (!own.empty()) out += StrCat("Options of ", name, ":\n", own, "\n");
  if (!common.empty()) out += StrCat("Common options:\n", common, "\n");
  out += StrCat(kStandardErrorHelp, "\n");
  if (topic == Command::kPolicy) return out + std::string(kPolicyStatusHelp);
  return out + std::string(topic == Command::kExec ? kExecStatusHelp : kStatusHelp);
}

}  // namespace transportd::ctl
