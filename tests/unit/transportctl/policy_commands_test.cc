#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "clients/cpp/transportctl/commands.h"
#include "clients/cpp/transportctl/exit_code.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_dir.h"

namespace transportd::ctl {
namespace {

using testing::HasSubstr;

constexpr std::string_view kSamplePolicy = R"(
  version: "v1"
  role {
    name: "r"
    connect { name: "lab" protocols: TCP to { hosts: "*.lab.example" hosts: "localhost" classes: PRIVATE any_port: true } }
    listen { name: "l" protocols: UDP on { classes: LOOPBACK ports { first: 7 } ports { first: 20 last: 29 } } }
    run { name: "ls" program: "/none/ls" args_regex: "-l" env: "LANG" cwd: "/none/x/" }
  }
  binding { role: "r" principals: "me" }
)";

// What it printed, and its exit status.
struct Outcome {
  int exit_status = 0;
  std::string out;
  std::string error;
};

Outcome RunWords(const std::vector<std::string_view>& words) {
  const auto arguments = ParseArguments(words);
  EXPECT_TRUE(arguments.ok()) << arguments.status();
  if (!arguments.ok()) return {};
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int exit_status = RunPolicy(*arguments);
  return {exit_status, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

class PolicyCommands : public testing::Test {
 protected:
  Outcome Explain(std::vector<std::string_view> words) const {
    words.insert(words.begin(), {"policy", "explain", "--policy", policy_path_, "--as", "me"});
    return RunWords(words);
  }

  const TempDir& folder() const { return folder_; }

 private:
  const TempDir folder_;
  const std::string policy_path_ = folder_.WriteFile("p.txtpb", kSamplePolicy);
};

TEST_F(PolicyCommands, ExplainTellsDecisionRuleAndClassOfEachAddress) {
  const Outcome outcome = Explain({"connect", "db.lab.example:80", "--at", "10.0.0.1", "--at", "127.0.0.1"});
  EXPECT_EQ(outcome.exit_status, kOk);
  EXPECT_EQ(outcome.out,
            "DECISION  RULE              CLASS     ASKED\n"
            "allowed   r/lab             -         resolve db.lab.example\n"
            "allowed   r/lab             PRIVATE   connect 10.0.0.1:80 (db.lab.example)\n"
            "denied    builtin/no_grant  LOOPBACK  connect 127.0.0.1:80 (db.lab.example)\n");
}

TEST_F(PolicyCommands, ExplainFailsWhenNoAddressIsAllowed) {
  EXPECT_EQ(Explain({"connect", "db.lab.example:80", "--at", "127.0.0.1"}).exit_status, kFailed);
  EXPECT_EQ(Explain({"connect", "10.0.0.1:80"}).exit_status, kFailed);
  // The name is denied, wherever it leads.
  EXPECT_EQ(Explain({"connect", "db.example:80", "--at", "10.0.0.1"}).exit_status, kFailed);
}

TEST_F(PolicyCommands, ExplainResolvesHereWhenAsked) {
  const Outcome outcome = Explain({"connect", "localhost:80", "--resolve", "-4"});
  EXPECT_EQ(outcome.exit_status, kFailed);
  EXPECT_THAT(outcome.out, HasSubstr("denied    builtin/no_grant  LOOPBACK  connect 127.0.0.1:80 (localhost)\n"));
  const Outcome unresolved = Explain({"connect", "localhost:80"});
  EXPECT_EQ(unresolved.exit_status, kUsage);
  EXPECT_THAT(unresolved.error, HasSubstr("`localhost` is a name: give --resolve"));
}

TEST_F(PolicyCommands, ExplainTellsThePortsOfAServer) {
  const Outcome outcome = Explain({"listen", "--udp", "127.0.0.1:0"});
  EXPECT_EQ(outcome.exit_status, kOk);
  EXPECT_THAT(outcome.out, HasSubstr("allowed   r/l   LOOPBACK  listen (UDP) 127.0.0.1:0, ports 7,20-29\n"));
  EXPECT_EQ(Explain({"listen", "127.0.0.1:7"}).exit_status, kFailed);
}

TEST_F(PolicyCommands, ExplainTakesAProgramWithItsArguments) {
  const Outcome allowed = Explain({"--cwd", "/none/x", "--env=LANG=C", "run", "/none/ls", "-l"});
  EXPECT_EQ(allowed.exit_status, kOk);
  EXPECT_THAT(allowed.out, HasSubstr(" run /none/ls -l\n"));
  EXPECT_EQ(Explain({"--cwd", "/none/x", "--env=PATH=x", "run", "/none/ls", "-l"}).exit_status, kFailed);
  EXPECT_EQ(Explain({"--cwd", "/none/x", "run", "/none/ls", "-a"}).exit_status, kFailed);
  EXPECT_EQ(Explain({"run", "/none/ls", "-l"}).exit_status, kFailed);
}

TEST_F(PolicyCommands, ExplainJudgesTheRealPathOfAProgramAndItsFolder) {
  const std::string program = folder().WriteFile("dash", "");
  const std::string link = folder().Path("sh");
  const std::string here = folder().Path("here");
  ASSERT_EQ(::symlink("dash", link.c_str()), 0);
  ASSERT_EQ(::symlink(".", here.c_str()), 0);
  const auto explain = [&](const std::string& granted, const std::string& denied) {
    const std::string policy = folder().WriteFile(
        "real", "version: 'v1' role { name: 'r' run { name: 'g' program: '" + granted + "' cwd: '" + folder().path() +
                    "' } } binding { role: 'r' principals: 'me' } deny { name: 'd' run: '" + denied + "' }");
    return RunWords({"policy", "explain", "--policy", policy, "--as", "me", "--cwd", here, "run", link, "-c"});
  };
  EXPECT_THAT(explain(program, "/none").out,
              HasSubstr("allowed   r/g   -      run " + program + " (" + link + ") -c\n"));
  EXPECT_THAT(explain(link, "/none").out, HasSubstr("denied    builtin/no_grant"));
  EXPECT_THAT(explain(program, link).out, HasSubstr("denied    deny/d"));
}

TEST_F(PolicyCommands, ExplainTakesTheOtherQuestions) {
  EXPECT_THAT(Explain({"session"}).out, HasSubstr("allowed   r/lab"));
  EXPECT_EQ(Explain({"resolve", "x.lab.example"}).exit_status, kOk);
  for (const std::vector<std::string_view>& words :
       std::vector<std::vector<std::string_view>>{{"resolve", "x.example"},
                                                  {"path", "read", "/x"},
                                                  {"option", "SO_REUSEPORT"},
                                                  {"tls", "own_trust"},
                                                  {"admin", "GetVersion"}}) {
    const Outcome outcome = Explain(words);
    EXPECT_EQ(outcome.exit_status, kFailed) << words.front();
    EXPECT_THAT(outcome.out, HasSubstr("denied    builtin/no_grant")) << words.front();
  }
}

TEST_F(PolicyCommands, GrantsOfALinkAreOfNoUse) {
  const std::string program = folder().WriteFile("program", "");
  const std::string link = folder().path() + "/link";
  ASSERT_EQ(::symlink(program.c_str(), link.c_str()), 0);
  const std::string begin = R"(version: "v1" binding { role: "r" principals: "me" } role { name: "r" )";
  const auto grants = [&](const std::string& path) {
    return begin + R"(run { name: "run" program: ")" + path + R"(" } path { name: "path" uses: LISTEN paths: ")" +
           path + R"(" paths: "@name" } })";
  };
  const std::string bad = folder().WriteFile("bad.txtpb", grants(link));
  const Outcome noted = RunWords({"policy", "check", bad});
  EXPECT_EQ(noted.exit_status, kOk);
  EXPECT_THAT(noted.error, HasSubstr("r/run: " + link + " is a link here, to " + program));
  EXPECT_THAT(noted.error, HasSubstr("r/path: " + link + " is a link here, to " + program));
  const Outcome allowed = RunWords({"policy", "explain", "--policy", bad, "--as", "me", "path", "listen", link});
  EXPECT_THAT(allowed.out, HasSubstr("allowed"));
  EXPECT_THAT(allowed.error, HasSubstr("ELOOP"));

  const std::string good = folder().WriteFile("good.txtpb", grants(program));
  EXPECT_EQ(RunWords({"policy", "check", good}).error, "");
  EXPECT_EQ(RunWords({"policy", "explain", "--policy", good, "--as", "me", "path", "listen", program}).error, "");
}

TEST_F(PolicyCommands, CheckTellsEveryOffence) {
  const std::string good = folder().Path("p.txtpb");
  const Outcome valid = RunWords({"policy", "check", good});
  EXPECT_EQ(valid.exit_status, kOk);
  EXPECT_THAT(valid.out, HasSubstr(": valid: 1 role, 1 binding, 0 denials; SHA-256 "));
  const std::string bad = folder().WriteFile("bad", "version: 'v2' role { name: 'A' }");
  const Outcome refused = RunWords({"policy", "check", bad});
  EXPECT_EQ(refused.exit_status, kBadFile);
  EXPECT_EQ(refused.out, "");
  EXPECT_THAT(refused.error, HasSubstr(bad + ": version: \"v2\" must be \"v1\"\n" + bad + ": role[0] \"A\": name"));
  EXPECT_EQ(RunWords({"policy", "check", folder().Path("none")}).exit_status, kBadFile);
}

TEST_F(PolicyCommands, TestComparesThePolicyBesideIt) {
  const std::string good =
      folder().WriteFile("good", "policy: 'p.txtpb' expect { principal: 'me' session: true outcome: ALLOWED }");
  EXPECT_EQ(RunWords({"policy", "test", good}).exit_status, kOk);
  const std::string wrong =
      folder().WriteFile("wrong", "policy: 'p.txtpb' expect { principal: 'me' session: true outcome: DENIED }");
  const Outcome outcome = RunWords({"policy", "test", wrong});
  EXPECT_EQ(outcome.exit_status, kFailed);
  EXPECT_THAT(outcome.out, HasSubstr("1..1\nnot ok 1 - me: session\n"));
  const std::string lost =
      folder().WriteFile("lost", "policy: 'none' expect { principal: 'me' session: true outcome: DENIED }");
  EXPECT_EQ(RunWords({"policy", "test", lost}).exit_status, kBadFile);
}

}  // namespace
}  // namespace transportd::ctl
