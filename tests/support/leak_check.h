// Fails a test that leaves a file descriptor open.
#ifndef TRANSPORTD_TESTS_SUPPORT_LEAK_CHECK_H_
#define TRANSPORTD_TESTS_SUPPORT_LEAK_CHECK_H_

#include <map>
#include <string>

#include "gtest/gtest.h"

namespace transportd {

// Open descriptors of this process, and what /proc/self/fd says that each is.
std::map<int, std::string> OpenFds();

// Compares the open descriptors before and after every test. What a library opens once and keeps (gRPC's pollers)
// belongs into SetUpTestSuite or a global environment, which run before the first look. Threading: gtest's.
class FdLeakListener final : public testing::EmptyTestEventListener {
 public:
  void OnTestStart(const testing::TestInfo& test) override;
  void OnTestEnd(const testing::TestInfo& test) override;

 private:
  std::map<int, std::string> before_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_SUPPORT_LEAK_CHECK_H_
