// The loops that need no gRPC.
#include "tests/conformance/embedded_loop.h"
#include "tests/conformance/loop_under_test.h"
#include "tests/conformance/memory_loop.h"

namespace transportd::conformance {

std::vector<LoopKind> LoopKinds() { return {{"embedded", MakeEmbeddedLoop}, {"memory", MakeMemoryLoop}}; }

}  // namespace transportd::conformance
