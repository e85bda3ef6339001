#include <string>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "server/policy/policy_file.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

std::string OffencesOf(std::string_view text) {
  v1::Policy policy;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(std::string(text), &policy)) << text;
  return std::string(ValidatePolicy(policy).message());
}

// Of a policy that is valid but for this.
std::string OffencesOfRole(std::string_view grants) {
  return OffencesOf(StrCat(R"(version: "v1" role { name: "r" )", grants, " }"));
}
std::string OffencesOfConnect(std::string_view fields) {
  return OffencesOfRole(StrCat(R"(connect { name: "c" protocols: TCP )", fields, " }"));
}
std::string OffencesOfSet(std::string_view fields) { return OffencesOfConnect(StrCat("to { ", fields, " }")); }

TEST(ValidatePolicy, TakesAPolicyThatUsesEverything) {
  EXPECT_EQ(OffencesOf(R"(
    version: "v1"
    role {
      name: "a.b-c_9"
      connect { name: "c" protocols: [TCP, UDP]
                to { hosts: ["db.example", "*.lab.example", "xn--bcher-kva.example", "_srv.x"] cidrs: ["10.0.0.0/8", "::1"]
                     classes: [PRIVATE, SELF] ports { first: 1 last: 65535 } ports { first: 5 } } }
      listen { name: "l" protocols: UDP on { classes: WILDCARD any_port: true } peers { cidrs: "0.0.0.0/0" classes: METADATA } }
      run { name: "r" program: "/usr/bin/" args_regex: "-[a-z]+" env: ["LANG", "MY_*", "*"] cwd: ["/", "/tmp/", "/srv"]
            network: HOST read: "/etc/x" write: "/tmp/" confinement: BEST_EFFORT
            limits { wall_time { seconds: 1 nanos: 5 } cpu_time { seconds: 2 } memory_bytes: 1 open_files: 2 } }
      path { name: "p" uses: [CONNECT, LISTEN, READ, WRITE] paths: ["/run/x", "/run/y/", "@x", "@x*", "@*", "fd:0"] }
      option { name: "o" options: ["TCP_NODELAY", "IP_ADD_MEMBERSHIP", "*"] tls_identities: ["a.B_1-", "*"] }
      option { name: "o2" unverified_tls: true }
      admin { name: "ad" methods: ["ListSessions", "*"] }
      quota { sessions: 0 connects { per_second: 0.5 } spawns { per_second: 1 burst: 9 } session_age { seconds: 9 } }
    }
    role { name: "empty" }
    binding { role: "empty" principals: ["*", "a*", "spiffe://x/y"] }
    principal_quota { sessions: 1 buffered_bytes: 65536 session_age { seconds: 9 } }
    service_quota { processes: 7 spawns { per_second: 1 } }
    deny { name: "c" connect { hosts: "a.b" cidrs: "1.1.1.1" classes: GLOBAL } }
    deny { name: "d" principals: "x" listen { classes: LOOPBACK ports { first: 7 } } run: "/bin/sh" path: ["/etc/", "@a*"] })"),
            "");
}

TEST(ValidatePolicy, OneWithoutRolesIsAllowed) { EXPECT_EQ(OffencesOf(R"(version: "v1")"), ""); }

TEST(ValidatePolicy, EachOffenceNamesItsFieldAndWhatIsAllowed) {
  struct Case {
    const char* text;
    const char* offence;
  };
  constexpr Case kCases[] = {
      {"", R"(version: "" must be "v1")"},
      {R"(version: "v2")", R"(version: "v2" must be "v1")"},
      {R"(version: "v1" role {})", R"(role[0]: name "": a name is 1 to 64 of a-z, 0-9, `-`, `_` and `.`)"},
      {R"(version: "v1" role { name: "Lab" })",
       R"(role[0] "Lab": name "Lab": a name is 1 to 64 of a-z, 0-9, `-`, `_` and `.`)"},
      {R"(version: "v1" role { name: "a" } role { name: "a" })",
       R"(role[1] "a": another has the same name; names must differ)"},
      {R"(version: "v1" role { name: "deny" })", R"(role[0] "deny": no role may be called `deny` or `builtin`)"},
      {R"(version: "v1" role { name: "a" path { name: "x" uses: READ paths: "/x" } admin { name: "x" methods: "*" } })",
       R"(role[0] "a" admin[0] "x": another has the same name; names must differ)"},
      {R"(version: "v1" binding { role: "x" principals: "y" })", R"(binding[0] role: there is no role "x")"},
      {R"(version: "v1" role { name: "a" } binding { role: "a" })",
       "binding[0]: principals must name at least one; `*` is everybody"},
      {R"(version: "v1" role { name: "a" } binding { role: "a" principals: ["ok", "a*b"] })",
       R"(binding[0] principals[1]: "a*b": `*` may stand at the end only)"},
      {R"(version: "v1" role { name: "a" } binding { role: "a" principals: "a b" })",
       R"(binding[0] principals[0]: "a b": a principal is 1 to 256 printable ASCII characters, no space)"},
      {R"(version: "v1" deny { name: "d" })", R"(deny[0] "d": denies nothing; give connect, listen, run or path)"},
      {R"(version: "v1" deny { name: "d" connect { ports { first: 25 } } })",
       R"(deny[0] "d" connect: has no address in it; give cidrs, classes or, where to connect, hosts)"},
      {R"(version: "v1" deny { name: "d" listen { hosts: "a" } })",
       R"(deny[0] "d" listen.hosts: has no meaning here; use cidrs or classes)"},
      {R"(version: "v1" deny { name: "d" run: "sh" })",
       R"(deny[0] "d" run[0]: "sh" must be an absolute path without `.`, `..` and doubled slashes)"},
      {R"(version: "v1" deny { name: "d" path: "/x" } deny { name: "d" path: "/x" })",
       R"(deny[1] "d": another has the same name; names must differ)"},
  };
  for (const Case& one : kCases) EXPECT_EQ(OffencesOf(one.text), one.offence) << one.text;
}

TEST(ValidatePolicy, GrantsToConnect) {
  struct Case {
    const char* fields;
    const char* offence;
  };
  constexpr Case kCases[] = {
      {"", ": needs `to`: where to"},
      {"to { any_port: true }", " to: has no address in it; give cidrs, classes or, where to connect, hosts"},
      {"to { classes: GLOBAL }", " to: needs ports, or any_port: true"},
      {"to { classes: GLOBAL any_port: true ports { first: 1 } }",
       " to: has both ports and any_port; give one of them"},
      {"to { classes: 0 any_port: true }",
       " to.classes[0]: 0 is none; it is one of SELF, METADATA, WILDCARD, LOOPBACK, LINK_LOCAL, PRIVATE, CGNAT, "
       "MULTICAST, "
       "BROADCAST, V4_EMBEDDED, RESERVED, GLOBAL"},
      {"protocols: 9 to { classes: GLOBAL any_port: true }", " protocols[1]: 9 is none; it is one of TCP, UDP"},
      {R"(to { cidrs: "10.0.0.0/8" classes: GLOBAL any_port: true })",
       " to.classes[0]: beside cidrs only SELF and METADATA have a meaning; for other addresses make another grant"},
      {"to { classes: GLOBAL ports {} }", " to.ports[0]: first is 0; it must be 1 to 65535"},
      {"to { classes: GLOBAL ports { first: 65536 } }", " to.ports[0]: first is 65536; it must be 1 to 65535"},
      {"to { classes: GLOBAL ports { first: 9 last: 8 } }",
       " to.ports[0]: last is 8; it must be 9 to 65535, or left out"},
      {"to { classes: GLOBAL ports { first: 9 last: 65536 } }",
       " to.ports[0]: last is 65536; it must be 9 to 65535, or left out"},
  };
  for (const Case& one : kCases) {
    EXPECT_EQ(OffencesOfConnect(one.fields), StrCat(R"(role[0] "r" connect[0] "c")", one.offence)) << one.fields;
  }
  EXPECT_EQ(OffencesOfRole(R"(connect { name: "c" to { classes: GLOBAL any_port: true } })"),
            R"(role[0] "r" connect[0] "c": needs `protocols`: TCP, UDP or both)");
  EXPECT_EQ(OffencesOfRole(R"(connect { protocols: TCP to { classes: GLOBAL any_port: true } })"),
            R"(role[0] "r" connect[0]: name "": a name is 1 to 64 of a-z, 0-9, `-`, `_` and `.`)");
}

TEST(ValidatePolicy, Networks) {
  struct Case {
    const char* cidr;
    const char* offence;
  };
  constexpr Case kCases[] = {
      {"10.0.0.1/8", " has bits behind its prefix; write 10.0.0.0/8"},
      {"10.255.0.0/9", " has bits behind its prefix; write 10.128.0.0/9"},
      {"fd00::1/64", " has bits behind its prefix; write fd00::/64"},
      {"2001:db8:0:3::/63", " has bits behind its prefix; write 2001:db8:0:2::/63"},
      {"::ffff:10.0.0.1/104", " has bits behind its prefix; write 10.0.0.0/8"},
      {"10.0.0.0/33", " is no network; write 10.0.0.0/8, fd00::/8, or one address"},
      {"10.0.0/8", " is no network; write 10.0.0.0/8, fd00::/8, or one address"},
      {"010.0.0.0/8", " is no network; write 10.0.0.0/8, fd00::/8, or one address"},
      {"db.example", " is no network; write 10.0.0.0/8, fd00::/8, or one address"},
      {"", " is no network; write 10.0.0.0/8, fd00::/8, or one address"},
  };
  for (const Case& one : kCases) {
    EXPECT_EQ(OffencesOfSet(StrCat("any_port: true cidrs: '", one.cidr, "'")),
              StrCat(R"(role[0] "r" connect[0] "c" to.cidrs[0]: ")", one.cidr, "\"", one.offence));
  }
}

TEST(ValidatePolicy, Hosts) {
  struct Case {
    const char* host;
    const char* offence;
  };
  constexpr char kNoName[] = "is no host name; write db.example, or *.example for all below it";
  constexpr char kAddress[] = "is an address or has a port; addresses belong in cidrs, ports in ports";
  constexpr char kStar[] = "has a `*` that is not a `*.` before all else";
  const Case cases[] = {
      {"*", "is every name; leave hosts out, and give classes or cidrs"},
      {"*.", kNoName},
      {"", kNoName},
      {".", "must not have a dot at its end"},
      {"a..b", kNoName},
      {"-a.b", kNoName},
      {"a-.b", kNoName},
      {"a b", kNoName},
      {"a/b", kNoName},
      {"DB.example", "must be lower-case"},
      {"bücher.example", "must be ASCII; internationalized names are written as xn--…"},
      {"db.example.", "must not have a dot at its end"},
      {"db.*.example", kStar},
      {"db*.example", kStar},
      {"*db.example", kStar},
      {"*.*.example", kStar},
      {"10.0.0.1", kAddress},
      {"127.1", kAddress},
      {"0x7f000001", kAddress},
      {"2130706433", kAddress},
      {"*.0x1", kAddress},
      {"::1", kAddress},
      {"db.example:80", kAddress},
  };
  for (const Case& one : cases) {
    EXPECT_THAT(OffencesOfSet(StrCat("any_port: true hosts: '", one.host, "'")), EndsWith(StrCat("\" ", one.offence)))
        << one.host;
  }
  EXPECT_THAT(OffencesOfSet(StrCat("any_port: true hosts: '", std::string(64, 'a'), "'")), EndsWith(kNoName));
}

TEST(ValidatePolicy, GrantsToListen) {
  constexpr char kOn[] = "on { classes: LOOPBACK any_port: true }";
  const auto offences = [](std::string_view fields) {
    return OffencesOfRole(StrCat(R"(listen { name: "l" protocols: TCP )", fields, " }"));
  };
  EXPECT_EQ(offences(""), R"(role[0] "r" listen[0] "l": needs `on`: the local addresses)");
  EXPECT_EQ(offences("on { hosts: 'localhost' any_port: true }"),
            R"(role[0] "r" listen[0] "l" on.hosts: has no meaning here; use cidrs or classes)");
  EXPECT_EQ(
      offences(StrCat(kOn, " peers {}")),
      R"(role[0] "r" listen[0] "l" peers: has no address in it; give cidrs, classes or, where to connect, hosts)");
  EXPECT_EQ(offences(StrCat(kOn, " peers { classes: LOOPBACK any_port: true }")),
            R"(role[0] "r" listen[0] "l" peers.ports: have no meaning here; leave them out)");
}

TEST(ValidatePolicy, GrantsToRun) {
  struct Case {
    const char* fields;
    const char* offence;
  };
  constexpr Case kCases[] = {
      {"", R"( program: "" must be an absolute path without `.`, `..` and doubled slashes)"},
      {"program: 'ls'", R"( program: "ls" must be an absolute path without `.`, `..` and doubled slashes)"},
      {"program: '/usr/../bin/ls'",
       R"( program: "/usr/../bin/ls" must be an absolute path without `.`, `..` and doubled slashes)"},
      {"program: '/usr//ls'", R"( program: "/usr//ls" must be an absolute path without `.`, `..` and doubled slashes)"},
      {"program: '/usr/bin/*'", R"( program: "/usr/bin/*" has a `*`; for all below a folder end it with `/`)"},
      {"program: '/a' args_regex: '('", R"re( args_regex: "(": missing ): ()re"},
      {"program: '/a' args_regex: '(?=a)'", R"re( args_regex: "(?=a)": invalid perl operator: (?=)re"},
      {"program: '/a' env: 'A=B'",
       R"( env[0]: "A=B": a name is letters, digits and `_`, and may end with `*` for all that begin so)"},
      {"program: '/a' env: ''",
       R"( env[0]: "": a name is letters, digits and `_`, and may end with `*` for all that begin so)"},
      {"program: '/a' cwd: 'tmp'", R"( cwd[0]: "tmp" must be an absolute path without `.`, `..` and doubled slashes)"},
      {"program: '/a' write: '~'", R"( write[0]: "~" must be an absolute path without `.`, `..` and doubled slashes)"},
      {"program: '/a' network: 7", " network: 7 is none; it is one of NONE, HOST"},
      {"program: '/a' confinement: 7", " confinement: 7 is none; it is one of REQUIRED, BEST_EFFORT"},
      {"program: '/a' limits { wall_time { seconds: -1 } }",
       " limits.wall_time: must be a time of more than 0; leave it out for none"},
      {"program: '/a' limits { wall_time { nanos: 1000000000 } }",
       " limits.wall_time: must be a time of more than 0; leave it out for none"},
      {"program: '/a' limits { cpu_time { seconds: 1 nanos: 1 } }", " limits.cpu_time: must be whole seconds"},
  };
  for (const Case& one : kCases) {
    EXPECT_EQ(OffencesOfRole(StrCat(R"(run { name: "x" )", one.fields, " }")),
              StrCat(R"(role[0] "r" run[0] "x")", one.offence))
        << one.fields;
  }
}

TEST(ValidatePolicy, OtherGrants) {
  struct Case {
    const char* grant;
    const char* offence;
  };
  constexpr Case kCases[] = {
      {"path { name: 'p' paths: '/x' }", R"( path[0] "p": needs `uses`: CONNECT, LISTEN, READ or WRITE)"},
      {"path { name: 'p' uses: 0 paths: '/x' }",
       R"( path[0] "p" uses[0]: 0 is none; it is one of CONNECT, LISTEN, READ, WRITE)"},
      {"path { name: 'p' uses: READ }", R"( path[0] "p": needs `paths`)"},
      {"path { name: 'p' uses: READ paths: 'x' }",
       R"( path[0] "p" paths[0]: "x" must be an absolute path without `.`, `..` and doubled slashes, or @NAME, or fd:N)"},
      {"path { name: 'p' uses: READ paths: '@' }",
       R"( path[0] "p" paths[0]: "@" has no name; `@*` is every abstract socket)"},
      {"path { name: 'p' uses: READ paths: '@a*b' }",
       R"( path[0] "p" paths[0]: "@a*b" has a `*` that is not at its end)"},
      {"path { name: 'p' uses: READ paths: 'fd:x' }", R"( path[0] "p" paths[0]: "fd:x" is no descriptor; write fd:3)"},
      {"path { name: 'p' uses: READ paths: 'fd:03' }",
       R"( path[0] "p" paths[0]: "fd:03" is no descriptor; write fd:3)"},
      {"option { name: 'o' }",
       R"( option[0] "o": grants nothing; give options, unverified_tls, own_trust or tls_identities)"},
      {"option { name: 'o' tls_identities: 'a b' }",
       R"( option[0] "o" tls_identities[0]: "a b": a name is letters, digits, `-`, `_` and `.`; `*` is all)"},
      {"admin { name: 'a' }", R"( admin[0] "a": needs `methods`; `*` is all)"},
      {"quota { connects {} }", " quota.connects.per_second: must be more than 0, and at most 1000000"},
      {"quota { spawns { per_second: nan } }", " quota.spawns.per_second: must be more than 0, and at most 1000000"},
      {"quota { resolutions { per_second: 1 burst: 1000001 } }", " quota.resolutions.burst: must be at most 1000000"},
      {"quota { buffered_bytes: 65535 }", " quota.buffered_bytes: must be at least 65536"},
      {"quota { session_age {} }", " quota.session_age: must be a time of more than 0; leave it out for none"},
      {"quota { session_idle { seconds: 400000000000 } }",
       " quota.session_idle: must be a time of more than 0; leave it out for none"},
  };
  for (const Case& one : kCases)
    EXPECT_EQ(OffencesOfRole(one.grant), StrCat(R"(role[0] "r")", one.offence)) << one.grant;
  EXPECT_THAT(
      OffencesOfRole("option { name: 'o' options: 'SO_BINDTODEVICE' }"),
      HasSubstr(R"(option[0] "o" options[0]: "SO_BINDTODEVICE" is none that the service knows; `*` or one of IP_ADD)"));
  EXPECT_THAT(OffencesOfRole("option { name: 'o' options: 'SO_ERROR' }"), HasSubstr("is none that the service knows"));
  EXPECT_THAT(OffencesOfRole("admin { name: 'a' methods: 'Nothing' }"),
              HasSubstr(R"("Nothing" is no method of Admin; `*` or one of GetVersion, ListSessions, ListTransports)"));
}

TEST(ValidatePolicy, SomeQuotasAreOfOnePrincipalAlone) {
  EXPECT_EQ(OffencesOf(R"(version: "v1" principal_quota { connects {} }
                          service_quota { buffered_bytes: 65536 session_age { seconds: 1 } session_idle { seconds: 1 } })"),
            "principal_quota.connects.per_second: must be more than 0, and at most 1000000\n"
            "service_quota.buffered_bytes: is of one principal; --buffered-bytes bounds those of all\n"
            "service_quota.session_age: is of one principal; give it in principal_quota\n"
            "service_quota.session_idle: is of one principal; give it in principal_quota");
}

TEST(ValidatePolicy, TellsAllOffencesUpToFifty) {
  EXPECT_EQ(OffencesOf("role { name: 'A' } binding { role: 'b' principals: 'x' }"),
            "version: \"\" must be \"v1\"\n"
            "role[0] \"A\": name \"A\": a name is 1 to 64 of a-z, 0-9, `-`, `_` and `.`\n"
            "binding[0] role: there is no role \"b\"");
  std::string many = "version: 'v1'";
  for (int i = 0; i < 53; ++i) many += " role {}";
  EXPECT_THAT(OffencesOf(many), testing::AllOf(HasSubstr("\nrole[49]: name"), EndsWith("\nand 3 more")));
}

TEST(ValidatePolicy, NamesAreQuotedOnOneLine) {
  EXPECT_THAT(OffencesOf("version: 'v1\\nrole[0]: fine'"), testing::StartsWith(R"(version: "v1\nrole[0]: fine" must)"));
}

}  // namespace
}  // namespace transportd
