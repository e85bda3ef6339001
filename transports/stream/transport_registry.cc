#include "transports/stream/transport_registry.h"

#include <utility>

#include "transports/base/check.h"

namespace transportd {

TransportRegistry::~TransportRegistry() { DestroyAll(); }

void TransportRegistry::Add(std::shared_ptr<LoopOwned> object) {
  LoopOwned* const key = object.get();
  const bool is_new = objects_.emplace(key, std::move(object)).second;
  CHECK(is_new);
}

std::shared_ptr<LoopOwned> TransportRegistry::Remove(LoopOwned* object) {
  const auto it = objects_.find(object);
  if (it == objects_.end()) return nullptr;
  std::shared_ptr<LoopOwned> held = std::move(it->second);
  objects_.erase(it);
  return held;
}

void TransportRegistry::DestroyAll() {
  // One object's end may drop the last reference to another's, never to one that is still in the map.
  while (!objects_.empty()) {
    const auto it = objects_.begin();
    const std::shared_ptr<LoopOwned> object = std::move(it->second);
    objects_.erase(it);
    object->OnLoopDestroyed();
  }
}

}  // namespace transportd
