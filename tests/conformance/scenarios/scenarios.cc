#include "tests/conformance/scenarios/scenarios.h"

namespace transportd::conformance {

Scenarios AllScenarios() {
  Scenarios scenarios;
  AddBufferedScenarios(scenarios);
  AddCloseScenarios(scenarios);
  AddConnectScenarios(scenarios);
  AddDataScenarios(scenarios);
  AddEofScenarios(scenarios);
  AddErrorsScenarios(scenarios);
  AddFlowScenarios(scenarios);
  AddPauseScenarios(scenarios);
  AddServerScenarios(scenarios);
  AddOwnScenarios(scenarios);
  return scenarios;
}

}  // namespace transportd::conformance
