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
  AddErrorsScenarios(scenarios);
  AddServerScenarios(scenarios);
  for (Scenario& scenario : scenarios) scenario.over_tls = FindOverTls(scenario.name);

  Scenarios local;
  AddPipeScenarios(local);
  AddSubprocessScenarios(local);
  AddUnixScenarios(local);
  for (Scenario& scenario : local) scenario.is_local = true;
  scenarios.insert(scenarios.end(), local.begin(), local.end());

  Scenarios of_tls;
  AddTlsScenarios(of_tls);
  for (Scenario& scenario : of_tls) {
    scenario.is_of_tls = true;
    scenario.over_tls = OverTls::kAsAsyncio;
  }
  scenarios.insert(scenarios.end(), of_tls.begin(), of_tls.end());

  AddConnectScenarios(scenarios);
  AddDatagramScenarios(scenarios);
  AddSocketsScenarios(scenarios);
  AddOwnScenarios(scenarios);
  return scenarios;
}

}  // namespace transportd::conformance
