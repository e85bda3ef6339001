#include "tests/support/temp_dir.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "transports/base/check.h"

namespace transportd {

TempDir::TempDir() : path_((std::filesystem::temp_directory_path() / "transportd-XXXXXX").string()) {
  CHECK(::mkdtemp(path_.data()) != nullptr);
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::WriteFile(std::string_view name, std::string_view content) const {
  std::ofstream file(Path(name), std::ios::binary | std::ios::trunc);
  file << content;
  file.close();
  CHECK(file.good());
  return Path(name);
}

bool TempDir::Exists(std::string_view name) const {
  std::error_code ignored;
  return std::filesystem::symlink_status(Path(name), ignored).type() != std::filesystem::file_type::not_found;
}

}  // namespace transportd
