// A directory for a test's files.
#ifndef TRANSPORTD_TESTS_SUPPORT_TEMP_DIR_H_
#define TRANSPORTD_TESTS_SUPPORT_TEMP_DIR_H_

#include <string>
#include <string_view>

namespace transportd {

// Made empty, and removed with all that is in it. Its path is short enough for a Unix socket's. Threading: any thread.
class TempDir final {
 public:
  TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();

  const std::string& path() const { return path_; }
  // The path of `name` in it.
  std::string Path(std::string_view name) const { return path_ + "/" + std::string(name); }
  // Makes or replaces a regular file; returns its path.
  std::string WriteFile(std::string_view name, std::string_view content) const;
  // Whether anything, of whatever kind, is there.
  bool Exists(std::string_view name) const;

 private:
  std::string path_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_SUPPORT_TEMP_DIR_H_
