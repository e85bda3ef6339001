// When a writer must pause and when it may go on.
#ifndef TRANSPORTD_TRANSPORTS_BASE_WATERMARKS_H_
#define TRANSPORTD_TRANSPORTS_BASE_WATERMARKS_H_

#include <cstdint>

#include "transports/api/transport.h"

namespace transportd {

// asyncio's _FlowControlMixin without the calls: tells when to call PauseWriting and ResumeWriting, strictly
// alternating, pause first. Threading: as a plain value.
class Watermarks final {
 public:
  explicit Watermarks(WriteBufferMarks marks = {}) : marks_(marks) {}

  const WriteBufferMarks& marks() const { return marks_; }
  bool paused() const { return paused_; }

  // After the buffer grew to `size_bytes`. True: call PauseWriting now. That is strictly over the high-water mark.
  [[nodiscard]] bool Grew(uint64_t size_bytes);
  // After the buffer shrank to `size_bytes`. True: call ResumeWriting now. That is at or under the low-water mark.
  [[nodiscard]] bool Shrank(uint64_t size_bytes);
  // New marks, while the buffer holds `size_bytes`. True: call PauseWriting now. Never resumes; the next Shrank does.
  [[nodiscard]] bool SetMarks(WriteBufferMarks marks, uint64_t size_bytes);

 private:
  WriteBufferMarks marks_;
  bool paused_ = false;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_WATERMARKS_H_
