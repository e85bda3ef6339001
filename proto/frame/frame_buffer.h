// A growing block of bytes that one owner fills and another takes.
#ifndef TRANSPORTD_PROTO_FRAME_FRAME_BUFFER_H_
#define TRANSPORTD_PROTO_FRAME_FRAME_BUFFER_H_

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>
#include <string_view>

namespace transportd {

// Unlike std::string it never fills what it reserves, so that recv(2) can write into it. Move-only.
// Threading: one thread at a time.
class FrameBuffer final {
 public:
  FrameBuffer() = default;
  explicit FrameBuffer(std::string_view bytes) { Append(bytes); }
  FrameBuffer(FrameBuffer&& other) noexcept;
  FrameBuffer& operator=(FrameBuffer&& other) noexcept;

  char* data() { return bytes_.get(); }
  const char* data() const { return bytes_.get(); }
  size_t size() const { return size_bytes_; }
  size_t capacity() const { return capacity_bytes_; }
  bool empty() const { return size_bytes_ == 0; }
  std::string_view view() const { return {bytes_.get(), size_bytes_}; }

  // Room for at least `count_bytes` after the end; Commit says how much of it was used.
  std::span<char> Reserve(size_t count_bytes);
  void Commit(size_t count_bytes) { size_bytes_ += count_bytes; }
  void Append(std::string_view bytes);
  void Clear() { size_bytes_ = 0; }

  // Gives the block away, to be freed with std::free; null when nothing was ever reserved. The buffer is empty then.
  char* Release();

 private:
  struct Free {
    void operator()(char* bytes) const { std::free(bytes); }
  };

  std::unique_ptr<char, Free> bytes_;
  size_t size_bytes_ = 0;
  size_t capacity_bytes_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_PROTO_FRAME_FRAME_BUFFER_H_
