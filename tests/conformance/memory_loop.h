// The remote loop with its session in the same process, without gRPC.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_MEMORY_LOOP_H_
#define TRANSPORTD_TESTS_CONFORMANCE_MEMORY_LOOP_H_

#include <memory>

#include "tests/conformance/loop_under_test.h"

namespace transportd::conformance {

std::unique_ptr<LoopUnderTest> MakeMemoryLoop();

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_MEMORY_LOOP_H_
