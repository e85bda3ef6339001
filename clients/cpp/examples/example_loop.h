// What the examples share: a loop of either kind, and what to do with an error.
#ifndef TRANSPORTD_CLIENTS_CPP_EXAMPLES_EXAMPLE_LOOP_H_
#define TRANSPORTD_CLIENTS_CPP_EXAMPLES_EXAMPLE_LOOP_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "transports/api/event_loop.h"

namespace transportd::example {

// A program's loop and the rest of its arguments. Threading: a value.
struct Example {
  std::unique_ptr<EventLoop> loop;
  std::vector<std::string> arguments;

  // The argument of this number, or `otherwise`.
  std::string Argument(size_t index, const std::string& otherwise) const {
    return index < arguments.size() ? arguments[index] : otherwise;
  }
};

// Takes `--target=TARGET` from the arguments: a loop whose sockets and programs are in the service at that gRPC target
// (`--target=` alone: the one of TRANSPORTD_TARGET). Without it everything is in this process. With `--help`, or when
// the service cannot be reached, says so and ends the program.
Example Begin(int argc, char** argv, const char* usage);

// Says what went wrong, and ends the program with status 1.
[[noreturn]] void Die(const absl::Status& status);

}  // namespace transportd::example

#endif  // TRANSPORTD_CLIENTS_CPP_EXAMPLES_EXAMPLE_LOOP_H_
