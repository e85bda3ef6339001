// Opens many connections at once, a bounded number at a time.
#ifndef TRANSPORTD_TESTS_BENCH_LOAD_CONNECTIONS_H_
#define TRANSPORTD_TESTS_BENCH_LOAD_CONNECTIONS_H_

#include <functional>
#include <memory>

#include "tests/bench/load/work.h"

namespace transportd::bench {

// Opens `count` connections to `port` with the protocols that `make` gives, and calls `done` when all are open; the
// first that fails ends the course. At most 256 are under way, so that no listener's backlog overflows.
// Threading: loop thread only.
void OpenConnections(Course& course, int port, int count, std::function<std::shared_ptr<BaseProtocol>(int index)> make,
                     std::function<void()> done);

}  // namespace transportd::bench

#endif  // TRANSPORTD_TESTS_BENCH_LOAD_CONNECTIONS_H_
