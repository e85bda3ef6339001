// Every scenario on every loop and both address families: what a protocol sees is what it would see on asyncio.
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <vector>

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
    for (const char* family : {"v4", "v6"}) {
      for (const Scenario& scenario : AllScenarios()) performances.push_back({kind, family, scenario});
    }
  }
  return performances;
}

class Conformance : public testing::TestWithParam<Performance> {};

TEST_P(Conformance, DoesAsAsyncio) {
  const auto& [kind, family, scenario] = GetParam();
  if (!Oracle().has_family(family)) GTEST_SKIP() << "this machine has no loopback address of " << family;
  const std::unique_ptr<LoopUnderTest> under_test = kind.make();
  {
    Stage stage(under_test->loop(), family == "v4" ? AddressFamily::kInet : AddressFamily::kInet6);
    scenario.play(stage);
    EXPECT_EQ(stage.Finish(), "");
    if (scenario.has_oracle) {
      EXPECT_EQ(stage.TracesText(), Oracle().Text(family, scenario.name));
    }
  }
  EXPECT_EQ(under_test->Leftovers(), "");
}

INSTANTIATE_TEST_SUITE_P(Scenarios, Conformance, testing::ValuesIn(AllPerformances()),
                         [](const auto& test) { return test.param.name(); });

TEST(Oracle, PlaysTheSameScenarios) {
  std::set<std::string> names;
  for (const Scenario& scenario : AllScenarios()) {
    if (!scenario.has_oracle) continue;
    EXPECT_TRUE(names.insert(scenario.name).second) << scenario.name << " is there twice";
  }
  EXPECT_THAT(Oracle().Scenarios("v4"), testing::ContainerEq(names));
}

}  // namespace

}  // namespace transportd::conformance
