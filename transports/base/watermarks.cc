#include "transports/base/watermarks.h"

namespace transportd {

bool Watermarks::Grew(uint64_t size_bytes) {
  if (paused_ || size_bytes <= marks_.high_bytes) return false;
  paused_ = true;
  return true;
}

bool Watermarks::Shrank(uint64_t size_bytes) {
  if (!paused_ || size_bytes > marks_.low_bytes) return false;
  paused_ = false;
  return true;
}

bool Watermarks::SetMarks(WriteBufferMarks marks, uint64_t size_bytes) {
  marks_ = marks;
  return Grew(size_bytes);
}

}  // namespace transportd
