// What keeps open transports and servers alive: their loop.
#ifndef TRANSPORTD_TRANSPORTS_STREAM_TRANSPORT_REGISTRY_H_
#define TRANSPORTD_TRANSPORTS_STREAM_TRANSPORT_REGISTRY_H_

#include <cstddef>
#include <memory>

#include "absl/container/flat_hash_map.h"

namespace transportd {

// Something that a loop holds while it is open. Threading: loop thread only.
class LoopOwned {
 public:
  virtual ~LoopOwned() = default;
  // The loop is being destroyed: release descriptors, watches and timers; call nobody, now or later; never touch the
  // loop again. Once.
  virtual void OnLoopDestroyed() = 0;
};

// Shares ownership of each of its objects with whoever else holds a shared_ptr to it. Threading: loop thread only.
class TransportRegistry final {
 public:
  TransportRegistry() = default;
  TransportRegistry(const TransportRegistry&) = delete;
  TransportRegistry& operator=(const TransportRegistry&) = delete;
  ~TransportRegistry();

  // CHECK-fails when it is there already.
  void Add(std::shared_ptr<LoopOwned> object);
  // What the registry held; null when it is not there.
  std::shared_ptr<LoopOwned> Remove(LoopOwned* object);
  size_t size() const { return objects_.size(); }

  // Calls OnLoopDestroyed on each and lets go of it. Nothing may be added any more.
  void DestroyAll();

 private:
  absl::flat_hash_map<LoopOwned*, std::shared_ptr<LoopOwned>> objects_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_STREAM_TRANSPORT_REGISTRY_H_
