#include "clients/cpp/transportctl/policy_table.h"

#include <utility>
#include <vector>

#include "clients/cpp/transportctl/policy_question.h"
#include "clients/cpp/transportctl/printable.h"
#include "server/policy/config_text.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

using Expectation = v1::PolicyTest::Expectation;

absl::StatusOr<ActionProtocol> ProtocolOf(v1::Protocol::Value protocol) {
  switch (protocol) {
    case v1::Protocol::PROTOCOL_UNSPECIFIED:
    case v1::Protocol::TCP:
      return ActionProtocol::kTcp;
    case v1::Protocol::UDP:
      return ActionProtocol::kUdp;
    default:
      return absl::InvalidArgumentError("protocol must be TCP or UDP");
  }
}

absl::StatusOr<PathUse> UseOf(v1::PathGrant::Use use) {
  switch (use) {
    case v1::PathGrant::CONNECT:
      return PathUse::kConnect;
    case v1::PathGrant::LISTEN:
      return PathUse::kListen;
    case v1::PathGrant::READ:
      return PathUse::kRead;
    case v1::PathGrant::WRITE:
      return PathUse::kWrite;
    default:
      return absl::InvalidArgumentError("use must be CONNECT, LISTEN, READ or WRITE");
  }
}

// Sets `out`, or says what is wrong.
template <typename T>
absl::Status Take(absl::StatusOr<T> from, T& out) {
  if (!from.ok()) return from.status();
  out = *std::move(from);
  return absl::OkStatus();
}

absl::Status TakeConnect(const v1::PolicyTest::Destination& from, PolicyQuestion& out) {
  if (absl::Status status = Take(ProtocolOf(from.protocol()), out.protocol); !status.ok()) return status;
  out.kind = out.protocol == ActionProtocol::kTcp ? ActionKind::kConnect : ActionKind::kSend;
  out.host = from.host();
  return Take(ParseNumericAddress(from.address(), from.port()), out.address);
}

absl::Status TakeListen(const v1::PolicyTest::Source& from, PolicyQuestion& out) {
  out.kind = ActionKind::kListen;
  if (absl::Status status = Take(ProtocolOf(from.protocol()), out.protocol); !status.ok()) return status;
  return Take(ParseNumericAddress(from.address(), from.port()), out.address);
}

absl::Status TakeAccept(const v1::PolicyTest::Arrival& from, PolicyQuestion& out) {
  if (absl::Status status = Take(ProtocolOf(from.protocol()), out.protocol); !status.ok()) return status;
  out.kind = out.protocol == ActionProtocol::kTcp ? ActionKind::kAccept : ActionKind::kReceive;
  if (absl::Status status = Take(ParseNumericAddress(from.peer(), from.peer_port()), out.address); !status.ok()) {
    return status;
  }
  return Take(ParseNumericAddress(from.address(), from.port()), out.local);
}

absl::StatusOr<PolicyQuestion> QuestionOf(const Expectation& expectation) {
  PolicyQuestion out;
  absl::Status status;
  switch (expectation.action_case()) {
    case Expectation::kConnect:
      status = TakeConnect(expectation.connect(), out);
      break;
    case Expectation::kListen:
      status = TakeListen(expectation.listen(), out);
      break;
    case Expectation::kAccept:
      status = TakeAccept(expectation.accept(), out);
      break;
    case Expectation::kRun:
      out.kind = ActionKind::kRun;
      out.path = expectation.run().program();
      out.args.assign(expectation.run().args().begin(), expectation.run().args().end());
      out.env_names.assign(expectation.run().env().begin(), expectation.run().env().end());
      out.folder = expectation.run().cwd();
      break;
    case Expectation::kPath:
      out.kind = ActionKind::kPath;
      out.path = expectation.path().path();
      status = Take(UseOf(expectation.path().use()), out.use);
      break;
    case Expectation::kOption:
      out.kind = ActionKind::kOption;
      out.name = expectation.option();
      break;
    case Expectation::kTls:
      out.kind = ActionKind::kTls;
      out.name = expectation.tls();
      break;
    case Expectation::kResolve:
      out.kind = ActionKind::kResolve;
      out.host = expectation.resolve();
      break;
    case Expectation::kAdmin:
      out.kind = ActionKind::kAdmin;
      out.name = expectation.admin();
      break;
    case Expectation::kSession:
      out.kind = ActionKind::kSession;
      if (!expectation.session()) status = absl::InvalidArgumentError("session must be true");
      break;
    case Expectation::ACTION_NOT_SET:
      status = absl::InvalidArgumentError(
          "asks nothing; give one of connect, listen, accept, run, path, option, tls, resolve, admin, session");
      break;
  }
  if (!status.ok()) return status;
  return out;
}

// On one line, and without what TAP takes for a directive.
std::string TapText(std::string_view text) {
  std::string out;
  for (const char c : Printable(text)) out += StrCat(c == '#' || c == '\\' ? "\\" : "", std::string_view(&c, 1));
  return out;
}

std::string YamlText(std::string_view text) {
  std::string out = "'";
  for (const char c : Printable(text)) out += StrCat(c == '\'' ? "'" : "", std::string_view(&c, 1));
  return out + "'";
}

std::string AnswerText(bool allowed, std::string_view rule) {
  return StrCat(allowed ? "ALLOWED" : "DENIED", rule.empty() ? "" : " by ", rule);
}

}  // namespace

absl::StatusOr<v1::PolicyTest> ReadPolicyTest(std::string_view text, std::string_view file_name) {
  v1::PolicyTest test;
  if (absl::Status status = ReadConfigText(text, file_name, test); !status.ok()) return status;
  std::string offences;
  const auto add = [&](std::string_view path, std::string_view what) {
    offences += StrCat(offences.empty() ? "" : "\n", file_name, ": ", path, ": ", what);
  };
  if (test.policy().empty()) add("policy", "must name the policy's file");
  if (test.expect().empty()) add("expect", "must have at least one");
  for (int i = 0; i < test.own_ports_size(); ++i) {
    if (test.own_ports(i) < 1 || test.own_ports(i) > 65535) add(StrCat("own_ports[", i, "]"), "must be 1 to 65535");
  }
  for (int i = 0; i < test.expect_size(); ++i) {
    const Expectation& expectation = test.expect(i);
    const std::string path =
        StrCat("expect[", i, "]", expectation.name().empty() ? "" : StrCat(" \"", expectation.name(), "\""));
    const absl::StatusOr<PolicyQuestion> question = QuestionOf(expectation);
    if (!question.ok()) add(path, std::string(question.status().message()));
    if (expectation.outcome() != v1::PolicyTest::ALLOWED && expectation.outcome() != v1::PolicyTest::DENIED) {
      add(path, "outcome must be ALLOWED or DENIED");
    }
  }
  if (!offences.empty()) return absl::InvalidArgumentError(offences);
  return test;
}

PolicyTestReport RunPolicyTest(const v1::PolicyTest& test, const Policy& policy) {
  PolicyTestReport report;
  report.tap = StrCat("TAP version 14\n1..", test.expect_size(), "\n");
  for (int i = 0; i < test.expect_size(); ++i) {
    const Expectation& expectation = test.expect(i);
    const absl::StatusOr<PolicyQuestion> question = QuestionOf(expectation);
    if (!question.ok()) continue;  // ReadPolicyTest has refused it.
    const Decision decision = question->Ask(policy, expectation.principal());
    const bool should_be_allowed = expectation.outcome() == v1::PolicyTest::ALLOWED;
    const bool is_as_expected =
        decision.allowed == should_be_allowed && (expectation.rule().empty() || expectation.rule() == decision.rule);
    const std::string asked = question->ToString();
    report.tap += StrCat(
        is_as_expected ? "ok " : "not ok ", i + 1, " - ",
        TapText(expectation.name().empty() ? StrCat(expectation.principal(), ": ", asked) : expectation.name()), "\n");
    if (is_as_expected) continue;
    ++report.failure_count;
    report.tap += StrCat("  ---\n  principal: ", YamlText(expectation.principal()), "\n  asked: ", YamlText(asked),
                         "\n  expected: ", YamlText(AnswerText(should_be_allowed, expectation.rule())),
                         "\n  decided: ", YamlText(AnswerText(decision.allowed, decision.rule)),
                         "\n  class: ", AddressClassName(decision.address_class), "\n  ...\n");
  }
  return report;
}

std::string PolicyPathOf(const v1::PolicyTest& test, std::string_view test_path) {
  const size_t slash = test_path.rfind('/');
  if (test.policy().front() == '/' || slash == std::string_view::npos) return test.policy();
  return StrCat(test_path.substr(0, slash + 1), test.policy());
}

}  // namespace transportd::ctl
