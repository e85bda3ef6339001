#include "tests/conformance/scenarios/scenarios.h"

namespace transportd::conformance {

Scenarios AllScenarios() {
  Scenarios scenarios;
  AddBufferedScenarios(scenarios);
  AddCloseScenarios(scenarios);
  AddDataScenarios(scenarios);
  AddEofScenarios(scenarios);
  AddFlowScenarios(scenarios);
  AddPauseScenarios(scenarios);
  for (Scenario& scenario : scenarios) scenario.of_any_stream = true;

  Scenarios local;
  AddPipeScenarios(local);
  AddSubprocessScenarios(local);
  for (Scenario& scenario : local) scenario.is_local = true;
  scenarios.insert(scenarios.end(), local.begin(), local.end());

  AddConnectScenarios(scenarios);
  AddDatagramScenarios(scenarios);
  AddErrorsScenarios(scenarios);
  AddServerScenarios(scenarios);
  AddSocketsScenarios(scenarios);
  AddOwnScenarios(scenarios);
  return scenarios;
}

}  // namespace transportd::conformance
