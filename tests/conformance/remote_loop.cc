#include "tests/conformance/remote_loop.h"

#include <chrono>
#include <string_view>
#include <utility>

#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd::conformance {

void RemoteLoop::SetLoop(std::unique_ptr<RemoteEventLoop> loop) {
  loop_ = std::move(loop);
  CHECK(loop_->WaitOpened(std::chrono::seconds(30)).ok());
  idle_ = loop_->reactor().GetCounts();
}

std::string RemoteLoop::Leftovers() {
  // What the last callbacks queued.
  for (int turn = 0; turn < 3; ++turn) loop_->reactor().RunOnce(std::chrono::seconds(0));
  const RemoteEventLoop::Counts counts = loop_->GetCounts();
  const Reactor::Counts reactor = loop_->reactor().GetCounts();
  std::string leftovers;
  const auto expect = [&leftovers](std::string_view what, size_t count, size_t idle_count) {
    if (count != idle_count) leftovers += StrCat(what, ": ", count, " instead of ", idle_count, "\n");
  };
  expect("operations", counts.operations, 0);
  expect("transports", counts.transports, 0);
  expect("servers", counts.servers, 0);
  expect("watches", reactor.watches, idle_.watches);
  expect("timers", reactor.timers, idle_.timers);
  const v1::ListTransportsResponse response = ListTransports();
  if (response.transports_size() > 0) leftovers += "in the service: " + response.ShortDebugString() + "\n";
  return leftovers;
}

}  // namespace transportd::conformance
