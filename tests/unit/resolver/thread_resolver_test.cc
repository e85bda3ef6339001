#include "transports/resolver/thread_resolver.h"

#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/resolver/requests.h"

namespace transportd {
namespace {

using Result = ThreadResolver::Result;

// Lets look-ups in when told, and counts them.
class Gate {
 public:
  void Open() {
    MutexLock lock(mutex_);
    open_ = true;
    changed_.SignalAll();
  }
  void Enter() {
    MutexLock lock(mutex_);
    ++entered_;
    changed_.SignalAll();
    while (!open_) changed_.Wait(mutex_);
  }
  void WaitForEntered(int count) {
    MutexLock lock(mutex_);
    while (entered_ < count) changed_.Wait(mutex_);
  }
  int entered() {
    MutexLock lock(mutex_);
    return entered_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  int entered_ ABSL_GUARDED_BY(mutex_) = 0;
};

// A LookUp is a plain function: the gate of the test that runs.
Gate* current_gate = nullptr;

Result GatedLookUp(const ResolveRequest& request) {
  current_gate->Enter();
  return std::vector<SocketAddress>{SocketAddress{.family = AddressFamily::kInet,
                                                  .host = "192.0.2.1",
                                                  .port = static_cast<uint16_t>(request.address.port.value_or(0)),
                                                  .path = {}}};
}

Result SlowOrFast(const ResolveRequest& request) {
  if (request.address.host == "slow") return GatedLookUp(request);
  return std::vector<SocketAddress>{Inet("192.0.2.2", 0)};
}

// Answers, from whatever threads.
class Answers {
 public:
  ThreadResolver::Done Next() {
    return [this](Result result) {
      MutexLock lock(mutex_);
      results_.push_back(std::move(result));
      threads_.insert(std::this_thread::get_id());
      changed_.SignalAll();
    };
  }
  std::vector<Result> Wait(size_t count) {
    MutexLock lock(mutex_);
    while (results_.size() < count) changed_.Wait(mutex_);
    return results_;
  }
  std::vector<Result> Now() {
    MutexLock lock(mutex_);
    return results_;
  }
  std::set<std::thread::id> threads() {
    MutexLock lock(mutex_);
    return threads_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<Result> results_ ABSL_GUARDED_BY(mutex_);
  std::set<std::thread::id> threads_ ABSL_GUARDED_BY(mutex_);
};

class ThreadResolverTest : public testing::Test {
 protected:
  ThreadResolverTest() { current_gate = &gate_; }

  Gate gate_;
  Answers answers_;
};

TEST_F(ThreadResolverTest, NumericHostIsAnsweredAtOnceOnTheCallersThread) {
  ThreadResolver resolver(1, 0, &GatedLookUp);
  resolver.Resolve(Request("127.0.0.1", 80), {}, answers_.Next());
  const std::vector<Result> results = answers_.Now();
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0]->front().ToString(), "127.0.0.1:80");
  EXPECT_THAT(answers_.threads(), testing::ElementsAre(std::this_thread::get_id()));
}

TEST_F(ThreadResolverTest, BadRequestIsAnsweredAtOnce) {
  ThreadResolver resolver(1, 0, &GatedLookUp);
  resolver.Resolve(Request("a", 70000), {}, answers_.Next());
  resolver.Resolve(Request(""), {}, answers_.Next());
  const std::vector<Result> results = answers_.Now();
  ASSERT_EQ(results.size(), 2u);
  EXPECT_THAT(results[0], HasReason("INVALID_PORT"));
  EXPECT_THAT(results[1], HasReason("INVALID_HOST"));
}

TEST_F(ThreadResolverTest, NameIsLookedUpOnAnotherThread) {
  gate_.Open();
  ThreadResolver resolver(1, 0, &GatedLookUp);
  resolver.Resolve(Request("name", 9), {}, answers_.Next());
  EXPECT_EQ(answers_.Wait(1)[0]->front().ToString(), "192.0.2.1:9");
  EXPECT_FALSE(answers_.threads().contains(std::this_thread::get_id()));
}

TEST_F(ThreadResolverTest, AsManyLookUpsAtOnceAsThreadsThenTheyWaitThenBusy) {
  ThreadResolver resolver(2, 3, &GatedLookUp);
  for (int i = 0; i < 5; ++i) resolver.Resolve(Request("name"), {}, answers_.Next());
  gate_.WaitForEntered(2);
  EXPECT_TRUE(answers_.Now().empty());
  resolver.Resolve(Request("name"), {}, answers_.Next());
  ASSERT_EQ(answers_.Now().size(), 1u);
  EXPECT_THAT(answers_.Now()[0], StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(answers_.Now()[0], HasReason("RESOLVER_BUSY"));
  EXPECT_EQ(gate_.entered(), 2);
  gate_.Open();
  answers_.Wait(6);
  EXPECT_EQ(gate_.entered(), 5);
  resolver.Resolve(Request("name"), {}, answers_.Next());
  EXPECT_THAT(answers_.Wait(7)[6], IsOk());
}

TEST_F(ThreadResolverTest, SlowNamesOfOneAskerDelayItselfOnly) {
  ThreadResolver resolver(4, 3, &SlowOrFast);
  Answers of_a;
  for (int i = 0; i < 5; ++i) resolver.Resolve(Request("slow"), {.name = "a"}, of_a.Next());
  gate_.WaitForEntered(2);
  for (int i = 0; i < 20; ++i) {
    resolver.Resolve(Request("fast"), {.name = "b"}, answers_.Next());
    EXPECT_THAT(answers_.Wait(static_cast<size_t>(i) + 1).back(), IsOk());
  }
  resolver.Resolve(Request("slow"), {.name = "a"}, of_a.Next());
  ASSERT_EQ(of_a.Now().size(), 1u);
  EXPECT_THAT(of_a.Now()[0], HasReason("RESOLVER_BUSY"));
  EXPECT_EQ(gate_.entered(), 2) << "half of the threads";
  gate_.Open();
  EXPECT_THAT(of_a.Wait(6), testing::Contains(IsOk()).Times(5));
}

TEST_F(ThreadResolverTest, WhatIsCalledOffWhileItWaitsIsNotLookedUp) {
  ThreadResolver resolver(1, 10, &GatedLookUp);
  std::stop_source source;
  resolver.Resolve(Request("name"), {.called_off = source.get_token()}, answers_.Next());
  gate_.WaitForEntered(1);
  resolver.Resolve(Request("name"), {.called_off = source.get_token()}, answers_.Next());
  resolver.Resolve(Request("name"), {}, answers_.Next());
  source.request_stop();
  gate_.Open();
  const std::vector<Result> results = answers_.Wait(3);
  EXPECT_THAT(results[0], IsOk()) << "it was under way";
  EXPECT_THAT(results[1], HasReason("CANCELLED"));
  EXPECT_THAT(results[2], IsOk());
  EXPECT_EQ(gate_.entered(), 2);
}

TEST_F(ThreadResolverTest, DestructorFinishesWhatIsUnderWayAndCancelsTheRest) {
  auto resolver = std::make_unique<ThreadResolver>(1, 10, &GatedLookUp);
  for (int i = 0; i < 3; ++i) resolver->Resolve(Request("name"), {}, answers_.Next());
  gate_.WaitForEntered(1);
  std::thread opener([this] {
    answers_.Wait(2);  // The two that waited; the destructor now waits for the first.
    gate_.Open();
  });
  resolver.reset();
  opener.join();
  const std::vector<Result> results = answers_.Now();
  ASSERT_EQ(results.size(), 3u);
  EXPECT_THAT(results[0], HasReason("CANCELLED"));
  EXPECT_THAT(results[1], HasReason("CANCELLED"));
  EXPECT_THAT(results[2], IsOk());
}

TEST_F(ThreadResolverTest, ManyThreadsAskingGetOneAnswerEach) {
  gate_.Open();
  ThreadResolver resolver(4, 100000, &GatedLookUp);
  std::vector<std::thread> askers;
  for (int t = 0; t < 4; ++t) {
    askers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) resolver.Resolve(Request("name"), {}, answers_.Next());
    });
  }
  for (std::thread& asker : askers) asker.join();
  EXPECT_EQ(answers_.Wait(800).size(), 800u);
}

TEST_F(ThreadResolverTest, SystemsResolverKnowsLocalhost) {
  std::unique_ptr<Resolver> resolver = CreateThreadResolver(1, 10);
  ResolveRequest request = Request("localhost", 80);
  request.family = AddressFamily::kInet;
  resolver->Resolve(request, {}, answers_.Next());
  const Result result = answers_.Wait(1)[0];
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->front().ToString(), "127.0.0.1:80");
}

}  // namespace
}  // namespace transportd
