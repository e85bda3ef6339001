// How long a peer of a test waits for what must come before it gives up: of no matter to a test that passes.
#ifndef TRANSPORTD_TESTS_SUPPORT_PATIENCE_H_
#define TRANSPORTD_TESTS_SUPPORT_PATIENCE_H_

namespace transportd {

inline constexpr int kPatienceMilliseconds = 20000;

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_SUPPORT_PATIENCE_H_
