// Values named by ids that are never used twice.
#ifndef TRANSPORTD_TRANSPORTS_BASE_SLOT_MAP_H_
#define TRANSPORTD_TRANSPORTS_BASE_SLOT_MAP_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "transports/base/check.h"

namespace transportd {

// An array of slots, reused when free; an id is the slot's number and how often it has been used. Finding a value is
// one array access and one comparison; the id of an erased value finds nothing. 16 million values at once; each slot
// can be used 2^40 times. Pointers to values are valid until the next Insert or Erase.
// Threading: as a std::vector.
template <typename T>
class SlotMap final {
 public:
  // Never 0.
  uint64_t Insert(T value) {
    uint64_t index = free_head_;
    if (index == kNoSlot) {
      index = slots_.size();
      CHECK(index < kNoSlot);
      slots_.emplace_back();
    } else {
      free_head_ = slots_[index].next_free;
    }
    Slot& slot = slots_[index];
    CHECK(slot.generation < kMaxGeneration);
    ++slot.generation;
    slot.value = std::move(value);
    slot.used = true;
    ++size_;
    return slot.generation << kIndexBits | index;
  }

  // Null when `id` was never given or is erased.
  T* Find(uint64_t id) {
    uint64_t index = id & kIndexMask;
    if (index >= slots_.size()) return nullptr;
    Slot& slot = slots_[index];
    return slot.used && slot.generation == id >> kIndexBits ? &slot.value : nullptr;
  }
  const T* Find(uint64_t id) const { return const_cast<SlotMap*>(this)->Find(id); }

  // Returns the value; `id` must be in use.
  T Erase(uint64_t id) {
    CHECK(Find(id) != nullptr);
    uint64_t index = id & kIndexMask;
    Slot& slot = slots_[index];
    T value = std::exchange(slot.value, T());
    slot.used = false;
    slot.next_free = free_head_;
    free_head_ = index;
    --size_;
    return value;
  }

  size_t size() const { return size_; }

 private:
  static constexpr int kIndexBits = 24;
  static constexpr uint64_t kIndexMask = (uint64_t{1} << kIndexBits) - 1;
  static constexpr uint64_t kMaxGeneration = (uint64_t{1} << (64 - kIndexBits)) - 1;
  static constexpr uint64_t kNoSlot = kIndexMask;

  struct Slot {
    uint64_t generation = 0;
    uint64_t next_free = kNoSlot;
    T value{};
    bool used = false;
  };

  std::vector<Slot> slots_;
  uint64_t free_head_ = kNoSlot;
  size_t size_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_SLOT_MAP_H_
