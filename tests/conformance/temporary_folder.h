// A folder for the Unix sockets of one scenario.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_TEMPORARY_FOLDER_H_
#define TRANSPORTD_TESTS_CONFORMANCE_TEMPORARY_FOLDER_H_

#include <string>

namespace transportd::conformance {

// Made when it is first asked for a path, and removed with all that is in it. Threading: one thread at a time.
class TemporaryFolder final {
 public:
  TemporaryFolder() = default;
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();

  // Where `name` is, or would be.
  std::string PathOf(const std::string& name);
  // The other way round; "?" for a path elsewhere.
  std::string NameIn(const std::string& path) const;

 private:
  std::string path_;
};

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_TEMPORARY_FOLDER_H_
