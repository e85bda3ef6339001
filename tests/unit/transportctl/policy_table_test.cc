#include "clients/cpp/transportctl/policy_table.h"

#include <string>

#include "clients/cpp/transportctl/policy_question.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace transportd::ctl {
namespace {

using testing::HasSubstr;

std::string TableErrorOf(std::string_view text) {
  const auto test = ReadPolicyTest(text, "t");
  return test.ok() ? "" : std::string(test.status().message());
}

std::shared_ptr<const Policy> SamplePolicy() {
  v1::Policy policy;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
      version: "v1"
      role { name: "r"
             connect { name: "lo" protocols: [TCP, UDP] to { classes: LOOPBACK ports { first: 1 last: 100 } } }
             listen { name: "l" protocols: [TCP, UDP] on { classes: LOOPBACK any_port: true } peers { classes: LOOPBACK } }
             run { name: "x" program: "/bin/x" args_regex: "a" env: "E" cwd: "/tmp" }
             path { name: "p" uses: [CONNECT, LISTEN, READ] paths: "/p" } option { name: "o" options: "*" own_trust: true }
             admin { name: "a" methods: "*" } }
      binding { role: "r" principals: "p" })",
                                                            &policy));
  return *Policy::Compile(policy);
}

TEST(PolicyTable, EachActionIsAskedAsItIsWritten) {
  const auto test = ReadPolicyTest(R"(
      policy: "x"
      expect { principal: "p" connect { address: "127.0.0.1" port: 7 } outcome: ALLOWED rule: "r/lo" }
      expect { principal: "p" connect { protocol: UDP address: "::1" port: 101 } outcome: DENIED }
      expect { principal: "p" listen { address: "127.0.0.1" } outcome: ALLOWED rule: "r/l" }
      expect { principal: "p" accept { peer: "127.0.0.1" address: "127.0.0.1" port: 9 } outcome: ALLOWED rule: "r/l" }
      expect { principal: "p" accept { protocol: UDP peer: "127.0.0.1" peer_port: 7 address: "0.0.0.0" } outcome: ALLOWED rule: "r/lo" }
      expect { principal: "p" run { program: "/bin/x" args: "a" env: "E" cwd: "/tmp" } outcome: ALLOWED rule: "r/x" }
      expect { principal: "p" run { program: "/bin/x" args: "b" cwd: "/tmp" } outcome: DENIED }
      expect { principal: "p" run { program: "/bin/x" env: "F" cwd: "/tmp" } outcome: DENIED }
      expect { principal: "p" run { program: "/bin/x" } outcome: DENIED }
      expect { principal: "p" path { use: READ path: "/p" } outcome: ALLOWED rule: "r/p" }
      expect { principal: "p" path { use: WRITE path: "/p" } outcome: DENIED }
      expect { principal: "p" option: "SO_REUSEPORT" outcome: ALLOWED rule: "r/o" }
      expect { principal: "p" tls: "own_trust" outcome: ALLOWED }
      expect { principal: "p" tls: "unverified" outcome: DENIED }
      expect { principal: "p" resolve: "localhost" outcome: ALLOWED }
      expect { principal: "p" admin: "ListSessions" outcome: ALLOWED rule: "r/a" }
      expect { principal: "p" session: true outcome: ALLOWED }
      expect { principal: "q" session: true outcome: DENIED rule: "builtin/no_role" })",
                                   "t");
  ASSERT_THAT(test, IsOk());
  const PolicyTestReport report = RunPolicyTest(*test, *SamplePolicy());
  EXPECT_EQ(report.failure_count, 0) << report.tap;
  EXPECT_THAT(report.tap, testing::StartsWith("TAP version 14\n1..18\nok 1 - p: connect 127.0.0.1:7\nok 2 - "));
}

TEST(PolicyTable, FailuresSayWhatWasDecided) {
  const auto test = ReadPolicyTest(R"(
      policy: "x"
      expect { name: "a # b\nnot ok" principal: "it's" connect { address: "127.0.0.1" port: 7 } outcome: ALLOWED rule: "r/lo" }
      expect { principal: "p" connect { address: "127.0.0.1" port: 7 } outcome: ALLOWED rule: "r/other" }
      expect { principal: "p" connect { address: "127.0.0.1" port: 7 } outcome: DENIED })",
                                   "t");
  ASSERT_THAT(test, IsOk());
  const PolicyTestReport report = RunPolicyTest(*test, *SamplePolicy());
  EXPECT_EQ(report.failure_count, 3);
  EXPECT_EQ(report.tap,
            "TAP version 14\n1..3\n"
            "not ok 1 - a \\# b\\\\nnot ok\n"
            "  ---\n  principal: 'it''s'\n  asked: 'connect 127.0.0.1:7'\n  expected: 'ALLOWED by r/lo'\n"
            "  decided: 'DENIED by builtin/no_role'\n  class: LOOPBACK\n  ...\n"
            "not ok 2 - p: connect 127.0.0.1:7\n"
            "  ---\n  principal: 'p'\n  asked: 'connect 127.0.0.1:7'\n  expected: 'ALLOWED by r/other'\n"
            "  decided: 'ALLOWED by r/lo'\n  class: LOOPBACK\n  ...\n"
            "not ok 3 - p: connect 127.0.0.1:7\n"
            "  ---\n  principal: 'p'\n  asked: 'connect 127.0.0.1:7'\n  expected: 'DENIED'\n"
            "  decided: 'ALLOWED by r/lo'\n  class: LOOPBACK\n  ...\n");
}

TEST(PolicyTable, BadTablesAreRefusedWithEveryOffence) {
  EXPECT_EQ(
      TableErrorOf("own_ports: 0"),
      "t: policy: must name the policy's file\nt: expect: must have at least one\nt: own_ports[0]: must be 1 to 65535");
  EXPECT_EQ(
      TableErrorOf("policy: 'x' expect { name: 'n' principal: 'p' }"),
      "t: expect[0] \"n\": asks nothing; give one of connect, listen, accept, run, path, option, tls, resolve, admin, "
      "session\nt: expect[0] \"n\": outcome must be ALLOWED or DENIED");
  const auto error_of = [](const std::string& action) {
    return TableErrorOf("policy: 'x' expect { outcome: DENIED " + action + " }");
  };
  EXPECT_EQ(error_of("connect { address: 'db' }"), "t: expect[0]: `db` is no address; write 10.1.2.3 or fd00::1");
  EXPECT_EQ(error_of("connect { address: '::1' port: 65536 }"),
            "t: expect[0]: the port is 65536; it must be 0 to 65535");
  EXPECT_EQ(error_of("connect { address: '::1' protocol: 9 }"), "t:1:63: `protocol` must be one of TCP, UDP");
  EXPECT_EQ(error_of("path { path: '/x' }"), "t: expect[0]: use must be CONNECT, LISTEN, READ or WRITE");
  EXPECT_EQ(error_of("session: false"), "t: expect[0]: session must be true");
  EXPECT_THAT(TableErrorOf("policy: 'x'\nexcept {}"), HasSubstr("t:2:8: "));
}

TEST(PolicyTable, PolicyIsSeenFromTheTestsFolder) {
  v1::PolicyTest test;
  test.set_policy("p.txtpb");
  EXPECT_EQ(PolicyPathOf(test, "a/b/t.txtpb"), "a/b/p.txtpb");
  EXPECT_EQ(PolicyPathOf(test, "t.txtpb"), "p.txtpb");
  test.set_policy("/etc/p.txtpb");
  EXPECT_EQ(PolicyPathOf(test, "a/b/t.txtpb"), "/etc/p.txtpb");
}

TEST(LoadPolicy, OwnPortsAreSelf) {
  const TempDir folder;
  const std::string path = folder.WriteFile("p", R"(version: "v1"
      role { name: "r" connect { name: "c" protocols: TCP to { cidrs: "127.0.0.0/8" any_port: true } } }
      binding { role: "r" principals: "*" })");
  const auto policy = LoadPolicy(path, {7});
  ASSERT_THAT(policy, IsOk());
  PolicyQuestion question = {.kind = ActionKind::kConnect, .protocol = ActionProtocol::kTcp};
  question.address = *ParseNumericAddress("127.0.0.1", 7);
  EXPECT_EQ(question.Ask(**policy, "p").rule, "builtin/self");
  question.address.port = 8;
  EXPECT_EQ(question.Ask(**policy, "p").rule, "r/c");
}

}  // namespace
}  // namespace transportd::ctl
