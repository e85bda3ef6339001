// All scenarios. Each is written twice: here, and under the same name in the .py file beside it.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_SCENARIOS_SCENARIOS_H_
#define TRANSPORTD_TESTS_CONFORMANCE_SCENARIOS_SCENARIOS_H_

#include <string>
#include <vector>

#include "tests/conformance/scenarios/not_over_tls.h"
#include "tests/conformance/stage.h"

namespace transportd::conformance {

// Threading: a value.
struct Scenario {
  std::string name;
  void (*play)(Stage& s);
  // False: asyncio (of the Python that the tests run) has no such thing; the scenario checks everything itself.
  bool has_oracle = true;
  // Played over every kind of stream transport; else over TCP.
  bool of_any_stream = false;
  // Of no network: played once.
  bool is_local = false;
  // Of TLS: played over nothing else.
  bool is_of_tls = false;
  OverTls over_tls = OverTls::kNo;
};

using Scenarios = std::vector<Scenario>;

Scenarios AllScenarios();

void AddBufferedScenarios(Scenarios& scenarios);
void AddCloseScenarios(Scenarios& scenarios);
void AddConnectScenarios(Scenarios& scenarios);
void AddDataScenarios(Scenarios& scenarios);
void AddDatagramScenarios(Scenarios& scenarios);
void AddEofScenarios(Scenarios& scenarios);
void AddErrorsScenarios(Scenarios& scenarios);
void AddFlowScenarios(Scenarios& scenarios);
void AddPauseScenarios(Scenarios& scenarios);
void AddPipeScenarios(Scenarios& scenarios);
void AddServerScenarios(Scenarios& scenarios);
void AddSocketsScenarios(Scenarios& scenarios);
void AddSubprocessScenarios(Scenarios& scenarios);
void AddTlsScenarios(Scenarios& scenarios);
void AddUnixScenarios(Scenarios& scenarios);
// Without an oracle.
void AddOwnScenarios(Scenarios& scenarios);

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_SCENARIOS_SCENARIOS_H_
