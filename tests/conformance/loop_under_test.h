// The loops that every scenario is played on.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_LOOP_UNDER_TEST_H_
#define TRANSPORTD_TESTS_CONFORMANCE_LOOP_UNDER_TEST_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "transports/api/event_loop.h"

namespace transportd::conformance {

// One loop with all that it needs: the service behind it, the threads of that. Threading: the test's thread.
class LoopUnderTest {
 public:
  virtual ~LoopUnderTest() = default;
  virtual EventLoop& loop() = 0;
  // What is still alive after a scenario ended and lost all its transports, in words; empty: nothing.
  virtual std::string Leftovers() = 0;
};

// Every loop under test has SharedTestIdentity (tests/support) under this name: TlsOptions::identity.
inline constexpr char kTlsIdentity[] = "conformance";

// One way to make a loop.
struct LoopKind {
  std::string name;
  std::function<std::unique_ptr<LoopUnderTest>()> make;
};

// Each test program brings its own: the loops it links.
std::vector<LoopKind> LoopKinds();

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_LOOP_UNDER_TEST_H_
