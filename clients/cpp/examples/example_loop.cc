#include "clients/cpp/examples/example_loop.h"

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "clients/cpp/connect.h"
#include "transports/loop/epoll_event_loop.h"

namespace transportd::example {
namespace {

// Not exit: other threads may be running.
[[noreturn]] void End(int status) {
  std::fflush(nullptr);
  std::_Exit(status);
}

}  // namespace

Example Begin(int argc, char** argv, const char* usage) {
  constexpr std::string_view kTarget = "--target=";
  std::optional<std::string> target;
  Example example;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--help" || argument == "-h") {
      std::printf("usage: %s\n", usage);
      End(0);
    }
    if (argument.starts_with(kTarget)) {
      target = argument.substr(kTarget.size());
    } else {
      example.arguments.emplace_back(argument);
    }
  }
  if (target.has_value()) {
    ConnectOptions options;
    options.target = *target;
    auto loop = ConnectRemoteEventLoop(std::move(options));
    if (!loop.ok()) Die(loop.status());
    example.loop = *std::move(loop);
  } else {
    auto loop = EpollEventLoop::Create();
    if (!loop.ok()) Die(loop.status());
    example.loop = *std::move(loop);
  }
  return example;
}

void Die(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  End(1);
}

}  // namespace transportd::example
