#include "proto/frame/frame_buffer.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace transportd {

namespace {
constexpr size_t kSmallestCapacityBytes = 1024;
}  // namespace

FrameBuffer::FrameBuffer(FrameBuffer&& other) noexcept
    : bytes_(std::move(other.bytes_)),
      size_bytes_(std::exchange(other.size_bytes_, 0)),
      capacity_bytes_(std::exchange(other.capacity_bytes_, 0)) {}

FrameBuffer& FrameBuffer::operator=(FrameBuffer&& other) noexcept {
  bytes_ = std::move(other.bytes_);
  size_bytes_ = std::exchange(other.size_bytes_, 0);
  capacity_bytes_ = std::exchange(other.capacity_bytes_, 0);
  return *this;
}

std::span<char> FrameBuffer::Reserve(size_t count_bytes) {
  if (capacity_bytes_ - size_bytes_ < count_bytes) {
    const size_t capacity_bytes = std::max({kSmallestCapacityBytes, 4 * capacity_bytes_, size_bytes_ + count_bytes});
    auto* grown = static_cast<char*>(std::realloc(bytes_.get(), capacity_bytes));
    if (grown == nullptr) throw std::bad_alloc();
    static_cast<void>(bytes_.release());
    bytes_.reset(grown);
    capacity_bytes_ = capacity_bytes;
  }
  return {bytes_.get() + size_bytes_, capacity_bytes_ - size_bytes_};
}

void FrameBuffer::Append(std::string_view bytes) {
  if (bytes.empty()) return;
  std::memcpy(Reserve(bytes.size()).data(), bytes.data(), bytes.size());
  Commit(bytes.size());
}

char* FrameBuffer::Release() {
  size_bytes_ = 0;
  capacity_bytes_ = 0;
  return bytes_.release();
}

}  // namespace transportd
