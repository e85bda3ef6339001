// The loop with its sockets here.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_EMBEDDED_LOOP_H_
#define TRANSPORTD_TESTS_CONFORMANCE_EMBEDDED_LOOP_H_

#include <memory>

#include "tests/conformance/loop_under_test.h"

namespace transportd::conformance {

std::unique_ptr<LoopUnderTest> MakeEmbeddedLoop();

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_EMBEDDED_LOOP_H_
