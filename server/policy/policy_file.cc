#include "server/policy/policy_file.h"

#include "server/policy/config_file.h"
#include "server/policy/config_text.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

// `FILE: ` before each line.
absl::Status InFile(std::string_view file_name, const absl::Status& status) {
  std::string text;
  std::string_view rest(status.message().data(), status.message().size());
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    text += StrCat(text.empty() ? "" : "\n", file_name, ": ", rest.substr(0, end));
    rest = end == std::string_view::npos ? "" : rest.substr(end + 1);
  }
  return absl::InvalidArgumentError(text);
}

}  // namespace

absl::StatusOr<v1::Policy> ReadPolicy(std::string_view text, std::string_view file_name) {
  v1::Policy policy;
  if (absl::Status status = ReadConfigText(text, file_name, policy); !status.ok()) return status;
  if (absl::Status status = ValidatePolicy(policy); !status.ok()) return InFile(file_name, status);
  return policy;
}

absl::StatusOr<v1::Policy> ReadPolicyFile(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadConfigFile(path, kMaxConfigBytes);
  return text.ok() ? ReadPolicy(*text, path) : text.status();
}

}  // namespace transportd
