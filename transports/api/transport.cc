#include "transports/api/transport.h"

#include "absl/strings/str_cat.h"
#include "transports/api/error.h"

namespace transportd {
namespace {

constexpr uint64_t kMaxHighBytes = uint64_t{1} << 30;

}  // namespace

// asyncio's _FlowControlMixin._set_write_buffer_limits, with an upper bound.
absl::StatusOr<WriteBufferMarks> ResolveWriteBufferLimits(const WriteBufferLimits& limits,
                                                          const WriteBufferMarks& unset) {
  if (!limits.high_bytes.has_value() && !limits.low_bytes.has_value()) return unset;
  WriteBufferMarks marks;
  if (limits.low_bytes.has_value() && *limits.low_bytes > kMaxHighBytes) {
    return InvalidArgument("INVALID_LIMITS", "low_bytes",
                           absl::StrCat("low_bytes is ", *limits.low_bytes, ", must be at most high_bytes"));
  }
  if (limits.high_bytes.has_value()) {
    marks.high_bytes = *limits.high_bytes;
  } else if (limits.low_bytes.has_value()) {
    marks.high_bytes = 4 * *limits.low_bytes;
  }
  marks.low_bytes = limits.low_bytes.value_or(marks.high_bytes / 4);
  if (marks.high_bytes > kMaxHighBytes) {
    return InvalidArgument("INVALID_LIMITS", "high_bytes",
                           absl::StrCat("high_bytes is ", marks.high_bytes, ", must be at most ", kMaxHighBytes));
  }
  if (marks.low_bytes > marks.high_bytes) {
    return InvalidArgument(
        "INVALID_LIMITS", "low_bytes",
        absl::StrCat("low_bytes is ", marks.low_bytes, ", must be at most high_bytes, which is ", marks.high_bytes));
  }
  return marks;
}

}  // namespace transportd
