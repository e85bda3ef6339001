#include "server/policy/policy.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "transports/base/str_cat.h"

namespace transportd {

bool operator==(const PortRange& a, const PortRange& b) { return a.first == b.first && a.last == b.last; }
void PrintTo(const PortRange& range, std::ostream* out) { *out << range.first << "-" << range.last; }

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::shared_ptr<const Policy> PolicyOf(std::string_view text, SelfAddresses self = {}) {
  v1::Policy message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(StrCat("version: 'v1' ", text), &message)) << text;
  auto policy = Policy::Compile(std::move(message), std::move(self));
  EXPECT_THAT(policy, IsOk());
  return policy.ok() ? *policy : *Policy::Compile([] {
    v1::Policy empty;
    empty.set_version("v1");
    return empty;
  }());
}

// One role, `r`, that `p` has.
std::shared_ptr<const Policy> PolicyWith(std::string_view grants, std::string_view rest = "", SelfAddresses self = {}) {
  return PolicyOf(StrCat("role { name: 'r' ", grants, " } binding { role: 'r' principals: 'p' } ", rest),
                  std::move(self));
}

SocketAddress AddressOf(const std::string& host, uint16_t port) {
  SocketAddress address;
  address.family = host.find(':') == std::string::npos ? AddressFamily::kInet : AddressFamily::kInet6;
  address.host = host;
  address.port = port;
  return address;
}

// An action with the addresses that it points to.
struct Asked {
  SocketAddress address;
  SocketAddress local;
  Action action;
  std::vector<std::string_view> args;
  std::vector<std::string_view> env_names;
};

std::unique_ptr<Asked> To(const std::string& host, uint16_t port, std::string_view name = "",
                          ActionProtocol protocol = ActionProtocol::kTcp, ActionKind kind = ActionKind::kConnect) {
  auto asked = std::make_unique<Asked>();
  asked->address = AddressOf(host, port);
  asked->action = {.kind = kind, .protocol = protocol, .address = &asked->address, .host = name};
  return asked;
}

std::unique_ptr<Asked> On(const std::string& host, uint16_t port, ActionProtocol protocol = ActionProtocol::kTcp) {
  return To(host, port, "", protocol, ActionKind::kListen);
}

std::unique_ptr<Asked> From(const std::string& peer, const std::string& local, uint16_t port,
                            ActionKind kind = ActionKind::kAccept) {
  auto asked = To(peer, 40000, "", kind == ActionKind::kAccept ? ActionProtocol::kTcp : ActionProtocol::kUdp, kind);
  asked->local = AddressOf(local, port);
  asked->action.local = &asked->local;
  return asked;
}

std::unique_ptr<Asked> RunOf(std::string_view program, std::vector<std::string_view> args = {},
                             std::vector<std::string_view> env_names = {}, std::string_view folder = "") {
  auto asked = std::make_unique<Asked>();
  asked->args = std::move(args);
  asked->env_names = std::move(env_names);
  asked->action = {
      .kind = ActionKind::kRun, .path = program, .args = asked->args, .env_names = asked->env_names, .folder = folder};
  return asked;
}

std::unique_ptr<Asked> PathFor(PathUse use, std::string_view path) {
  auto asked = std::make_unique<Asked>();
  asked->action = {.kind = ActionKind::kPath, .path = path, .use = use};
  return asked;
}

std::unique_ptr<Asked> Named(ActionKind kind, std::string_view name) {
  auto asked = std::make_unique<Asked>();
  asked->action = {.kind = kind, .name = name};
  return asked;
}

std::unique_ptr<Asked> Resolve(std::string_view host) {
  auto asked = std::make_unique<Asked>();
  asked->action = {.kind = ActionKind::kResolve, .host = host};
  return asked;
}

// `+RULE` when it is allowed, `-RULE` when not.
std::string Ruling(const Policy& policy, const std::unique_ptr<Asked>& asked, std::string_view principal = "p") {
  const Decision decision = policy.Decide(principal, asked->action);
  return StrCat(decision.allowed ? "+" : "-", decision.rule);
}

// --- The matrix: what is asked x what the policy says of it.

struct Kind {
  const char* name;
  std::unique_ptr<Asked> (*ask)();
  const char* matching;  // A grant `g`.
  const char* other;     // A grant `o` of the same kind, of something else.
  const char* deny;      // What a denial says; null: it cannot be denied.
};

const Kind kKinds[] = {
    {"Connect", [] { return To("10.0.0.1", 5432); },
     "connect { name: 'g' protocols: TCP to { cidrs: '10.0.0.0/8' ports { first: 5432 } } }",
     "connect { name: 'o' protocols: TCP to { cidrs: '10.0.0.0/8' ports { first: 5433 } } }",
     "connect { cidrs: '10.0.0.1' }"},
    {"Send", [] { return To("10.0.0.1", 53, "", ActionProtocol::kUdp, ActionKind::kSend); },
     "connect { name: 'g' protocols: UDP to { classes: PRIVATE any_port: true } }",
     "connect { name: 'o' protocols: TCP to { classes: PRIVATE any_port: true } }",
     "connect { classes: PRIVATE ports { first: 50 last: 60 } }"},
    {"Listen", [] { return On("127.0.0.1", 20000); },
     "listen { name: 'g' protocols: TCP on { classes: LOOPBACK ports { first: 20000 last: 20999 } } }",
     "listen { name: 'o' protocols: TCP on { classes: PRIVATE ports { first: 20000 last: 20999 } } }",
     "listen { classes: LOOPBACK }"},
    {"Accept", [] { return From("10.0.0.9", "10.0.0.1", 20000); },
     "listen { name: 'g' protocols: TCP on { classes: PRIVATE any_port: true } peers { cidrs: '10.0.0.9' } }",
     "listen { name: 'o' protocols: TCP on { classes: PRIVATE any_port: true } peers { cidrs: '10.0.0.8' } }",
     "listen { classes: PRIVATE }"},
    {"Resolve", [] { return Resolve("db.example"); },
     "connect { name: 'g' protocols: TCP to { hosts: '*.example' any_port: true } }",
     "connect { name: 'o' protocols: TCP to { hosts: '*.example.org' any_port: true } }",
     "connect { hosts: 'db.example' }"},
    {"Run", [] { return RunOf("/usr/bin/make", {"all"}); },
     "run { name: 'g' program: '/usr/bin/make' args_regex: '[a-z]+' }",
     "run { name: 'o' program: '/usr/bin/make' args_regex: '[0-9]+' }", "run: '/usr/bin/'"},
    {"Path", [] { return PathFor(PathUse::kConnect, "/run/x/y"); }, "path { name: 'g' uses: CONNECT paths: '/run/x/' }",
     "path { name: 'o' uses: LISTEN paths: '/run/x/' }", "path: '/run/x/y'"},
    {"Option", [] { return Named(ActionKind::kOption, "SO_REUSEPORT"); },
     "option { name: 'g' options: 'SO_REUSEPORT' }", "option { name: 'o' options: 'SO_BROADCAST' }", nullptr},
    {"Tls", [] { return Named(ActionKind::kTls, "unverified"); }, "option { name: 'g' unverified_tls: true }",
     "option { name: 'o' own_trust: true }", nullptr},
    {"Admin", [] { return Named(ActionKind::kAdmin, "ListSessions"); }, "admin { name: 'g' methods: 'ListSessions' }",
     "admin { name: 'o' methods: 'ListTransports' }", nullptr},
};

class PolicyMatrix : public testing::TestWithParam<Kind> {};

TEST_P(PolicyMatrix, WithoutARoleNothingIsAllowed) {
  EXPECT_EQ(Ruling(*PolicyOf(""), GetParam().ask()), "-builtin/no_role");
  EXPECT_EQ(Ruling(*PolicyOf("role { name: 'r' } binding { role: 'r' principals: 'p' }"), GetParam().ask()),
            "-builtin/no_grant");
}

TEST_P(PolicyMatrix, OtherGrantDoesNotAllow) {
  EXPECT_EQ(Ruling(*PolicyWith(GetParam().other), GetParam().ask()), "-builtin/no_grant");
}

TEST_P(PolicyMatrix, GrantsOfOtherKindsDoNotAllow) {
  std::string grants;
  int number = 0;
  for (const Kind& kind : kKinds) {
    std::string grant = kind.matching;
    const auto begins_as = [&](std::string_view word) {
      return std::string_view(grant).substr(0, word.size()) == word &&
             std::string_view(GetParam().matching).substr(0, word.size()) == word;
    };
    if (begins_as("connect") || begins_as("listen") || begins_as("option") || kind.name == GetParam().name) continue;
    grant.replace(grant.find("'g'"), 3, StrCat("'g", number++, "'"));
    grants += grant;
  }
  EXPECT_EQ(Ruling(*PolicyWith(grants), GetParam().ask()), "-builtin/no_grant");
}

TEST_P(PolicyMatrix, MatchingGrantAllows) {
  EXPECT_EQ(Ruling(*PolicyWith(GetParam().matching), GetParam().ask()), "+r/g");
  EXPECT_EQ(Ruling(*PolicyWith(StrCat(GetParam().other, GetParam().matching)), GetParam().ask()), "+r/g");
}

TEST_P(PolicyMatrix, GrantIsForThoseWhoHaveTheRole) {
  const auto policy = PolicyWith(GetParam().matching);
  EXPECT_EQ(Ruling(*policy, GetParam().ask(), "q"), "-builtin/no_role");
  EXPECT_EQ(Ruling(*policy, GetParam().ask(), "p2"), "-builtin/no_role");
  EXPECT_EQ(Ruling(*policy, GetParam().ask(), ""), "-builtin/no_principal");
}

TEST_P(PolicyMatrix, DenialOverridesTheGrant) {
  if (GetParam().deny == nullptr) return;
  const auto deny = [](std::string_view fields) { return StrCat("deny { name: 'd' ", GetParam().deny, fields, " }"); };
  EXPECT_EQ(Ruling(*PolicyWith(GetParam().matching, deny("")), GetParam().ask()), "-deny/d");
  EXPECT_EQ(Ruling(*PolicyWith(GetParam().matching, deny(" principals: ['q', 'p*']")), GetParam().ask()), "-deny/d");
  EXPECT_EQ(Ruling(*PolicyWith(GetParam().matching, deny(" principals: 'q'")), GetParam().ask()), "+r/g");
}

TEST_P(PolicyMatrix, DenialsOfOtherThingsDoNotDeny) {
  constexpr char kOthers[] = R"(
    deny { name: 'a' connect { cidrs: '10.0.0.2' } } deny { name: 'b' connect { classes: PRIVATE ports { first: 1 } } }
    deny { name: 'c' listen { cidrs: '127.0.0.2' hosts: [] } } deny { name: 'd' run: ['/usr/bin/mak', '/usr/bin/make/'] }
    deny { name: 'e' path: ['/run/x', '/run/x/y/', '@*'] } deny { name: 'f' connect { hosts: 'example' } })";
  EXPECT_EQ(Ruling(*PolicyWith(GetParam().matching, kOthers), GetParam().ask()), "+r/g");
}

INSTANTIATE_TEST_SUITE_P(Policy, PolicyMatrix, testing::ValuesIn(kKinds),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

// --- Connecting and sending

TEST(PolicyConnect, SelfAndMetadataAreOpenedByNamingTheClassOnly) {
  SelfAddresses self;
  self.AddOwnPort(50051, ActionProtocol::kTcp);
  constexpr char kCidr[] = "connect { name: 'g' protocols: TCP to { cidrs: ['0.0.0.0/0', '::/0'] any_port: true } }";
  const auto by_cidr = PolicyWith(kCidr, "", self);
  EXPECT_EQ(Ruling(*by_cidr, To("169.254.169.254", 80)), "-builtin/metadata");
  EXPECT_EQ(Ruling(*by_cidr, To("64:ff9b::a9fe:a9fe", 80)), "-builtin/metadata");
  EXPECT_EQ(Ruling(*by_cidr, To("127.0.0.1", 50051)), "-builtin/self");
  EXPECT_EQ(Ruling(*by_cidr, To("0.0.0.0", 50051)), "-builtin/self");
  EXPECT_EQ(Ruling(*by_cidr, To("127.0.0.1", 50052)), "+r/g");
  const auto named = PolicyWith(
      "connect { name: 'g' protocols: TCP to { cidrs: '0.0.0.0/0' classes: [METADATA, SELF] any_port: true } }", "",
      self);
  EXPECT_EQ(Ruling(*named, To("169.254.169.254", 80)), "+r/g");
  EXPECT_EQ(Ruling(*named, To("127.0.0.1", 50051)), "+r/g");
  EXPECT_EQ(Ruling(*named, To("fd00:ec2::254", 80)), "-builtin/metadata");  // Outside the CIDR.
  const auto alone = PolicyWith("connect { name: 'g' protocols: TCP to { classes: METADATA any_port: true } }");
  EXPECT_EQ(Ruling(*alone, To("fd00:ec2::254", 80)), "+r/g");
  EXPECT_EQ(Ruling(*alone, To("169.254.1.1", 80)), "-builtin/no_grant");
}

TEST(PolicyConnect, NamesLeadToTheInternetAndToNamedClasses) {
  const auto policy = PolicyWith(
      "connect { name: 'g' protocols: TCP to { hosts: ['*.lab.example', 'one.example'] classes: PRIVATE any_port: true "
      "} }");
  EXPECT_EQ(Ruling(*policy, To("10.0.0.1", 1, "db.lab.example")), "+r/g");
  EXPECT_EQ(Ruling(*policy, To("8.8.8.8", 1, "db.lab.example")), "+r/g");
  EXPECT_EQ(Ruling(*policy, To("8.8.8.8", 1, "a.b.LAB.Example.")), "+r/g");
  EXPECT_EQ(Ruling(*policy, To("8.8.8.8", 1, "one.example")), "+r/g");
  EXPECT_EQ(Ruling(*policy, To("127.0.0.1", 1, "db.lab.example")), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*policy, To("169.254.169.254", 1, "db.lab.example")), "-builtin/metadata");
  EXPECT_EQ(Ruling(*policy, To("10.0.0.1", 1)), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*policy, To("8.8.8.8", 1)), "-builtin/no_grant");
  for (const char* name : {"lab.example", "xlab.example", "db.lab.example.org", "two.example", "x.one.example", "."}) {
    EXPECT_EQ(Ruling(*policy, To("8.8.8.8", 1, name)), "-builtin/no_grant") << name;
  }
}

TEST(PolicyConnect, CidrBesideNamesNeedsNoName) {
  const auto policy =
      PolicyWith("connect { name: 'g' protocols: TCP to { hosts: 'a.example' cidrs: '10.0.0.0/8' any_port: true } }");
  EXPECT_EQ(Ruling(*policy, To("10.0.0.1", 1)), "+r/g");
  EXPECT_EQ(Ruling(*policy, To("10.0.0.1", 1, "b.example")), "+r/g");
  EXPECT_EQ(Ruling(*policy, To("8.8.8.8", 1, "a.example")), "+r/g");
  EXPECT_EQ(Ruling(*policy, To("8.8.8.8", 1, "b.example")), "-builtin/no_grant");
}

TEST(PolicyConnect, PortsAreThoseOfTheRanges) {
  const auto policy = PolicyWith(
      "connect { name: 'g' protocols: TCP to { classes: GLOBAL ports { first: 80 } ports { first: 440 last: 443 } } }");
  for (const uint16_t port : std::vector<uint16_t>{80, 440, 443})
    EXPECT_EQ(Ruling(*policy, To("8.8.8.8", port)), "+r/g") << port;
  for (const uint16_t port : std::vector<uint16_t>{0, 79, 81, 439, 444}) {
    EXPECT_EQ(Ruling(*policy, To("8.8.8.8", port)), "-builtin/no_grant") << port;
  }
}

TEST(PolicyConnect, EachSpellingOfAnAddressIsTheSame) {
  const auto policy = PolicyWith("connect { name: 'g' protocols: TCP to { classes: GLOBAL any_port: true } }");
  for (const char* host : {"127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "0.0.0.0", "::", "::1", "64:ff9b::7f00:1",
                           "2002:7f00:1::", "::127.0.0.1"}) {
    EXPECT_THAT(Ruling(*policy, To(host, 80)), testing::StartsWith("-")) << host;
  }
  for (const char* host : {"0", "127.1", "0x7f000001", "2130706433", "localhost", ""}) {
    EXPECT_EQ(Ruling(*policy, To(host, 80)), "-builtin/bad_address") << host;
  }
}

TEST(PolicyConnect, WildcardIsAClassOfItsOwn) {
  const auto policy = PolicyWith("connect { name: 'g' protocols: TCP to { classes: LOOPBACK any_port: true } }");
  EXPECT_EQ(Ruling(*policy, To("127.0.0.1", 1)), "+r/g");
  EXPECT_EQ(Ruling(*policy, To("0.0.0.0", 1)), "-builtin/no_grant");
}

TEST(PolicyConnect, DenialIsWiderThanAGrant) {
  const auto with = [](std::string_view deny) {
    return PolicyWith(
        "connect { name: 'g' protocols: [TCP, UDP] to { cidrs: ['0.0.0.0/0', '::/0'] classes: [SELF, METADATA] "
        "any_port: true } }",
        StrCat("deny { name: 'd' connect { ", deny, " } }"));
  };
  // By any of its parts,
  EXPECT_EQ(Ruling(*with("cidrs: '10.0.0.0/8' classes: LOOPBACK"), To("127.0.0.1", 1)), "-deny/d");
  EXPECT_EQ(Ruling(*with("hosts: 'db.internal'"), To("10.0.0.1", 1, "DB.internal.")), "-deny/d");
  EXPECT_EQ(Ruling(*with("hosts: 'db.internal'"), To("10.0.0.1", 1, "other.internal")), "+r/g");
  // whatever the class is,
  EXPECT_EQ(Ruling(*with("cidrs: '169.254.0.0/16'"), To("169.254.169.254", 1)), "-deny/d");
  // and behind IPv6.
  EXPECT_EQ(Ruling(*with("cidrs: '10.0.0.0/8'"), To("64:ff9b::a00:1", 1)), "-deny/d");
  EXPECT_EQ(Ruling(*with("classes: PRIVATE"), To("2002:a00:1::", 1)), "-deny/d");
  EXPECT_EQ(Ruling(*with("classes: PRIVATE"), To("2002:808:808::", 1)), "+r/g");
  EXPECT_EQ(Ruling(*with("classes: PRIVATE ports { first: 25 }"), To("10.0.0.1", 26)), "+r/g");
  // The wildcard address leads to loopback.
  for (const char* deny : {"classes: LOOPBACK", "cidrs: ['127.0.0.0/8', '::1']", "classes: WILDCARD"}) {
    for (const char* host : {"0.0.0.0", "::", "::ffff:0.0.0.0"}) {
      EXPECT_EQ(Ruling(*with(deny), To(host, 80)), "-deny/d") << deny << " " << host;
      EXPECT_EQ(Ruling(*with(deny), To(host, 80, "", ActionProtocol::kUdp, ActionKind::kSend)), "-deny/d") << host;
    }
  }
  EXPECT_EQ(Ruling(*with("cidrs: '127.0.0.1' ports { first: 25 }"), To("0.0.0.0", 80)), "+r/g");
  EXPECT_EQ(Ruling(*with("cidrs: '127.0.0.1'"), To("::", 80)), "+r/g");
}

TEST(PolicyConnect, TellsTheClass) {
  const auto policy = PolicyWith("connect { name: 'g' protocols: TCP to { classes: GLOBAL any_port: true } }");
  EXPECT_EQ(policy->Decide("p", To("8.8.8.8", 1)->action).address_class, AddressClass::kGlobal);
  EXPECT_EQ(policy->Decide("p", To("10.0.0.1", 1)->action).address_class, AddressClass::kPrivate);
}

TEST(PolicyConnect, WithSelfKeepsTheRules) {
  const auto policy = PolicyWith("connect { name: 'g' protocols: TCP to { classes: LOOPBACK any_port: true } }");
  SelfAddresses self;
  self.AddOwnPort(7, ActionProtocol::kTcp);
  const auto later = policy->WithSelf(self);
  EXPECT_EQ(Ruling(*policy, To("127.0.0.1", 7)), "+r/g");
  EXPECT_EQ(Ruling(*later, To("127.0.0.1", 7)), "-builtin/self");
  EXPECT_EQ(Ruling(*later, To("127.0.0.1", 8)), "+r/g");
  EXPECT_EQ(policy->sha256(), later->sha256());
}

TEST(PolicyConnect, IncompleteActionsAreDenied) {
  const auto policy =
      PolicyWith("connect { name: 'g' protocols: [TCP, UDP] to { cidrs: '0.0.0.0/0' any_port: true } }");
  EXPECT_EQ(Ruling(*policy, To("8.8.8.8", 1, "", ActionProtocol::kNone)), "-builtin/bad_action");
  auto asked = To("8.8.8.8", 1);
  asked->action.address = nullptr;
  EXPECT_EQ(Ruling(*policy, asked), "-builtin/bad_address");
}

// --- Names

TEST(PolicyResolve, NamesOfGrantsAndAnyNameOfGrantsByAddress) {
  const auto by_name =
      PolicyWith("connect { name: 'g' protocols: TCP to { hosts: '*.example' classes: PRIVATE any_port: true } }");
  EXPECT_EQ(Ruling(*by_name, Resolve("A.example.")), "+r/g");
  EXPECT_EQ(Ruling(*by_name, Resolve("secret.attacker.net")), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*by_name, Resolve("")), "-builtin/bad_action");
  const auto by_class = PolicyWith("connect { name: 'g' protocols: TCP to { classes: GLOBAL any_port: true } }");
  EXPECT_EQ(Ruling(*by_class, Resolve("any.thing")), "+r/g");
  const auto by_cidr =
      PolicyWith("connect { name: 'g' protocols: TCP to { hosts: 'a' cidrs: '10.0.0.0/8' any_port: true } }");
  EXPECT_EQ(Ruling(*by_cidr, Resolve("any.thing")), "+r/g");
}

TEST(PolicyResolve, WhoMayListenMayResolveLocalhost) {
  const auto policy = PolicyWith("listen { name: 'g' protocols: TCP on { classes: LOOPBACK any_port: true } }");
  EXPECT_EQ(Ruling(*policy, Resolve("localhost")), "+r/g");
  EXPECT_EQ(Ruling(*policy, Resolve("secret.attacker.net")), "-builtin/no_grant");
}

TEST(PolicyResolve, DenialOfSomePortsLeavesTheName) {
  const auto policy = PolicyWith("connect { name: 'g' protocols: TCP to { classes: GLOBAL any_port: true } }",
                                 "deny { name: 'd' connect { hosts: 'a.example' ports { first: 25 } } }");
  EXPECT_EQ(Ruling(*policy, Resolve("a.example")), "+r/g");
}

// --- Listening

TEST(PolicyListen, PortZeroTakesOneOfTheGrantedRanges) {
  const auto policy = PolicyWith(R"(
      listen { name: 'a' protocols: TCP on { classes: LOOPBACK ports { first: 20000 last: 20009 } ports { first: 9 } } }
      listen { name: 'b' protocols: TCP on { cidrs: '127.0.0.1' ports { first: 20010 last: 20020 } } }
      listen { name: 'c' protocols: UDP on { classes: LOOPBACK ports { first: 1 } } })");
  EXPECT_EQ(Ruling(*policy, On("127.0.0.1", 0)), "+r/a");
  EXPECT_THAT(policy->PortsFor("p", On("127.0.0.1", 0)->action), ElementsAre(PortRange{9, 9}, PortRange{20000, 20020}));
  EXPECT_THAT(policy->PortsFor("p", On("127.0.0.2", 0)->action), ElementsAre(PortRange{9, 9}, PortRange{20000, 20009}));
  EXPECT_THAT(policy->PortsFor("q", On("127.0.0.1", 0)->action), IsEmpty());
  EXPECT_EQ(Ruling(*policy, On("10.0.0.1", 0)), "-builtin/no_grant");
}

TEST(PolicyListen, PortZeroWithAnyPortIsTheKernels) {
  const auto policy = PolicyWith(R"(
      listen { name: 'a' protocols: TCP on { classes: LOOPBACK any_port: true } }
      listen { name: 'b' protocols: TCP on { classes: LOOPBACK ports { first: 7 } } })");
  EXPECT_EQ(Ruling(*policy, On("127.0.0.1", 0)), "+r/a");
  EXPECT_THAT(policy->PortsFor("p", On("127.0.0.1", 0)->action), IsEmpty());
}

TEST(PolicyListen, PortZeroLeavesOutWhatIsDeniedOrTheServicesOwn) {
  SelfAddresses self;
  self.AddOwnPort(105, ActionProtocol::kTcp);
  const auto with = [&](std::string_view ports, std::string_view deny) {
    return PolicyWith(StrCat("listen { name: 'a' protocols: TCP on { classes: LOOPBACK ", ports, " } }"),
                      deny.empty() ? "" : StrCat("deny { name: 'd' listen { ", deny, " } }"), self);
  };
  const auto ports_of = [](const std::shared_ptr<const Policy>& policy) {
    return policy->PortsFor("p", On("127.0.0.1", 0)->action);
  };
  EXPECT_THAT(ports_of(with("ports { first: 100 last: 110 }", "")),
              ElementsAre(PortRange{100, 104}, PortRange{106, 110}));
  EXPECT_THAT(ports_of(with("ports { first: 100 last: 110 }", "classes: LOOPBACK ports { first: 90 last: 108 }")),
              ElementsAre(PortRange{109, 110}));
  EXPECT_THAT(ports_of(with("any_port: true", "cidrs: '127.0.0.1' ports { first: 2000 last: 2999 }")),
              ElementsAre(PortRange{1024, 1999}, PortRange{3000, 65535}));
  const auto all = with("any_port: true", "classes: LOOPBACK");
  EXPECT_THAT(ports_of(all), IsEmpty());
  EXPECT_EQ(Ruling(*all, On("127.0.0.1", 0)), "-deny/d");
  EXPECT_EQ(Ruling(*with("any_port: true", ""), On("127.0.0.1", 105)), "-builtin/self");
}

TEST(PolicyListen, WildcardNeedsItsClass) {
  const auto policy =
      PolicyWith("listen { name: 'a' protocols: TCP on { classes: [LOOPBACK, PRIVATE] any_port: true } }");
  EXPECT_EQ(Ruling(*policy, On("0.0.0.0", 80)), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*policy, On("::", 0)), "-builtin/no_grant");
}

TEST(PolicyAccept, PeersAreThoseOfTheGrantOfTheLocalAddress) {
  const auto policy = PolicyWith(R"(
      listen { name: 'in' protocols: TCP on { classes: PRIVATE ports { first: 80 } } peers { cidrs: '10.0.0.0/8' } }
      listen { name: 'lo' protocols: TCP on { classes: LOOPBACK ports { first: 80 } } })");
  EXPECT_EQ(Ruling(*policy, From("10.1.1.1", "10.0.0.1", 80)), "+r/in");
  EXPECT_EQ(Ruling(*policy, From("192.168.1.1", "10.0.0.1", 80)), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*policy, From("192.168.1.1", "127.0.0.1", 80)), "+r/lo");
  EXPECT_EQ(Ruling(*policy, From("10.1.1.1", "10.0.0.1", 81)), "-builtin/no_grant");
}

TEST(PolicyAccept, WildcardsGrantCoversEveryLocalAddress) {
  const auto policy = PolicyWith(
      "listen { name: 'w' protocols: TCP on { classes: WILDCARD ports { first: 80 } } peers { classes: [PRIVATE, "
      "LOOPBACK] } }");
  EXPECT_EQ(Ruling(*policy, From("10.1.1.1", "10.0.0.1", 80)), "+r/w");
  EXPECT_EQ(Ruling(*policy, From("::1", "::1", 80)), "+r/w");
  EXPECT_EQ(Ruling(*policy, From("::ffff:10.1.1.1", "::ffff:10.0.0.1", 80)), "+r/w");
  EXPECT_EQ(Ruling(*policy, From("10.1.1.1", "0.0.0.0", 80)), "+r/w");
  EXPECT_EQ(Ruling(*policy, From("8.8.8.8", "10.0.0.1", 80)), "-builtin/no_grant");
  const auto v4 = PolicyWith("listen { name: 'w' protocols: TCP on { cidrs: '0.0.0.0' any_port: true } }");
  EXPECT_EQ(Ruling(*v4, From("10.1.1.1", "10.0.0.1", 80)), "+r/w");
  EXPECT_EQ(Ruling(*v4, From("::1", "::1", 80)), "-builtin/no_grant");
}

TEST(PolicyAccept, PeersPortSaysNothing) {
  SelfAddresses self;
  self.AddOwnPort(40000, ActionProtocol::kTcp);
  const auto policy = PolicyWith(
      "listen { name: 'l' protocols: TCP on { classes: LOOPBACK any_port: true } peers { classes: LOOPBACK } }", "",
      self);
  EXPECT_EQ(Ruling(*policy, From("127.0.0.1", "127.0.0.1", 80)), "+r/l");
}

TEST(PolicyReceive, FromPeersOrFromWhereOneMaySend) {
  const auto policy = PolicyWith(R"(
      connect { name: 'dns' protocols: UDP to { cidrs: '10.0.0.53' ports { first: 40000 } } }
      listen { name: 'in' protocols: UDP on { classes: LOOPBACK ports { first: 80 } } peers { classes: LOOPBACK } })");
  EXPECT_EQ(Ruling(*policy, From("127.0.0.1", "127.0.0.1", 80, ActionKind::kReceive)), "+r/in");
  EXPECT_EQ(Ruling(*policy, From("10.0.0.53", "0.0.0.0", 33333, ActionKind::kReceive)), "+r/dns");
  EXPECT_EQ(Ruling(*policy, From("10.0.0.54", "0.0.0.0", 33333, ActionKind::kReceive)), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*policy, From("127.0.0.1", "0.0.0.0", 33333, ActionKind::kReceive)), "-builtin/no_grant");
  auto without_local = To("10.0.0.53", 40000, "", ActionProtocol::kUdp, ActionKind::kReceive);
  EXPECT_EQ(Ruling(*policy, without_local), "+r/dns");
  without_local->address.port = 40001;
  EXPECT_EQ(Ruling(*policy, without_local), "-builtin/no_grant");
}

// --- Programs

TEST(PolicyRun, ProgramArgumentsEnvironmentAndFolder) {
  const auto policy = PolicyWith(R"(
      run { name: 'g' program: '/usr/bin/make' args_regex: '-?[a-z]+' env: ['LANG', 'CI_*'] cwd: ['/srv/ci', '/tmp/'] })");
  EXPECT_EQ(Ruling(*policy, RunOf("/usr/bin/make", {"all", "-k"}, {"LANG", "CI_JOB", "CI_"}, "/srv/ci/x")), "+r/g");
  EXPECT_EQ(Ruling(*policy, RunOf("/usr/bin/make", {}, {}, "/srv/ci")), "+r/g");
  EXPECT_EQ(Ruling(*policy, RunOf("/usr/bin/make", {}, {}, "/tmp")), "+r/g");
  EXPECT_EQ(Ruling(*policy, RunOf("/usr/bin/make")), "-builtin/no_grant");  // Not in /.
  EXPECT_EQ(Ruling(*policy, RunOf("/usr/bin/make", {}, {}, "/srv/cix")), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*policy, RunOf("/usr/bin/make", {"all", "X=1"}, {}, "/tmp")), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*policy, RunOf("/usr/bin/make", {"all\n"}, {}, "/tmp")), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*policy, RunOf("/usr/bin/make", {""}, {}, "/tmp")), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*policy, RunOf("/usr/bin/make", {"\xff"}, {}, "/tmp")), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*policy, RunOf("/usr/bin/make", {}, {"LANGUAGE"}, "/tmp")), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*policy, RunOf("/usr/bin/make", {}, {"LD_PRELOAD"}, "/tmp")), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*policy, RunOf("/usr/bin/makeinfo", {}, {}, "/tmp")), "-builtin/no_grant");
  for (const char* path : {"make", "", "/usr/bin/../bin/make", "/usr//bin/make", "/usr/bin/make/", "./make"}) {
    EXPECT_EQ(Ruling(*policy, RunOf(path, {}, {}, "/tmp")), "-builtin/bad_path") << path;
  }
  EXPECT_EQ(Ruling(*policy, RunOf("/usr/bin/make", {}, {}, "/tmp/../etc")), "-builtin/bad_path");
}

// And only a program that may be run: of others no more is told.
TEST(PolicyRun, ByAnothersNameNoProgram) {
  const auto policy = PolicyWith("run { name: 'g' program: '/usr/bin/make' }");
  const auto granted = RunOf("/usr/bin/make");
  const auto other = RunOf("/usr/bin/cc");
  granted->action.is_misnamed = other->action.is_misnamed = true;
  EXPECT_EQ(Ruling(*policy, granted), "-builtin/bad_name");
  EXPECT_EQ(Ruling(*policy, other), "-builtin/no_grant");
}

TEST(PolicyRun, WhatNoGrantAllows) {
  const auto policy = PolicyWith("run { name: 'g' program: '/usr/bin/make' }");
  for (const char* path : {"/usr/bin/make", "/usr/bin/cc", "make"}) {
    const auto run = RunOf(path);
    run->action.never = NeverToRun::kName;
    EXPECT_EQ(Ruling(*policy, run), "-builtin/bad_name") << path;
    run->action.never = NeverToRun::kAccount;
    EXPECT_EQ(Ruling(*policy, run), "-builtin/account") << path;
  }
}

TEST(PolicyRun, FolderIsForAllProgramsBelow) {
  const auto policy = PolicyWith("run { name: 'g' program: '/opt/tools/' }");
  EXPECT_EQ(Ruling(*policy, RunOf("/opt/tools/a/b", {"anything", "\xff"})), "+r/g");
  EXPECT_EQ(Ruling(*policy, RunOf("/opt/tools")), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*policy, RunOf("/opt/tools2/a")), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*policy, RunOf("/opt/tools/a", {}, {}, "/tmp")), "-builtin/no_grant");
}

// As /bin is on most systems, and sh: `bin` -> `usr/bin`, `usr/bin/sh` -> `dash`.
class PolicyLinks : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::mkdir(folder_.Path("usr").c_str(), 0700), 0);
    ASSERT_EQ(::mkdir(folder_.Path("usr/bin").c_str(), 0700), 0);
    folder_.WriteFile("usr/bin/dash", "");
    folder_.WriteFile("usr/bin/make", "");
    ASSERT_EQ(::symlink("usr/bin", folder_.Path("bin").c_str()), 0);
    ASSERT_EQ(::symlink("dash", folder_.Path("usr/bin/sh").c_str()), 0);
  }
  // Everything is granted, and `what` (`@` is the folder) denied.
  std::shared_ptr<const Policy> Denying(std::string what) const {
    for (size_t at = 0; (at = what.find('@')) != std::string::npos;) what.replace(at, 1, folder_.path());
    return PolicyWith("run { name: 'g' program: '/' } path { name: 'p' uses: LISTEN paths: '/' }",
                      StrCat("deny { name: 'd' ", what, " }"));
  }
  std::string ToRun(const Policy& policy, std::string_view name) const {
    return Ruling(policy, RunOf(folder_.Path(name)));
  }
  std::string ToListen(const Policy& policy, std::string_view name) const {
    return Ruling(policy, PathFor(PathUse::kListen, folder_.Path(name)));
  }

  const TempDir folder_;
};

TEST_F(PolicyLinks, DeniedProgramIsAlsoWhatItLeadsTo) {
  for (const char* denied : {"run: '@/bin/dash'", "run: '@/bin/sh'", "run: '@/usr/bin/sh'"}) {
    const auto policy = Denying(denied);
    EXPECT_EQ(ToRun(*policy, "usr/bin/dash"), "-deny/d") << denied;
    EXPECT_EQ(ToRun(*policy, "usr/bin/make"), "+r/g") << denied;
  }
  EXPECT_EQ(ToRun(*Denying("run: '@/bin/sh'"), "bin/sh"), "-deny/d") << "as it is written, too";
  EXPECT_EQ(ToRun(*Denying("run: '@/usr/bin/dash'"), "usr/bin/sh"), "+r/g") << "nobody is asked about a link";
}

TEST_F(PolicyLinks, DeniedFolderIsAlsoWhatItLeadsTo) {
  const auto policy = Denying("run: '@/bin/' path: '@/bin/'");
  EXPECT_EQ(ToRun(*policy, "usr/bin/dash"), "-deny/d");
  EXPECT_EQ(ToRun(*policy, "bin/dash"), "-deny/d");
  EXPECT_EQ(ToRun(*policy, "usr/bin2/dash"), "+r/g");
  EXPECT_EQ(ToListen(*policy, "usr/bin/socket"), "-deny/d");
  EXPECT_EQ(ToListen(*policy, "bin/socket"), "-deny/d");
  EXPECT_EQ(ToListen(*policy, "usr/socket"), "+r/p");
}

TEST_F(PolicyLinks, WhatIsNotThereYetIsDeniedWhereItsFolderLeads) {
  const auto policy = Denying("path: ['@/bin/socket', '@/none/socket', 'fd:3']");
  EXPECT_EQ(ToListen(*policy, "usr/bin/socket"), "-deny/d");
  EXPECT_EQ(ToListen(*policy, "bin/socket"), "-deny/d");
  EXPECT_EQ(ToListen(*policy, "none/socket"), "-deny/d");
  EXPECT_EQ(ToListen(*policy, "usr/bin/socket2"), "+r/p");
}

TEST_F(PolicyLinks, LinksAreFollowedWhenThePolicyIsCompiled) {
  ASSERT_EQ(::symlink("loop", folder_.Path("loop").c_str()), 0);
  const auto before = Denying("run: ['@/sh', '@/loop', '@/loop/']");
  ASSERT_EQ(::symlink("usr/bin/dash", folder_.Path("sh").c_str()), 0);
  EXPECT_EQ(ToRun(*before, "usr/bin/dash"), "+r/g");
  const auto after = Denying("run: ['@/sh', '@/loop', '@/loop/']");
  EXPECT_EQ(ToRun(*after, "usr/bin/dash"), "-deny/d");
  EXPECT_EQ(after->sha256(), before->sha256());
}

TEST_F(PolicyLinks, GrantIsNotOfWhatItLeadsTo) {
  const auto policy = PolicyWith(StrCat("run { name: 'g' program: '", folder_.Path("bin/sh"), "' }"));
  EXPECT_EQ(ToRun(*policy, "usr/bin/dash"), "-builtin/no_grant");
}

TEST(PolicyRun, TheGrantIsToldAndOrderDoesNotMatter) {
  constexpr const char* kGrants[] = {
      "run { name: 'any' program: '/bin/' network: HOST }",
      "run { name: 'sh' program: '/bin/sh' network: HOST }",
      "run { name: 'strict' program: '/bin/sh' }",
      "run { name: 'args' program: '/bin/sh' args_regex: '-c' network: HOST confinement: BEST_EFFORT }",
  };
  for (const bool forward : {true, false}) {
    std::string grants;
    for (int i = 0; i < 4; ++i) grants += kGrants[forward ? i : 3 - i];
    const auto policy = PolicyWith(grants);
    EXPECT_EQ(Ruling(*policy, RunOf("/bin/sh", {"-c"})), "+r/args");
    EXPECT_EQ(Ruling(*policy, RunOf("/bin/sh", {"-x"})), "+r/strict");
    EXPECT_EQ(Ruling(*policy, RunOf("/bin/ls")), "+r/any");
    const Decision decision = policy->Decide("p", RunOf("/bin/sh", {"-x"})->action);
    ASSERT_NE(decision.run, nullptr);
    EXPECT_EQ(decision.run->name(), "strict");
  }
}

// --- Paths, options, TLS, Admin, sessions

TEST(PolicyPath, FilesFoldersAbstractSocketsAndDescriptors) {
  const auto policy = PolicyWith(R"(
      path { name: 'g' uses: [CONNECT, READ] paths: ['/run/a.sock', '/srv/data/', '@bus', '@job-*', 'fd:3'] })");
  for (const char* path : {"/run/a.sock", "/srv/data/x", "/srv/data/x/y", "@bus", "@job-", "@job-1", "fd:3"}) {
    EXPECT_EQ(Ruling(*policy, PathFor(PathUse::kConnect, path)), "+r/g") << path;
    EXPECT_EQ(Ruling(*policy, PathFor(PathUse::kRead, path)), "+r/g") << path;
    EXPECT_EQ(Ruling(*policy, PathFor(PathUse::kWrite, path)), "-builtin/no_grant") << path;
    EXPECT_EQ(Ruling(*policy, PathFor(PathUse::kListen, path)), "-builtin/no_grant") << path;
  }
  for (const char* path : {"/run/a.sock2", "/srv/data", "/srv/database", "@buss", "@jo", "fd:33", "fd:3x", "/"}) {
    EXPECT_EQ(Ruling(*policy, PathFor(PathUse::kRead, path)), "-builtin/no_grant") << path;
  }
  for (const char* path : {"", "@", "run/a.sock", "/srv/data/../../etc/shadow", "/srv/data/./x", "/srv/data//x",
                           "/srv/data/", "/srv/data/.."}) {
    EXPECT_EQ(Ruling(*policy, PathFor(PathUse::kRead, path)), "-builtin/bad_path") << path;
  }
  EXPECT_EQ(Ruling(*policy, PathFor(PathUse::kRead, std::string_view("/srv/data/x\0y", 13))), "-builtin/bad_path");
  EXPECT_EQ(Ruling(*policy, PathFor(PathUse::kNone, "@bus")), "-builtin/bad_action");
}

TEST(PolicyPath, RootFolderIsEveryPathAndNothingAbstract) {
  const auto policy = PolicyWith("path { name: 'g' uses: READ paths: '/' }");
  EXPECT_EQ(Ruling(*policy, PathFor(PathUse::kRead, "/etc/passwd")), "+r/g");
  EXPECT_EQ(Ruling(*policy, PathFor(PathUse::kRead, "@x")), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*policy, PathFor(PathUse::kRead, "fd:0")), "-builtin/no_grant");
}

TEST(PolicyOption, StarIsEveryOption) {
  const auto policy = PolicyWith("option { name: 'g' options: '*' }");
  EXPECT_EQ(Ruling(*policy, Named(ActionKind::kOption, "SO_RCVBUF")), "+r/g");
  EXPECT_EQ(Ruling(*policy, Named(ActionKind::kOption, "")), "-builtin/bad_action");
  EXPECT_EQ(Ruling(*policy, Named(ActionKind::kTls, "unverified")), "-builtin/no_grant");
}

TEST(PolicyTls, IdentitiesAreGrantedByName) {
  const auto policy = PolicyWith("option { name: 'g' tls_identities: 'web' } option { name: 't' own_trust: true }");
  EXPECT_EQ(Ruling(*policy, Named(ActionKind::kTls, "identity:web")), "+r/g");
  EXPECT_EQ(Ruling(*policy, Named(ActionKind::kTls, "identity:web2")), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*policy, Named(ActionKind::kTls, "own_trust")), "+r/t");
  EXPECT_EQ(Ruling(*policy, Named(ActionKind::kTls, "unverified")), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*policy, Named(ActionKind::kTls, "web")), "-builtin/bad_action");
  const auto all = PolicyWith("option { name: 'g' tls_identities: '*' }");
  EXPECT_EQ(Ruling(*all, Named(ActionKind::kTls, "identity:other")), "+r/g");
}

TEST(PolicySession, AnyGrantButAdminIsEnough) {
  const auto ruling = [](std::string_view grants) {
    return Ruling(*PolicyWith(grants), Named(ActionKind::kSession, ""));
  };
  EXPECT_EQ(ruling("path { name: 'g' uses: READ paths: '/x' }"), "+r/g");
  EXPECT_EQ(ruling("admin { name: 'g' methods: '*' }"), "-builtin/no_grant");
  EXPECT_EQ(ruling(""), "-builtin/no_grant");
  EXPECT_EQ(Ruling(*PolicyOf(""), Named(ActionKind::kSession, "")), "-builtin/no_role");
}

// --- Principals, roles, quotas

TEST(PolicyPrincipals, HaveTheRolesOfEveryFittingBinding) {
  const auto policy = PolicyOf(R"(
      role { name: 'a' path { name: 'g' uses: READ paths: '/a' } } role { name: 'b' path { name: 'g' uses: READ paths: '/b' } }
      role { name: 'c' path { name: 'g' uses: READ paths: '/c' } }
      binding { role: 'a' principals: '*' } binding { role: 'b' principals: ['x*', 'x'] } binding { role: 'c' principals: 'xy' }
      deny { name: 'd' principals: 'xyz' path: '/a' })");
  const auto ruling = [&](std::string_view principal, std::string_view path) {
    return Ruling(*policy, PathFor(PathUse::kRead, path), principal);
  };
  EXPECT_EQ(ruling("xy", "/a"), "+a/g");
  EXPECT_EQ(ruling("xy", "/b"), "+b/g");
  EXPECT_EQ(ruling("xy", "/c"), "+c/g");
  EXPECT_EQ(ruling("xyz", "/a"), "-deny/d");
  EXPECT_EQ(ruling("xyz", "/b"), "+b/g");
  EXPECT_EQ(ruling("xyz", "/c"), "-builtin/no_grant");
  EXPECT_EQ(ruling("y", "/b"), "-builtin/no_grant");
  EXPECT_EQ(ruling("", "/a"), "-builtin/no_principal");
  EXPECT_TRUE(policy->HasRole("y"));
  EXPECT_FALSE(policy->HasRole(""));
}

TEST(PolicyQuota, EachRoleOfThePrincipalHasItsSay) {
  const auto policy = PolicyOf(R"(
      role { name: 'a' quota { sessions: 4 } } role { name: 'b' quota { sessions: 2 } } role { name: 'c' }
      binding { role: 'a' principals: 'both' } binding { role: 'b' principals: ['both', 'b*'] })");
  const auto sessions = [&](std::string_view principal) {
    std::vector<uint32_t> all;
    for (const v1::Quota* quota : policy->QuotasFor(principal)) all.push_back(quota->sessions());
    return all;
  };
  EXPECT_THAT(sessions("both"), ElementsAre(4, 2));
  EXPECT_THAT(sessions("bob"), ElementsAre(2));
  EXPECT_THAT(sessions("other"), ElementsAre());
}

TEST(PolicyCompile, RefusesWhatIsNotValid) {
  v1::Policy policy;
  policy.add_role()->set_name("A");
  const auto compiled = Policy::Compile(policy);
  EXPECT_THAT(compiled, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(std::string(compiled.status().message()), HasSubstr("role[0] \"A\""));
}

TEST(PolicyCompile, SumIsThePolicysOwn) {
  const auto sum = [](std::string_view text) { return std::string(PolicyOf(text)->sha256()); };
  EXPECT_EQ(sum("role { name: 'a' }"), sum("role:{name:\"a\"} # comment\n"));
  EXPECT_NE(sum("role { name: 'a' }"), sum("role { name: 'b' }"));
  // printf '\n\002v1' | sha256sum
  EXPECT_EQ(sum(""), "62d8cdfeee4c6dc687c36c0a673bdea02f2a5c69ffab0f10d3e69764c72a5c23");
}

}  // namespace
}  // namespace transportd
