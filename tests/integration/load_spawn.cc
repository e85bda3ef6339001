#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <utility>

#include "tests/integration/load.h"
#include "transports/base/clock.h"

namespace transportd::load {
namespace {

// Threading: the loop's.
class Child final : public SubprocessProtocol {
 public:
  explicit Child(std::function<void(bool)> on_lost) : on_lost_(std::move(on_lost)) {}
  void ConnectionMade(std::shared_ptr<SubprocessTransport> transport) override { transport_ = std::move(transport); }
  void ProcessExited() override { is_right_ = transport_->GetReturncode() == 0; }
  void ConnectionLost(const ConnectionEnd& end) override { on_lost_(is_right_ && end.status.ok()); }

 private:
  std::function<void(bool)> on_lost_;
  std::shared_ptr<SubprocessTransport> transport_;
  bool is_right_ = false;
};

// Threading: the loop's.
class Spawner final {
 public:
  Spawner(EventLoop& loop, int count) : loop_(loop), left_count_(count) {}

  void Next() {
    if (left_count_-- == 0) return loop_.Stop();
    const auto on_lost = [this](bool is_right) {
      right_count_ += is_right ? 1 : 0;
      Next();
    };
    loop_.SubprocessExec([on_lost] { return std::make_shared<Child>(on_lost); }, "true", {}, {},
                         [this](const auto& subprocess) {
                           if (subprocess.ok()) return;
                           std::printf("%s\n", subprocess.status().ToString().c_str());
                           loop_.Stop();
                         });
  }
  int right_count() const { return right_count_; }

 private:
  EventLoop& loop_;
  int left_count_;
  int right_count_ = 0;
};

}  // namespace

int RunSpawn(EventLoop& loop, int process_count) {
  const TimePoint begin = SystemClock().Now();
  Spawner spawner(loop, process_count);
  spawner.Next();
  loop.RunForever();
  const std::chrono::duration<double> took = SystemClock().Now() - begin;
  std::printf("spawn: %d of %d processes right, %.0f a second\n", spawner.right_count(), process_count,
              process_count / took.count());
  return spawner.right_count() == process_count ? 0 : 1;
}

}  // namespace transportd::load
