// Answers of other threads that come on the loop's thread and can be called off.
#ifndef TRANSPORTD_TRANSPORTS_REACTOR_PENDING_CALLS_H_
#define TRANSPORTD_TRANSPORTS_REACTOR_PENDING_CALLS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "transports/reactor/reactor.h"
#include "transports/reactor/task_queue.h"

namespace transportd {

// Threading: loop thread only, but for the answers that Add returns.
class PendingCalls final {
 public:
  // 0 names nothing.
  using CallId = uint64_t;
  template <typename Result>
  using Done = absl::AnyInvocable<void(Result)>;

  // `reactor` must outlive this.
  explicit PendingCalls(Reactor& reactor) : reactor_(reactor), waiting_(std::make_shared<Waiting>()) {}
  PendingCalls(const PendingCalls&) = delete;
  PendingCalls& operator=(const PendingCalls&) = delete;

  template <typename Result>
  struct Call {
    CallId id = 0;
    // To be called once, on any thread, even when this and the loop are gone: `done` then gets what it is called with,
    // in a later turn, unless the call is called off first.
    Done<Result> answer;
    // Stopped when `done` is gone: the answer is for nobody then.
    std::stop_token called_off;
  };
  template <typename Result>
  Call<Result> Add(Done<Result> done) {
    reactor_.AssertInLoopThread();
    const CallId id = next_id_++;
    auto added = std::make_unique<Entry<Result>>(std::move(done));
    std::stop_token called_off = added->stop.get_token();
    waiting_->emplace(id, std::move(added));
    return {.id = id,
            .answer =
                [queue = reactor_.task_queue(), weak = std::weak_ptr(waiting_), id](Result result) {
                  queue->Post([weak, id, result = std::move(result)]() mutable {
                    const std::shared_ptr<Waiting> waiting = weak.lock();
                    if (waiting == nullptr) return;
                    const std::unique_ptr<AnyEntry> entry = Take(*waiting, id);
                    if (entry != nullptr) static_cast<Entry<Result>&>(*entry).done(std::move(result));
                  });
                },
            .called_off = std::move(called_off)};
  }

  // Destroys `done` uncalled. Nothing for an unknown id.
  void Cancel(CallId id) {
    reactor_.AssertInLoopThread();
    Take(*waiting_, id);
  }

  size_t waiting_count() const { return waiting_->size(); }

 private:
  struct AnyEntry {
    AnyEntry() = default;
    AnyEntry(const AnyEntry&) = delete;
    AnyEntry& operator=(const AnyEntry&) = delete;
    virtual ~AnyEntry() { stop.request_stop(); }
    std::stop_source stop;
  };
  template <typename Result>
  struct Entry final : AnyEntry {
    explicit Entry(Done<Result> what) : done(std::move(what)) {}
    Done<Result> done;
  };
  using Waiting = absl::flat_hash_map<CallId, std::unique_ptr<AnyEntry>>;

  static std::unique_ptr<AnyEntry> Take(Waiting& waiting, CallId id) {
    const auto it = waiting.find(id);
    if (it == waiting.end()) return nullptr;
    std::unique_ptr<AnyEntry> entry = std::move(it->second);
    waiting.erase(it);
    return entry;
  }

  Reactor& reactor_;
  // shared_ptr: owned by this, and for the length of a call by the answer that is being delivered.
  const std::shared_ptr<Waiting> waiting_;
  CallId next_id_ = 1;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_REACTOR_PENDING_CALLS_H_
