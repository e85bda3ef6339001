#include "server/ops/file_limit.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>

namespace transportd {
namespace {

constexpr uint64_t kMaxReserve = 256;

}  // namespace

FileLimit RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  const rlim_t soft = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  return {.raised = setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : soft, .before = soft};
}

int DescriptorLimit(uint64_t file_limit) {
  constexpr uint64_t kNone = std::numeric_limits<int>::max();
  if (file_limit == 0 || file_limit > kNone) return static_cast<int>(kNone);
  return static_cast<int>(file_limit - std::min(kMaxReserve, file_limit / 4));
}

}  // namespace transportd
