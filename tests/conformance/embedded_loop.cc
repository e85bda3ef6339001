#include "tests/conformance/embedded_loop.h"

#include <chrono>
#include <string>
#include <utility>

#include "tests/conformance/tls_identities.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"
#include "transports/loop/epoll_event_loop.h"

namespace transportd::conformance {

namespace {

class EmbeddedLoop final : public LoopUnderTest {
 public:
  EmbeddedLoop() {
    EpollEventLoop::Options options;
    options.tls_identities = MakeTlsIdentities();
    auto loop = EpollEventLoop::Create(std::move(options));
    CHECK(loop.ok());
    loop_ = std::move(*loop);
    idle_ = loop_->reactor().GetCounts();
  }

  EventLoop& loop() override { return *loop_; }

  std::string Leftovers() override {
    // What the last callbacks queued.
    for (int turn = 0; turn < 3; ++turn) loop_->reactor().RunOnce(std::chrono::seconds(0));
    const EpollEventLoop::Counts counts = loop_->GetCounts();
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
    expect("callbacks", reactor.callbacks, idle_.callbacks);
    return leftovers;
  }

 private:
  std::unique_ptr<EpollEventLoop> loop_;
  Reactor::Counts idle_;
};

}  // namespace

std::unique_ptr<LoopUnderTest> MakeEmbeddedLoop() { return std::make_unique<EmbeddedLoop>(); }

}  // namespace transportd::conformance
