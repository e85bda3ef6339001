#include "server/policy/real_paths.h"

#include <filesystem>
#include <system_error>
#include <utility>

namespace transportd {

std::string RealPath(std::string_view path) {
  if (path == "/") return std::string(path);
  const bool is_folder = path.ends_with('/');
  const std::string_view name = is_folder ? path.substr(0, path.size() - 1) : path;
  std::error_code error;
  std::string real = std::filesystem::weakly_canonical(std::filesystem::path(name), error).string();
  if (error || real.empty()) return std::string(path);
  if (is_folder && !real.ends_with('/')) real += '/';
  return real;
}

std::vector<std::string> WithRealPaths(const google::protobuf::RepeatedPtrField<std::string>& patterns) {
  std::vector<std::string> out(patterns.begin(), patterns.end());
  for (const std::string& pattern : patterns) {
    if (!pattern.starts_with('/')) continue;  // An abstract socket, a descriptor.
    if (std::string real = RealPath(pattern); real != pattern) out.push_back(std::move(real));
  }
  return out;
}

}  // namespace transportd
