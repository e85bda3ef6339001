// What both remote loops share.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_REMOTE_LOOP_H_
#define TRANSPORTD_TESTS_CONFORMANCE_REMOTE_LOOP_H_

#include <memory>
#include <string>

#include "clients/cpp/remote_event_loop.h"
#include "tests/conformance/loop_under_test.h"
#include "transportd/v1/admin.pb.h"

namespace transportd::conformance {

// The client's side and the service's are both asked for leftovers. Threading: the test's thread.
class RemoteLoop : public LoopUnderTest {
 public:
  EventLoop& loop() final { return *loop_; }
  std::string Leftovers() final;

 protected:
  // Waits until the session is open.
  void SetLoop(std::unique_ptr<RemoteEventLoop> loop);
  // Ends the session.
  void ResetLoop() { loop_ = nullptr; }
  // What the service's Admin.ListTransports answers.
  virtual v1::ListTransportsResponse ListTransports() = 0;

 private:
  std::unique_ptr<RemoteEventLoop> loop_;
  Reactor::Counts idle_;
};

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_REMOTE_LOOP_H_
