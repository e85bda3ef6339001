// CHECK: aborts when an invariant is broken. For this program's own mistakes only: what a peer, a client or the
// kernel does is handled, never checked.
#ifndef TRANSPORTD_TRANSPORTS_BASE_CHECK_H_
#define TRANSPORTD_TRANSPORTS_BASE_CHECK_H_

#include <cstdio>
#include <cstdlib>

namespace transportd::internal {

[[noreturn]] inline void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace transportd::internal

// Evaluates `condition` once, in every build.
#define CHECK(condition) \
  (__builtin_expect(!(condition), 0) ? ::transportd::internal::CheckFailed(__FILE__, __LINE__, #condition) : (void)0)

#define CHECK_EQ(a, b) CHECK((a) == (b))
#define CHECK_NE(a, b) CHECK((a) != (b))
#define CHECK_LT(a, b) CHECK((a) < (b))
#define CHECK_LE(a, b) CHECK((a) <= (b))
#define CHECK_GT(a, b) CHECK((a) > (b))
#define CHECK_GE(a, b) CHECK((a) >= (b))

#endif  // TRANSPORTD_TRANSPORTS_BASE_CHECK_H_
