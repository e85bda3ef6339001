// What the scenarios' twins did on CPython's asyncio.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_ORACLE_TRACES_H_
#define TRANSPORTD_TESTS_CONFORMANCE_ORACLE_TRACES_H_

#include <map>
#include <set>
#include <string>

namespace transportd::conformance {

// The oracle's output, read from the file that the ctest fixture `conformance_oracle` writes. Without that file (the
// test program was started by hand) the oracle is run first. Threading: immutable after construction.
class OracleTraces final {
 public:
  OracleTraces();

  bool has_family(const std::string& family) const { return traces_.contains(family); }
  std::set<std::string> Scenarios(const std::string& family) const;
  // As Stage::TracesText.
  std::string Text(const std::string& family, const std::string& scenario) const;

 private:
  std::map<std::string, std::map<std::string, std::string>> traces_;  // By family and scenario.
};

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_ORACLE_TRACES_H_
