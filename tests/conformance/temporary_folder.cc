#include "tests/conformance/temporary_folder.h"

#include <stdlib.h>

#include <filesystem>

#include "transports/base/check.h"

namespace transportd::conformance {

TemporaryFolder::~TemporaryFolder() {
  if (!path_.empty()) std::filesystem::remove_all(path_);
}

std::string TemporaryFolder::PathOf(const std::string& name) {
  if (path_.empty()) {
    path_ = (std::filesystem::temp_directory_path() / "conformance-XXXXXX").string();
    CHECK(::mkdtemp(path_.data()) != nullptr);
  }
  return path_ + "/" + name;
}

std::string TemporaryFolder::NameIn(const std::string& path) const {
  return !path_.empty() && path.starts_with(path_ + "/") ? path.substr(path_.size() + 1) : "?";
}

}  // namespace transportd::conformance
