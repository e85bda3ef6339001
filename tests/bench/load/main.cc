// The load generator. See kUsage.
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "clients/cpp/connect.h"
#include "proto/grpc/process_tuning.h"
#include "tests/bench/load/work.h"
#include "transports/loop/epoll_event_loop.h"

namespace transportd::bench {
namespace {

constexpr char kUsage[] =
    R"(usage: bench_load [--loop=direct|service] [--threads=N] [--seconds=S] [--warmup=S] [--host=HOST] [--ca=PEM] WORK

Runs one work and prints what it measured, as a line of JSON.

  --loop=direct    sockets of this process, on the embedded event loop (default)
  --loop=service   through the transportd at $TRANSPORTD_TARGET
  --threads=N      N event loops, each in a thread (with the service: each with a session) that share the connections; 1
  --seconds=S      how long it measures; 2
  --warmup=S       how long it runs before that; 0.5
  --host=HOST      where the ports are; 127.0.0.1
  --ca=PEM         the connections speak TLS, with a server that this certificate vouches for

Exit status: 0 measured; 1 something went wrong, which standard error tells; 2 bad usage.

Works:
)";

constexpr const WorkKind* kKinds[] = {&kEchoWork,          &kBulkUpWork, &kBulkDownWork, &kUdpWork,
                                      &kConnectWork,       &kServeWork,  &kSpawnWork,    &kOutputWork,
                                      &kPingAmongBulkWork, &kIdleWork,   &kStalledWork,  &kIdlePingWork};

struct Options {
  bool service = false;
  int thread_count = 1;
  const WorkKind* kind = nullptr;
  Settings settings;
};

int Usage() {
  std::fputs(kUsage, stderr);
  for (const WorkKind* kind : kKinds) {
    std::fprintf(stderr, "  %s %s\n", std::string(kind->name).c_str(), std::string(kind->arguments).c_str());
  }
  return 2;
}

Duration Seconds(std::string_view value) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::atof(std::string(value).c_str())));
}

std::optional<Options> Parse(const std::vector<std::string_view>& words) {
  Options options;
  for (const std::string_view word : words) {
    const size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    const std::string_view value = equals == word.npos ? std::string_view() : word.substr(equals + 1);
    if (name == "--loop") {
      options.service = value == "service";
      if (!options.service && value != "direct") return std::nullopt;
    } else if (name == "--threads") {
      options.thread_count = std::atoi(std::string(value).c_str());
      if (options.thread_count < 1) return std::nullopt;
    } else if (name == "--seconds") {
      options.settings.measured = Seconds(value);
    } else if (name == "--warmup") {
      options.settings.warmup = Seconds(value);
    } else if (name == "--host") {
      options.settings.host = value;
    } else if (name == "--ca") {
      std::ifstream file{std::string(value)};
      options.settings.tls.emplace();
      options.settings.tls->trust_roots_pem = std::string(std::istreambuf_iterator<char>(file), {});
      options.settings.tls->server_hostname = "localhost";
    } else if (name.starts_with("--")) {
      return std::nullopt;
    } else if (options.kind != nullptr) {
      options.settings.arguments.emplace_back(word);
    } else {
      const auto* const found =
          std::find_if(std::begin(kKinds), std::end(kKinds), [&](const WorkKind* kind) { return kind->name == word; });
      if (found == std::end(kKinds)) return std::nullopt;
      options.kind = *found;
    }
  }
  if (options.kind == nullptr || options.settings.arguments.size() != options.kind->argument_count) {
    return std::nullopt;
  }
  return options;
}

absl::StatusOr<std::unique_ptr<EventLoop>> MakeLoop(bool service) {
  if (service) return ConnectRemoteEventLoop();
  EpollEventLoop::Options options;
  options.spawn_helper = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "../../bin/transportd-spawn";
  return EpollEventLoop::Create(options);
}

Tally RunCourse(const Options& options, StartLine& start, int index) {
  auto loop = MakeLoop(options.service);
  if (!loop.ok()) return {.failure = std::string(loop.status().message())};
  Course course(**loop, options.settings, start, index, options.thread_count);
  const std::unique_ptr<Work> work = options.kind->make(course);
  work->Open();
  (*loop)->RunForever();
  Tally tally = course.TakeTally();
  loop->reset();  // Before the work, whose protocols it calls.
  return tally;
}

double Percentile(const std::vector<float>& sorted, double part) {
  const auto index = static_cast<size_t>(std::ceil(part * static_cast<double>(sorted.size()))) - 1;
  return sorted[std::min(index, sorted.size() - 1)];
}

void Print(const WorkKind& kind, const std::vector<Tally>& tallies) {
  Tally all;
  for (const Tally& tally : tallies) {
    all.latencies_us.insert(all.latencies_us.end(), tally.latencies_us.begin(), tally.latencies_us.end());
    all.count_per_s += tally.count_per_s;
    all.bytes_per_s += tally.bytes_per_s;
    all.lost_count += tally.lost_count;
  }
  std::printf("{\"work\": \"%s\"", std::string(kind.name).c_str());
  if (!kind.rate_name.empty()) std::printf(", \"%s\": %.1f", std::string(kind.rate_name).c_str(), all.count_per_s);
  if (all.bytes_per_s > 0) std::printf(", \"bytes_per_s\": %.0f", all.bytes_per_s);
  if (std::vector<float>& sorted = all.latencies_us; !sorted.empty()) {
    std::sort(sorted.begin(), sorted.end());
    std::printf(", \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, \"samples\": %zu",
                Percentile(sorted, 0.5), Percentile(sorted, 0.9), Percentile(sorted, 0.99), Percentile(sorted, 1),
                sorted.size());
  }
  std::printf(", \"lost_count\": %llu}\n", static_cast<unsigned long long>(all.lost_count));
}

// Thousands of connections are descriptors of this process.
void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int Main(const std::vector<std::string_view>& words) {
  TuneProcess();
  const std::optional<Options> options = Parse(words);
  if (!options) return Usage();
  RaiseFileLimit();
  StartLine start(options->thread_count);
  std::vector<Tally> tallies(static_cast<size_t>(options->thread_count));
  std::vector<std::thread> threads;
  for (int i = 0; i < options->thread_count; ++i) {
    threads.emplace_back([&, i] { tallies[static_cast<size_t>(i)] = RunCourse(*options, start, i); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Tally& tally : tallies) {
    if (tally.failure.empty()) continue;
    std::fprintf(stderr, "bench_load: %s: %s\n", std::string(options->kind->name).c_str(), tally.failure.c_str());
    return 1;
  }
  Print(*options->kind, tallies);
  return 0;
}

}  // namespace
}  // namespace transportd::bench

int main(int argc, char** argv) { return transportd::bench::Main({argv + 1, argv + argc}); }
