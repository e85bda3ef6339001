// The environment of a test.
#ifndef TRANSPORTD_TESTS_UNIT_REMOTE_SCOPED_ENVIRONMENT_H_
#define TRANSPORTD_TESTS_UNIT_REMOTE_SCOPED_ENVIRONMENT_H_

#include <cstdlib>
#include <map>
#include <optional>
#include <string>

namespace transportd {

// Variables of the environment, as they were before when it is gone. Threading: the test's thread.
class ScopedEnvironment final {
 public:
  explicit ScopedEnvironment(const std::map<std::string, std::string>& variables) {
    // NOLINTBEGIN(concurrency-mt-unsafe): no other thread is there.
    for (const auto& [name, value] : variables) {
      const char* const before = std::getenv(name.c_str());
      before_[name] = before == nullptr ? std::nullopt : std::optional<std::string>(before);
      setenv(name.c_str(), value.c_str(), 1);
    }
    // NOLINTEND(concurrency-mt-unsafe)
  }
  ~ScopedEnvironment() {
    // NOLINTBEGIN(concurrency-mt-unsafe): no other thread is there.
    for (const auto& [name, value] : before_) {
      value ? setenv(name.c_str(), value->c_str(), 1) : unsetenv(name.c_str());
    }
    // NOLINTEND(concurrency-mt-unsafe)
  }
  ScopedEnvironment(const ScopedEnvironment&) = delete;
  ScopedEnvironment& operator=(const ScopedEnvironment&) = delete;

 private:
  std::map<std::string, std::optional<std::string>> before_;  // Nothing: it was not set.
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_UNIT_REMOTE_SCOPED_ENVIRONMENT_H_
