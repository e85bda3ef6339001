// A reactor for a test, and the check that the test left nothing behind in it.
#ifndef TRANSPORTD_TESTS_SUPPORT_LOOP_FIXTURE_H_
#define TRANSPORTD_TESTS_SUPPORT_LOOP_FIXTURE_H_

#include <chrono>
#include <functional>
#include <memory>

#include "gtest/gtest.h"
#include "transports/reactor/reactor.h"

namespace transportd {

// Turns `reactor` until `condition` holds; false when it does not within `limit` of real time. The condition is tested
// after every turn and every few milliseconds.
bool RunUntil(Reactor& reactor, const std::function<bool()>& condition, Duration limit = std::chrono::seconds(20));

// Lets what is queued run, then fails the test for each kind of thing that is left.
void ExpectNothingLeft(Reactor& reactor);

// A reactor on real time. Its TearDown fails on a leaked watch, timer or callback: a fixture that derives from this
// lets go of what it made, then calls LoopFixture::TearDown. Threading: the test's thread is the loop's.
class LoopFixture : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  Reactor& reactor() { return *reactor_; }
  bool RunUntil(const std::function<bool()>& condition) { return transportd::RunUntil(*reactor_, condition); }
  // `count` turns that do not wait.
  void Turn(int count = 1);

 private:
  std::unique_ptr<Reactor> reactor_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_SUPPORT_LOOP_FIXTURE_H_
