#include "tests/conformance/oracle_traces.h"

#include <cstdlib>
#include <fstream>

#include "transports/base/check.h"

namespace transportd::conformance {

OracleTraces::OracleTraces() {
  std::ifstream file(CONFORMANCE_ORACLE_OUTPUT);
  if (!file) {
    CHECK(std::system(CONFORMANCE_ORACLE_COMMAND) == 0);
    file.open(CONFORMANCE_ORACLE_OUTPUT);
  }
  for (std::string line; std::getline(file, line);) {
    const size_t scenario = line.find('\t') + 1;
    const size_t object = line.find('\t', scenario) + 1;
    traces_[line.substr(0, scenario - 1)][line.substr(scenario, object - 1 - scenario)] += line.substr(object) + "\n";
  }
}

std::set<std::string> OracleTraces::Scenarios(const std::string& family) const {
  std::set<std::string> names;
  for (const auto& [name, text] : traces_.at(family)) names.insert(name);
  return names;
}

std::string OracleTraces::Text(const std::string& family, const std::string& scenario) const {
  const auto found = traces_.at(family).find(scenario);
  return found == traces_.at(family).end() ? "" : found->second;
}

}  // namespace transportd::conformance
