// load [--direct] echo CONNECTIONS MESSAGES | stalled CONNECTIONS SECONDS | ping PINGS SEED | bulk KIND MIB FOLDER |
//                 spawn PROCESSES | tls CONNECTIONS | serve | flood PORT
//
// Through the service at TRANSPORTD_TARGET; with --direct, on the embedded event loop.
#include "tests/integration/load.h"

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "clients/cpp/connect.h"
#include "transports/loop/epoll_event_loop.h"

namespace transportd::load {
namespace {

// The peers' ends of a thousand connections are descriptors of this process.
void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

absl::StatusOr<std::unique_ptr<EventLoop>> MakeLoop(bool direct) {
  if (direct) return EpollEventLoop::Create();
  return ConnectRemoteEventLoop();
}

int Usage() {
  std::fprintf(stderr,
               "usage: load [--direct] echo CONNECTIONS MESSAGES | stalled CONNECTIONS SECONDS | ping PINGS SEED | "
               "bulk KIND MIB FOLDER | spawn PROCESSES | tls CONNECTIONS | serve | flood PORT\n");
  return 2;
}

int Main(std::vector<std::string_view> words) {
  const bool direct = !words.empty() && words.front() == "--direct";
  if (direct) words.erase(words.begin());
  if (words.empty()) return Usage();
  const auto number = [&](size_t index) { return index < words.size() ? std::atoi(words[index].data()) : 0; };
  const std::string_view what = words.front();

  RaiseFileLimit();
  auto loop = MakeLoop(direct);
  if (!loop.ok()) {
    std::fprintf(stderr, "%s\n", loop.status().ToString().c_str());
    return 1;
  }
  if (what == "echo") return RunEcho(**loop, number(1), number(2));
  if (what == "stalled") return RunStalled(**loop, number(1), std::chrono::seconds(number(2)));
  if (what == "ping") return RunPing(**loop, number(1), static_cast<uint32_t>(number(2)));
  if (what == "bulk" && words.size() == 4) {
    return RunBulk(**loop, std::string(words[1]), number(2), std::string(words[3]));
  }
  if (what == "spawn") return RunSpawn(**loop, number(1));
  if (what == "tls") return RunTls(**loop, number(1));
  if (what == "serve") return RunServe(**loop);
  if (what == "flood") return RunFlood(**loop, static_cast<uint32_t>(number(1)));
  return Usage();
}

}  // namespace
}  // namespace transportd::load

int main(int argc, char** argv) { return transportd::load::Main({argv + 1, argv + argc}); }
