// An executor that a test runs by hand.
#ifndef TRANSPORTD_TESTS_SUPPORT_HELD_EXECUTOR_H_
#define TRANSPORTD_TESTS_SUPPORT_HELD_EXECUTOR_H_

#include <cstddef>
#include <thread>
#include <utility>
#include <vector>

#include "transports/base/executor.h"

namespace transportd {

// Keeps what was submitted until the test runs it, on another thread. Threading: the test's thread.
class HeldExecutor final : public Executor {
 public:
  void Submit(Work work) override {
    ++submit_count_;
    work_.push_back(std::move(work));
  }
  // What is held now, each with `status`.
  void RunAll(absl::Status status = absl::OkStatus()) {
    std::thread([&] {
      for (Work& work : std::exchange(work_, {})) work(status);
    }).join();
  }
  size_t held_count() const { return work_.size(); }
  // Since the beginning.
  size_t submit_count() const { return submit_count_; }

 private:
  std::vector<Work> work_;
  size_t submit_count_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_SUPPORT_HELD_EXECUTOR_H_
