#include "clients/cpp/transportctl/arguments.h"

#include <algorithm>
#include <sstream>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

using testing::HasSubstr;

absl::StatusOr<Arguments> Parse(const std::vector<std::string_view>& words) { return ParseArguments(words); }

std::string ErrorOf(const std::vector<std::string_view>& words) {
  const auto arguments = Parse(words);
  return arguments.ok() ? "" : std::string(arguments.status().message());
}

TEST(Arguments, ConnectTakesOptionsBeforeAndAfterTheCommand) {
  const auto arguments = Parse({"--target", "unix:/x", "--timeout=250ms", "connect", "example.org:80", "--json", "-6",
                                "--source", "10.0.0.1:0", "--happy-eyeballs=0.1", "--no-half-close"});
  ASSERT_THAT(arguments, IsOk());
  EXPECT_EQ(arguments->command, Command::kConnect);
  EXPECT_EQ(arguments->target, "unix:/x");
  EXPECT_EQ(arguments->timeout, std::chrono::milliseconds(250));
  EXPECT_EQ(arguments->endpoint.host_port.host, "example.org");
  EXPECT_EQ(arguments->endpoint.host_port.port, 80u);
  EXPECT_TRUE(arguments->json);
  EXPECT_EQ(arguments->family, AddressFamily::kInet6);
  EXPECT_EQ(arguments->source->host_port.host, "10.0.0.1");
  EXPECT_EQ(arguments->happy_eyeballs_delay, std::chrono::milliseconds(100));
  EXPECT_FALSE(arguments->half_close);
}

TEST(Arguments, TheServicesTlsIsNotTheTransports) {
  const auto arguments =
      Parse({"connect", "h:1", "--target-ca=ca", "--target-certificate", "me", "--target-key=key", "--target-name=n",
             "--token-file=t", "--tls", "--cert=cert", "--key=other", "--cacert=roots", "--servername=m"});
  ASSERT_THAT(arguments, IsOk());
  EXPECT_EQ(arguments->target_ca_file, "ca");
  EXPECT_EQ(arguments->target_certificate_file, "me");
  EXPECT_EQ(arguments->target_key_file, "key");
  EXPECT_EQ(arguments->target_name, "n");
  EXPECT_EQ(arguments->token_file, "t");
  ASSERT_TRUE(arguments->tls.has_value());
  EXPECT_EQ(arguments->tls->key_file, "other");
  EXPECT_EQ(arguments->tls->cacert_file, "roots");
  for (const char* command : {"connect", "listen", "udp", "exec", "sessions", "transports", "health", "version"}) {
    const bool is_addressed = command == std::string_view("connect") || command == std::string_view("listen") ||
                              command == std::string_view("udp");
    const bool is_exec = command == std::string_view("exec");
    std::vector<std::string_view> words = {"--target-ca=ca", command};
    if (is_addressed || is_exec) words.emplace_back("h:1");
    EXPECT_THAT(Parse(words), IsOk()) << command;
  }
  EXPECT_THAT(ErrorOf({"token", "new", "--target-ca=ca"}), HasSubstr("--target-ca has no meaning for token"));
  EXPECT_THAT(ErrorOf({"version", "--token=a", "--token-file=b"}), HasSubstr("give one of them"));
}

TEST(Arguments, ListenTakesAPortAlone) {
  const auto arguments = Parse({"listen", "0", "--echo", "-k"});
  ASSERT_THAT(arguments, IsOk());
  EXPECT_FALSE(arguments->endpoint.host_port.host.has_value());
  EXPECT_EQ(arguments->endpoint.host_port.port, 0u);
  EXPECT_TRUE(arguments->echo);
  EXPECT_TRUE(arguments->keep);
}

TEST(Arguments, PolicyHasItsOwnWords) {
  const auto check = Parse({"policy", "check", "p.txtpb"});
  ASSERT_THAT(check, IsOk());
  EXPECT_EQ(check->command, Command::kPolicy);
  EXPECT_EQ(check->policy.what, PolicyArguments::What::kCheck);
  EXPECT_EQ(check->policy.file, "p.txtpb");
  EXPECT_EQ(Parse({"policy", "test", "t"})->policy.what, PolicyArguments::What::kTest);
  const auto explain = Parse({"policy", "explain", "--policy", "p", "--as=me", "connect", "db:80", "--udp", "--resolve",
                              "--at", "10.0.0.1", "--own-port", "7", "-6"});
  ASSERT_THAT(explain, IsOk());
  EXPECT_EQ(explain->policy.what, PolicyArguments::What::kExplain);
  EXPECT_EQ(explain->policy.file, "p");
  EXPECT_EQ(explain->policy.principal, "me");
  EXPECT_THAT(explain->policy.words, testing::ElementsAre("connect", "db:80"));
  EXPECT_TRUE(explain->policy.udp);
  EXPECT_TRUE(explain->policy.resolve);
  EXPECT_THAT(explain->policy.addresses, testing::ElementsAre("10.0.0.1"));
  EXPECT_THAT(explain->policy.own_ports, testing::ElementsAre(7));
  EXPECT_EQ(explain->family, AddressFamily::kInet6);
}

TEST(Arguments, PolicyLeavesTheProgramItsOptions) {
  const auto run =
      Parse({"policy", "explain", "--policy=p", "--as=me", "--env=A=b", "--cwd", "/x", "run", "/bin/ls", "-l", "--as"});
  ASSERT_THAT(run, IsOk());
  EXPECT_THAT(run->policy.words, testing::ElementsAre("run", "/bin/ls", "-l", "--as"));
  EXPECT_EQ(run->policy.principal, "me");
  EXPECT_EQ(run->exec.cwd, "/x");
}

TEST(Arguments, PolicySaysWhatItNeeds) {
  constexpr char kForms[] = "policy needs check FILE, test FILE, or explain --policy FILE --as PRINCIPAL QUESTION";
  EXPECT_EQ(ErrorOf({"policy"}), kForms);
  EXPECT_EQ(ErrorOf({"policy", "check"}), kForms);
  EXPECT_EQ(ErrorOf({"policy", "check", "a", "b"}), kForms);
  EXPECT_EQ(ErrorOf({"policy", "check", "a", "--as", "me"}), "--as has no meaning for policy check");
  EXPECT_EQ(ErrorOf({"policy", "explain", "session"}), "policy explain needs --policy FILE");
  EXPECT_EQ(ErrorOf({"policy", "explain", "--policy=p", "session"}), "policy explain needs --as PRINCIPAL");
  const auto error_of = [](std::vector<std::string_view> words) {
    words.insert(words.begin(), {"policy", "explain", "--policy=p", "--as=me"});
    return ErrorOf(words);
  };
  EXPECT_THAT(error_of({}), HasSubstr("one of connect, listen, run, path, option, tls, resolve, admin, session"));
  EXPECT_THAT(error_of({"dance"}), HasSubstr("policy explain needs what is asked"));
  EXPECT_EQ(error_of({"connect"}), "policy explain: write connect HOST:PORT");
  EXPECT_EQ(error_of({"path", "/x"}), "policy explain: write path connect|listen|read|write PATH");
  EXPECT_EQ(error_of({"session", "x"}), "policy explain: write session");
  EXPECT_EQ(error_of({"--resolve", "session"}), "--resolve and --at are for policy explain connect");
  EXPECT_EQ(error_of({"--own-port=0", "session"}), "--own-port must be a port, 1 to 65535");
  EXPECT_EQ(ErrorOf({"policy", "check", "a", "--target", "x"}), "--target has no meaning for policy");
}

TEST(Arguments, HelpNeedsNothingElse) {
  EXPECT_EQ(Parse({"--help"})->command, Command::kHelp);
  EXPECT_EQ(Parse({"connect", "-h"})->command, Command::kHelp);
  EXPECT_EQ(Parse({"help"})->command, Command::kHelp);
  EXPECT_EQ(Parse({"--help"})->help_topic, Command::kHelp);
}

TEST(Arguments, HelpMayBeOfACommand) {
  for (const auto& [name, command] : kCommandNames) {
    for (const auto& words : {std::vector{name, std::string_view("--help")}, {name, "-h"}, {"help", name}}) {
      const auto arguments = Parse(words);
      ASSERT_THAT(arguments, IsOk());
      EXPECT_EQ(arguments->command, Command::kHelp);
      EXPECT_EQ(arguments->help_topic, command) << name;
    }
  }
  EXPECT_THAT(ErrorOf({"conect", "--help"}), HasSubstr("unknown command `conect`"));
  EXPECT_THAT(ErrorOf({"help", "conect"}), HasSubstr("unknown command `conect`"));
  EXPECT_THAT(ErrorOf({"help", "exec", "x"}), HasSubstr("one word too many"));
}

TEST(Arguments, TokenIsMadeForAPrincipal) {
  const auto arguments = Parse({"token", "new", "--principal", "ci"});
  ASSERT_THAT(arguments, IsOk());
  EXPECT_EQ(arguments->command, Command::kToken);
  EXPECT_EQ(arguments->principal, "ci");
  EXPECT_THAT(Parse({"token", "new"}), IsOk());
  EXPECT_THAT(ErrorOf({"token"}), HasSubstr("token new"));
  EXPECT_THAT(ErrorOf({"token", "old"}), HasSubstr("token new"));
  EXPECT_THAT(ErrorOf({"token", "new", "x"}), HasSubstr("one word too many"));
  EXPECT_THAT(ErrorOf({"token", "new", "--principal", "a b"}), HasSubstr("printable ASCII"));
  EXPECT_THAT(ErrorOf({"token", "new", "--target", "x"}), HasSubstr("--target has no meaning for token"));
  EXPECT_THAT(ErrorOf({"token", "new", "--json"}), HasSubstr("--json has no meaning for token"));
  EXPECT_THAT(ErrorOf({"health", "--principal", "ci"}), HasSubstr("--principal has no meaning for health"));
}

TEST(Arguments, VersionOptionNeedsNothingElse) {
  const auto arguments = Parse({"--version"});
  ASSERT_THAT(arguments, IsOk());
  EXPECT_EQ(arguments->command, Command::kProgramVersion);
  EXPECT_THAT(ErrorOf({"--version=1"}), HasSubstr("--version takes no value"));
}

TEST(Arguments, WhatIsWrongIsNamed) {
  EXPECT_THAT(ErrorOf({}), HasSubstr("a command is missing"));
  EXPECT_THAT(ErrorOf({"conect", "a:1"}), HasSubstr("unknown command `conect`"));
  EXPECT_THAT(ErrorOf({"connect"}), HasSubstr("connect needs HOST:PORT or unix:PATH"));
  EXPECT_THAT(ErrorOf({"connect", "a:1", "b"}), HasSubstr("`b` is one word too many"));
  EXPECT_THAT(ErrorOf({"health", "--color"}), HasSubstr("unknown option --color"));
  EXPECT_THAT(ErrorOf({"health", "--timeout"}), HasSubstr("--timeout needs a value"));
  EXPECT_THAT(ErrorOf({"health", "--timeout=0"}), HasSubstr("more than 0"));
  EXPECT_THAT(ErrorOf({"health", "--json=yes"}), HasSubstr("--json takes no value"));
  EXPECT_THAT(ErrorOf({"health", "--target="}), HasSubstr("--target must not be empty"));
  EXPECT_THAT(ErrorOf({"health", "-4"}), HasSubstr("-4 has no meaning for health"));
  EXPECT_THAT(ErrorOf({"connect", "a:1", "--echo"}), HasSubstr("--echo has no meaning for connect"));
  EXPECT_THAT(ErrorOf({"listen", "1", "--source=a:1"}), HasSubstr("--source has no meaning for listen"));
  EXPECT_THAT(ErrorOf({"sessions", "--session=abcdefgh"}), HasSubstr("--session has no meaning for sessions"));
  EXPECT_THAT(ErrorOf({"transports", "--session=abcdefg\xff"}), HasSubstr("--session must be UTF-8"));
  EXPECT_THAT(ErrorOf({"connect", "a:1", "--family=5"}), HasSubstr("--family must be 4 or 6"));
}

TEST(Arguments, DoubleDashEndsTheOptions) {
  EXPECT_THAT(Parse({"connect", "--", "a:1"}), IsOk());
  EXPECT_THAT(ErrorOf({"connect", "--", "--json"}), HasSubstr("`--json`"));
}

TEST(Arguments, ExecLeavesTheProgramsOptionsAlone) {
  const auto arguments = Parse({"-v", "exec", "-i", "--env", "A=1", "-e", "A=2", "-e", "B==", "--cwd=/x",
                                "--timeout=3s", "ls", "-i", "--", "--json", ""});
  ASSERT_THAT(arguments, IsOk());
  EXPECT_EQ(arguments->command, Command::kExec);
  EXPECT_THAT(arguments->exec.words, testing::ElementsAre("ls", "-i", "--", "--json", ""));
  EXPECT_TRUE(arguments->verbose);
  EXPECT_TRUE(arguments->exec.interactive);
  EXPECT_FALSE(arguments->exec.tty);
  EXPECT_THAT(arguments->exec.env, testing::ElementsAre(testing::Pair("A", "2"), testing::Pair("B", "=")));
  EXPECT_EQ(arguments->exec.cwd, "/x");
  EXPECT_EQ(arguments->exec.timeout, std::chrono::seconds(3));
  EXPECT_EQ(arguments->timeout, std::chrono::seconds(3));
}

TEST(Arguments, ExecMayHaveADoubleDash) {
  const auto arguments = Parse({"exec", "-it", "--", "-x", "--", "-y"});
  ASSERT_THAT(arguments, IsOk());
  EXPECT_THAT(arguments->exec.words, testing::ElementsAre("-x", "--", "-y"));
  EXPECT_TRUE(arguments->exec.interactive);
  EXPECT_TRUE(arguments->exec.tty);
  EXPECT_FALSE(arguments->exec.timeout.has_value());
}

TEST(Arguments, UserIsANameOrANumber) {
  const auto names = Parse({"exec", "--user=www-data:adm", "true"});
  ASSERT_THAT(names, IsOk());
  EXPECT_EQ(names->exec.user, AccountId("www-data"));
  EXPECT_EQ(names->exec.group, AccountId("adm"));
  const auto numbers = Parse({"exec", "-u", "65534:0", "true"});
  ASSERT_THAT(numbers, IsOk());
  EXPECT_EQ(numbers->exec.user, AccountId(65534u));
  EXPECT_EQ(numbers->exec.group, AccountId(0u));
}

TEST(Arguments, WhatIsWrongWithExecIsNamed) {
  EXPECT_THAT(ErrorOf({"exec"}), HasSubstr("exec needs a command"));
  EXPECT_THAT(ErrorOf({"exec", "--"}), HasSubstr("exec needs a command"));
  EXPECT_THAT(ErrorOf({"exec", "--shell", "a", "b"}), HasSubstr("--shell takes one word"));
  EXPECT_THAT(ErrorOf({"exec", "--env", "=x", "a"}), HasSubstr("--env must be NAME=VALUE"));
  for (const std::string_view account : {"x", "1", ":x", "x:", ":"}) {
    EXPECT_THAT(ErrorOf({"exec", "--user", account, "a"}), HasSubstr("--user must be USER:GROUP")) << account;
  }
  EXPECT_THAT(ErrorOf({"exec", "-u", "x", "a"}), HasSubstr("would keep the service's"));
  EXPECT_THAT(ErrorOf({"exec", "--tls", "a"}), HasSubstr("--tls has no meaning for exec"));
  EXPECT_THAT(ErrorOf({"exec", "--json", "a"}), HasSubstr("--json has no meaning for exec"));
  EXPECT_THAT(ErrorOf({"connect", "-t", "a:1"}), HasSubstr("-t has no meaning for connect"));
}

TEST(Arguments, UdpHasATimeoutOfItsOwn) {
  const auto arguments = Parse({"udp", "[::1]:53", "--whole", "-c", "3"});
  ASSERT_THAT(arguments, IsOk());
  EXPECT_EQ(arguments->endpoint.host_port.port, 53u);
  EXPECT_TRUE(arguments->udp.whole);
  EXPECT_EQ(arguments->udp.count, 3u);
  EXPECT_EQ(arguments->udp.reply_timeout, std::chrono::seconds(2));
  EXPECT_EQ(arguments->timeout, std::chrono::seconds(10));
  const auto longer = Parse({"udp", "h:1", "--timeout=1m"});
  ASSERT_THAT(longer, IsOk());
  EXPECT_EQ(longer->udp.reply_timeout, std::chrono::minutes(1));
  EXPECT_EQ(longer->timeout, std::chrono::minutes(1));
  EXPECT_THAT(ErrorOf({"udp", "h:1", "-c1"}), HasSubstr("unknown option"));
  EXPECT_THAT(ErrorOf({"udp", "h:1", "-c", "1", "--no-reply"}), HasSubstr("give one of them"));
  for (const std::string_view count : {"0", "-1", "x", "1x", "99999999999999999999"}) {
    EXPECT_THAT(ErrorOf({"udp", "h:1", "--count", count}), HasSubstr("--count must be a number, 1 or more")) << count;
  }
}

TEST(Arguments, TlsOptionsBelongTogether) {
  const auto arguments = Parse({"connect", "h:1", "--tls", "--alpn=h2,http/1.1", "--servername", "s", "--cacert", "f"});
  ASSERT_THAT(arguments, IsOk());
  ASSERT_TRUE(arguments->tls.has_value());
  EXPECT_THAT(arguments->tls->alpn_protocols, testing::ElementsAre("h2", "http/1.1"));
  EXPECT_EQ(arguments->tls->servername, "s");
  EXPECT_EQ(arguments->tls->cacert_file, "f");
  EXPECT_FALSE(Parse({"connect", "h:1"})->tls.has_value());
  for (const std::string_view option : {"--cacert", "--cert", "--key", "--identity", "--servername", "--alpn"}) {
    EXPECT_THAT(ErrorOf({"connect", "h:1", option, "x"}), HasSubstr(StrCat(option, " needs --tls")));
  }
  EXPECT_THAT(ErrorOf({"connect", "h:1", "--insecure"}), HasSubstr("--insecure needs --tls"));
  EXPECT_THAT(ErrorOf({"listen", "1", "--tls"}), HasSubstr("needs --cert FILE and --key FILE, or --identity"));
  EXPECT_THAT(Parse({"listen", "1", "--tls", "--cert=x"}), IsOk());
  EXPECT_EQ(Parse({"listen", "1", "--tls", "--identity=x"})->tls->identity, "x");
  EXPECT_EQ(Parse({"connect", "h:1", "--tls", "--identity=x"})->tls->identity, "x");
  EXPECT_THAT(ErrorOf({"listen", "1", "--tls", "--identity=x", "--cert=x", "--key=x"}), HasSubstr("give one of them"));
  EXPECT_THAT(ErrorOf({"connect", "h:1", "--tls", "--identity=x", "--cert=x"}), HasSubstr("give one of them"));
  EXPECT_THAT(ErrorOf({"connect", "h:1", "--tls", "--identity=\xff"}), HasSubstr("--identity must be UTF-8"));
  EXPECT_THAT(ErrorOf({"connect", "h:1", "--tls", "--key=x"}), HasSubstr("--key needs --cert FILE"));
  EXPECT_THAT(ErrorOf({"connect", "unix:/x", "--tls"}), HasSubstr("needs --servername"));
  EXPECT_THAT(Parse({"connect", "unix:/x", "--tls", "--insecure"}), IsOk());
  for (const std::string_view list : {"", ",", "a,", ",a"}) {
    EXPECT_THAT(ErrorOf({"connect", "h:1", "--tls", "--alpn", list}), HasSubstr("--alpn must be names")) << list;
  }
}

TEST(Arguments, UnixSocketsHaveNoFamily) {
  for (const std::string_view command : {"connect", "listen", "udp"}) {
    EXPECT_EQ(Parse({command, "unix:/x"})->endpoint.unix_path, "/x");
    EXPECT_THAT(ErrorOf({command, "-6", "unix:/x"}), HasSubstr("-6 has no meaning for a Unix socket"));
  }
  EXPECT_THAT(ErrorOf({"connect", "--source", "h:1", "unix:/x"}),
              HasSubstr("--source has no meaning for a Unix socket"));
  EXPECT_THAT(ErrorOf({"connect", "--source", "unix:/x", "h:1"}), HasSubstr("--source of connect must be HOST:PORT"));
  EXPECT_THAT(ErrorOf({"udp", "--source", "unix:/x", "h:1"}), HasSubstr("of one kind"));
  EXPECT_THAT(Parse({"udp", "--source", "unix:/y", "unix:/x"}), IsOk());
}

TEST(DurationText, UnitsAndBounds) {
  EXPECT_EQ(*ParseDuration("5"), std::chrono::seconds(5));
  EXPECT_EQ(*ParseDuration("1.5s"), std::chrono::milliseconds(1500));
  EXPECT_EQ(*ParseDuration("250ms"), std::chrono::milliseconds(250));
  EXPECT_EQ(*ParseDuration("2m"), std::chrono::minutes(2));
  EXPECT_EQ(*ParseDuration("1h"), std::chrono::hours(1));
  for (const std::string_view text : {"", "s", "0", "-1s", "2h", "5 s", "5d", "nan", "inf", "1e9"}) {
    EXPECT_THAT(ParseDuration(text), testing::Not(IsOk())) << text;
  }
}

TEST(Help, NamesEveryCommandAndExitStatus) {
  for (const char* word : {"connect", "listen", "udp", "exec", "sessions", "transports", "health", "version",
                           "--version", "  124  ", "  125  ", "  126  ", "  127  ", "128 + N"}) {
    EXPECT_THAT(HelpText(Command::kHelp), HasSubstr(word));
  }
}

// The options in its first columns.
std::vector<std::string> OptionsIn(const std::string& text) {
  std::vector<std::string> options;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("  -")) continue;
    std::istringstream words(line.substr(0, 26));
    for (std::string word; words >> word;) {
      if (word.back() == ',') word.pop_back();
      if (word.front() == '-') options.push_back(word);
    }
  }
  return options;
}

TEST(Help, OfACommandIsItsOwnPart) {
  struct Case {
    Command command;
    std::vector<std::string> has;
    std::vector<std::string> has_not;
  };
  const std::vector<Case> cases = {
      {Command::kConnect, {"connect ADDRESS", "[IPV6]:PORT", "--servername", "  4  "}, {"--echo", "--cwd", "  125  "}},
      {Command::kListen, {"listen ADDRESS", "--echo", "--identity"}, {"--servername", "--cwd", "  125  "}},
      {Command::kUdp, {"udp ADDRESS", "--count", "(default: 2s)"}, {"--tls", "--cwd", "(default: 10s)"}},
      {Command::kExec, {"exec [--] PROGRAM [ARGUMENT]...", "--cwd", "128 + N"}, {"--tls", "--json", "  4  ", "[IPV6]"}},
      {Command::kTransports, {"--session"}, {"--tls", "--cwd", "[IPV6]"}},
      {Command::kSessions, {"--json"}, {"--session PREFIX", "--tls"}},
      {Command::kHealth, {"--timeout"}, {"--tls"}},
      {Command::kVersion, {"--target"}, {"--tls"}},
  };
  for (const Case& c : cases) {
    const std::string text = HelpText(c.command);
    EXPECT_THAT(text, testing::StartsWith("usage: transportctl [OPTION]... "));
    for (const std::string& word : c.has) EXPECT_THAT(text, HasSubstr(word));
    for (const std::string& word : c.has_not) EXPECT_THAT(text, testing::Not(HasSubstr(word)));
  }
}

TEST(Arguments, LooksAndEnds) {
  EXPECT_EQ(Parse({"top"})->top.interval, std::chrono::seconds(1));
  EXPECT_EQ(Parse({"top", "--interval", "200ms", "--once"})->top.interval, std::chrono::milliseconds(200));
  EXPECT_THAT(ErrorOf({"top", "--interval=100ms"}), HasSubstr("200ms to 1m"));
  EXPECT_THAT(ErrorOf({"top", "--interval=61s"}), HasSubstr("200ms to 1m"));
  EXPECT_THAT(ErrorOf({"top", "--json"}), HasSubstr("no meaning"));
  EXPECT_TRUE(Parse({"status", "-o", "json"})->json);
  EXPECT_EQ(Parse({"end", "1a2b3c4d"})->transport_id, std::nullopt);
  EXPECT_EQ(Parse({"end", "1a2b3c4d", "7"})->transport_id, 7u);
  EXPECT_THAT(ErrorOf({"end"}), HasSubstr("end SESSION [TRANSPORT]"));
  EXPECT_THAT(ErrorOf({"end", "1a2b"}), HasSubstr("first 8 characters"));
  EXPECT_THAT(ErrorOf({"end", "1a2b3c4d", "4294967296"}), HasSubstr("number"));
}

TEST(Help, NamesTheOptionsThatACommandHas) {
  const std::vector<std::string> all = OptionsIn(HelpText(Command::kHelp));
  EXPECT_GE(all.size(), 40u);
  for (const auto& [name, command] : kCommandNames) {
    if (command == Command::kHelp) continue;
    const std::vector<std::string> own = OptionsIn(HelpText(command));
    EXPECT_THAT(own, testing::IsSubsetOf(all));
    for (const std::string& option : all) {
      if (option == "--help" || option == "-h" || option == "--version") continue;
      // One of the values is one that it takes.
      bool has_meaning = true;
      for (const std::string_view value : {"4", "a:1", "A=1", "json"}) {
        const std::string error = ErrorOf({name, option, value});
        EXPECT_THAT(error, testing::Not(HasSubstr("unknown option")));
        if (error.find("has no meaning for") != std::string::npos) has_meaning = false;
      }
      const bool is_named = std::find(own.begin(), own.end(), option) != own.end();
      EXPECT_EQ(is_named, has_meaning) << name << " " << option;
    }
  }
}

}  // namespace
}  // namespace transportd::ctl
