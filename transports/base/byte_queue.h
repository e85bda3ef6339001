// The write buffer of a stream: bytes in at the back, out at the front, in pieces for writev(2).
#ifndef TRANSPORTD_TRANSPORTS_BASE_BYTE_QUEUE_H_
#define TRANSPORTD_TRANSPORTS_BASE_BYTE_QUEUE_H_

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace transportd {

// A list of chunks of 4 to 64 KiB. Bytes never move; a chunk is freed as soon as it is consumed, and an empty queue
// owns no memory. Not bounded: its user keeps it under its watermarks. Threading: as a std::string.
class ByteQueue final {
 public:
  ByteQueue() = default;
  ByteQueue(ByteQueue&& other) noexcept
      : head_(std::exchange(other.head_, nullptr)),
        tail_(std::exchange(other.tail_, nullptr)),
        size_bytes_(std::exchange(other.size_bytes_, 0)) {}
  ByteQueue& operator=(ByteQueue&& other) noexcept;
  ~ByteQueue() { Clear(); }

  size_t size() const { return size_bytes_; }
  bool empty() const { return size_bytes_ == 0; }

  // Copies `data` to the back.
  void Append(std::string_view data);

  // Describes the bytes at the front, as many as `pieces` has room for; returns the number of pieces, 0 when empty.
  // Valid until Consume or Clear; Append may follow.
  size_t Peek(std::span<iovec> pieces) const;

  // Drops `size_bytes` from the front; not more than size().
  void Consume(size_t size_bytes);

  void Clear();

 private:
  struct Chunk;

  void DropHead();

  Chunk* head_ = nullptr;  // Owned, as is the chain that follows it.
  Chunk* tail_ = nullptr;
  size_t size_bytes_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_BYTE_QUEUE_H_
