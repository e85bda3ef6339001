// Every scenario on every loop and both address families: what a protocol sees is what it would see on asyncio.
#include <memory>
#include <ostream>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/conformance/loop_under_test.h"
#include "tests/conformance/oracle_traces.h"
#include "tests/conformance/scenarios/scenarios.h"
#include "tests/conformance/stage.h"

namespace transportd::conformance {

namespace {

const OracleTraces& Oracle() {
  static const auto& oracle = *new OracleTraces;
  return oracle;
}

struct Performance {
  LoopKind loop_kind;
  std::string family;
  Scenario scenario;
  std::string name() const { return loop_kind.name + "_" + family + "_" + scenario.name; }
};

void PrintTo(const Performance& performance, std::ostream* out) { *out << performance.name(); }

std::vector<Performance> AllPerformances() {
  std::vector<Performance> performances;
  for (const LoopKind& kind : LoopKinds()) {
    for (const Scenario& scenario : AllScenarios()) {
      if (scenario.is_local) {
        performances.push_back({kind, "local", scenario});
        continue;
      }
      if (scenario.over_tls != OverTls::kNo) performances.push_back({kind, "tls", scenario});
      if (scenario.is_of_tls) continue;
      for (const char* family : {"v4", "v6"}) performances.push_back({kind, family, scenario});
      if (scenario.of_any_stream) performances.push_back({kind, "unix", scenario});
    }
  }
  return performances;
}

// `text` without the lines that have `what` in them.
std::string Without(std::string_view what, const std::string& text) {
  std::string rest;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(what) == std::string::npos) rest += line + "\n";
  }
  return rest;
}

// What a trace over TLS and one over TCP have in common: an abort's FIN is a ragged EOF to TLS, and the answer to a
// close is told as eof_received.
void MakeComparable(std::string& over_tls, std::string& over_tcp) {
  over_tls = absl::StrReplaceAll(over_tls, {{"ragged eof", "eof"}});
  over_tcp = absl::StrReplaceAll(over_tcp, {{"can_write_eof=True", "can_write_eof=False"}});
  if (over_tcp.find("eof_received") == std::string::npos) over_tls = Without("eof_received", over_tls);
}

class Conformance : public testing::TestWithParam<Performance> {};

TEST_P(Conformance, DoesAsAsyncio) {
  const auto& [kind, family, scenario] = GetParam();
  if (!Oracle().has_family(family)) GTEST_SKIP() << "this machine has no loopback address of " << family;
  const std::unique_ptr<LoopUnderTest> under_test = kind.make();
  {
    Stage stage(under_test->loop(),
                family == "v6"     ? AddressFamily::kInet6
                : family == "unix" ? AddressFamily::kUnix
                                   : AddressFamily::kInet,
                family == "tls");
    scenario.play(stage);
    EXPECT_EQ(stage.Finish(), "");
    if (scenario.has_oracle) {
      const bool as_over_tcp = family == "tls" && scenario.over_tls == OverTls::kAsOverTcp;
      std::string text = stage.TracesText();
      std::string expected = Oracle().Text(as_over_tcp ? "v4" : family, scenario.name);
      if (as_over_tcp) MakeComparable(text, expected);
      EXPECT_EQ(text, expected);
    }
  }
  EXPECT_EQ(under_test->Leftovers(), "");
}

INSTANTIATE_TEST_SUITE_P(Scenarios, Conformance, testing::ValuesIn(AllPerformances()),
                         [](const auto& test) { return test.param.name(); });

TEST(Oracle, PlaysTheSameScenarios) {
  std::set<std::string> names;
  std::set<std::string> of_any_stream;
  std::set<std::string> over_tls;
  std::set<std::string> local;
  for (const Scenario& scenario : AllScenarios()) {
    if (!scenario.has_oracle) continue;
    if (scenario.over_tls == OverTls::kAsAsyncio) over_tls.insert(scenario.name);
    if (scenario.is_of_tls) continue;
    std::set<std::string>& all = scenario.is_local ? local : names;
    EXPECT_TRUE(all.insert(scenario.name).second) << scenario.name << " is there twice";
    if (scenario.of_any_stream) of_any_stream.insert(scenario.name);
  }
  EXPECT_THAT(Oracle().Scenarios("v4"), testing::ContainerEq(names));
  EXPECT_THAT(Oracle().Scenarios("unix"), testing::ContainerEq(of_any_stream));
  EXPECT_THAT(Oracle().Scenarios("tls"), testing::ContainerEq(over_tls));
  EXPECT_THAT(Oracle().Scenarios("local"), testing::ContainerEq(local));
}

}  // namespace

}  // namespace transportd::conformance
