#include "transports/base/byte_queue.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "transports/base/check.h"

namespace transportd {

// The header of a block of memory whose rest holds bytes: [begin, end) are queued, [end, capacity) are free.
struct ByteQueue::Chunk {
  Chunk* next = nullptr;
  size_t begin = 0;
  size_t end = 0;
  size_t capacity = 0;

  char* data() { return reinterpret_cast<char*>(this + 1); }
};

namespace {

// Whole blocks of the allocator, header included.
constexpr size_t kMinBlockBytes = 4 * 1024;
constexpr size_t kMaxBlockBytes = 64 * 1024;

}  // namespace

ByteQueue& ByteQueue::operator=(ByteQueue&& other) noexcept {
  if (this == &other) return *this;
  Clear();
  head_ = std::exchange(other.head_, nullptr);
  tail_ = std::exchange(other.tail_, nullptr);
  size_bytes_ = std::exchange(other.size_bytes_, 0);
  return *this;
}

void ByteQueue::Append(std::string_view data) {
  while (!data.empty()) {
    if (tail_ == nullptr || tail_->end == tail_->capacity) {
      // As much again as is queued: few chunks for a long queue, little waste for a short one.
      size_t block_bytes =
          std::clamp(std::max(data.size(), size_bytes_) + sizeof(Chunk), kMinBlockBytes, kMaxBlockBytes);
      Chunk* chunk = new (::operator new(block_bytes)) Chunk;
      chunk->capacity = block_bytes - sizeof(Chunk);
      (tail_ == nullptr ? head_ : tail_->next) = chunk;
      tail_ = chunk;
    }
    size_t copied_bytes = std::min(data.size(), tail_->capacity - tail_->end);
    std::memcpy(tail_->data() + tail_->end, data.data(), copied_bytes);
    tail_->end += copied_bytes;
    size_bytes_ += copied_bytes;
    data.remove_prefix(copied_bytes);
  }
}

size_t ByteQueue::Peek(std::span<iovec> pieces) const {
  size_t count = 0;
  for (Chunk* chunk = head_; chunk != nullptr && count < pieces.size(); chunk = chunk->next) {
    pieces[count++] = iovec{chunk->data() + chunk->begin, chunk->end - chunk->begin};
  }
  return count;
}

void ByteQueue::Consume(size_t size_bytes) {
  CHECK(size_bytes <= size_bytes_);
  size_bytes_ -= size_bytes;
  while (size_bytes > 0) {
    size_t dropped_bytes = std::min(size_bytes, head_->end - head_->begin);
    head_->begin += dropped_bytes;
    size_bytes -= dropped_bytes;
    if (head_->begin == head_->end) DropHead();
  }
}

void ByteQueue::Clear() {
  while (head_ != nullptr) DropHead();
  size_bytes_ = 0;
}

void ByteQueue::DropHead() {
  Chunk* next = head_->next;
  ::operator delete(head_);
  head_ = next;
  if (head_ == nullptr) tail_ = nullptr;
}

}  // namespace transportd
