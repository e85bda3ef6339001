// Compares a policy with a table of expectations.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_POLICY_TABLE_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_POLICY_TABLE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/policy/policy.h"
#include "transportd/v1/policy_test.pb.h"

namespace transportd::ctl {

// Text as `policy test` takes it, valid as policy_test.proto says. INVALID_ARGUMENT, a line for each offence.
absl::StatusOr<v1::PolicyTest> ReadPolicyTest(std::string_view text, std::string_view file_name);

// Threading: a value.
struct PolicyTestReport {
  std::string tap;  // https://testanything.org/tap-version-14-specification.html
  int failure_count = 0;
};
PolicyTestReport RunPolicyTest(const v1::PolicyTest& test, const Policy& policy);

// The policy's path, which `test` names, of a test that is at `test_path`.
std::string PolicyPathOf(const v1::PolicyTest& test, std::string_view test_path);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_POLICY_TABLE_H_
