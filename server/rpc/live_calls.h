// How many calls are alive, so that a completion queue is not shut down under one.
#ifndef TRANSPORTD_SERVER_RPC_LIVE_CALLS_H_
#define TRANSPORTD_SERVER_RPC_LIVE_CALLS_H_

#include <cstddef>

#include "absl/base/thread_annotations.h"
#include "transports/base/mutex.h"

namespace transportd {

// Threading: any thread.
class LiveCalls final {
 public:
  void Add() {
    MutexLock lock(mutex_);
    ++count_;
  }
  void Remove() {
    MutexLock lock(mutex_);
    if (--count_ == 0) none_.SignalAll();
  }
  void WaitForNone() {
    MutexLock lock(mutex_);
    while (count_ != 0) none_.Wait(mutex_);
  }

 private:
  Mutex mutex_;
  CondVar none_;
  size_t count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_RPC_LIVE_CALLS_H_
