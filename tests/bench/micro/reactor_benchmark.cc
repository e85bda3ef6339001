// The reactor: a turn, and what a callback, a wake-up from another thread and a descriptor's event add to it.
#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>

#include "benchmark/benchmark.h"
#include "transports/base/check.h"
#include "transports/base/unique_fd.h"
#include "transports/reactor/reactor.h"

namespace transportd {
namespace {

std::unique_ptr<Reactor> MakeReactor() {
  auto reactor = Reactor::Create();
  CHECK(reactor.ok());
  return *std::move(reactor);
}

void CountCalls(benchmark::State& state) {
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}

void TurnOfNothing(benchmark::State& state) {
  const auto reactor = MakeReactor();
  for (auto _ : state) reactor->RunOnce(Duration::zero());
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}
BENCHMARK(TurnOfNothing);

void CallSoon(benchmark::State& state) {
  const auto reactor = MakeReactor();
  int64_t call_count = 0;
  for (auto _ : state) {
    for (int64_t i = 0; i < state.range(0); ++i) reactor->CallSoon([&call_count] { ++call_count; });
    reactor->RunOnce(Duration::zero());
  }
  CHECK(call_count == static_cast<int64_t>(state.iterations()) * state.range(0));
  CountCalls(state);
}
BENCHMARK(CallSoon)->ArgName("calls_a_turn")->Arg(1)->Arg(64)->Arg(1024);

void AtTurnEnd(benchmark::State& state) {
  const auto reactor = MakeReactor();
  int64_t call_count = 0;
  for (auto _ : state) {
    for (int64_t i = 0; i < state.range(0); ++i) reactor->AtTurnEnd([&call_count] { ++call_count; });
    reactor->RunOnce(Duration::zero());
  }
  CHECK(call_count == static_cast<int64_t>(state.iterations()) * state.range(0));
  CountCalls(state);
}
BENCHMARK(AtTurnEnd)->ArgName("calls_a_turn")->Arg(1)->Arg(64)->Arg(1024);

// This thread posts a batch to a loop in another, and waits until it has run: with one call, the way there and back of
// a wake-up.
void CallSoonThreadsafe(benchmark::State& state) {
  const auto reactor = MakeReactor();
  std::thread loop([&] { reactor->RunForever(); });
  std::atomic<int64_t> call_count = 0;
  int64_t posted_count = 0;
  for (auto _ : state) {
    posted_count += state.range(0);
    for (int64_t i = 0; i < state.range(0); ++i) {
      reactor->CallSoonThreadsafe([&call_count, last = posted_count] {
        if (call_count.fetch_add(1) + 1 == last) call_count.notify_one();
      });
    }
    for (int64_t seen = call_count.load(); seen != posted_count; seen = call_count.load()) call_count.wait(seen);
  }
  reactor->Stop();
  loop.join();
  CountCalls(state);
}
BENCHMARK(CallSoonThreadsafe)->ArgName("calls_a_batch")->Arg(1)->Arg(64)->Arg(1024)->UseRealTime();

// One end of a pair of sockets.
class End final : public FdHandler {
 public:
  End(Reactor& reactor, UniqueFd socket) : reactor_(reactor), socket_(std::move(socket)) {
    watch_ = reactor_.AddWatch(socket_.get(), *this);
    reactor_.SetWatch(watch_, true, false);
  }
  ~End() override { reactor_.RemoveWatch(watch_); }
  End(const End&) = delete;
  End& operator=(const End&) = delete;

  void Send() { CHECK(send(socket_.get(), "x", 1, MSG_NOSIGNAL) == 1); }
  // Sends back what it receives; null: counts it.
  void AnswerTo(int64_t* received_count) { received_count_ = received_count; }

  void OnReadable() override {
    char byte = 0;
    CHECK(recv(socket_.get(), &byte, 1, 0) == 1);
    if (received_count_ == nullptr) return Send();
    ++*received_count_;
  }

 private:
  Reactor& reactor_;
  const UniqueFd socket_;
  WatchId watch_ = 0;
  int64_t* received_count_ = nullptr;
};

void SocketpairPingPong(benchmark::State& state) {
  const auto reactor = MakeReactor();
  int sockets[2] = {-1, -1};
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) == 0);
  End asking(*reactor, UniqueFd(sockets[0]));
  const End answering(*reactor, UniqueFd(sockets[1]));
  int64_t answer_count = 0;
  asking.AnswerTo(&answer_count);
  for (auto _ : state) {
    const int64_t next = answer_count + 1;
    asking.Send();
    while (answer_count != next) reactor->RunOnce(Duration(-1));
  }
  state.SetItemsProcessed(answer_count);
}
BENCHMARK(SocketpairPingPong);

}  // namespace
}  // namespace transportd
