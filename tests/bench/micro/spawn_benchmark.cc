// A process that does nothing, from its start to its end: as it was asked for, opened for a gate, confined.
#include <poll.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "benchmark/benchmark.h"
#include "transports/subprocess/spawn_child.h"
#include "transports/subprocess/spawn_plan.h"

namespace transportd {
namespace {

class OpenGate final : public SubprocessGate {
 public:
  absl::StatusOr<std::optional<Confinement>> MayRun(std::string_view program, std::string_view cwd) override {
    static_cast<void>(program), static_cast<void>(cwd);
    return std::optional<Confinement>();
  }
};

void WaitFor(int fd) {
  pollfd state{.fd = fd, .events = POLLIN, .revents = 0};
  static_cast<void>(::poll(&state, 1, -1));
}

absl::Status RunOnce(const SpawnPlan& plan, const SpawnSettings& settings) {
  absl::StatusOr<SpawnedChild> child = SpawnChild(plan, settings);
  if (!child.ok()) return child.status();
  SpawnAnswer answer;
  std::optional<absl::Status> status;
  while (!status) {
    WaitFor(child->status_fd.get());
    status = ReadSpawnAnswer(*child, plan, answer);
  }
  WaitFor(child->process.pidfd());
  child->process.TryReap();
  return *status;
}

void Spawn(benchmark::State& state, SubprocessOptions options) {
  options.stdin_kind = options.stdout_kind = options.stderr_kind = Stdio::kNull;
  const absl::StatusOr<SpawnPlan> plan = PlanSpawn({"/usr/bin/true"}, std::move(options));
  const SpawnSettings settings{.helper_path = TRANSPORTD_SPAWN, .descriptor_limit = 1024};
  for (auto _ : state) {
    const absl::Status status = RunOnce(*plan, settings);
    if (!status.ok()) {
      state.SkipWithError(std::string(status.message()).c_str());
      return;
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}

void SpawnPlain(benchmark::State& state) { Spawn(state, {}); }
void SpawnGated(benchmark::State& state) { Spawn(state, {.gate = std::make_shared<OpenGate>()}); }
void SpawnConfined(benchmark::State& state) {
  Confinement confinement;
  confinement.level = Confinement::Level::kBestEffort;
  confinement.write_paths = {"/tmp"};
  confinement.limits.open_file_count = 256;
  Spawn(state, {.confinement = std::move(confinement), .gate = std::make_shared<OpenGate>()});
}

// Real time: the processes' own time is not this one's.
BENCHMARK(SpawnPlain)->UseRealTime();
BENCHMARK(SpawnGated)->UseRealTime();
BENCHMARK(SpawnConfined)->UseRealTime();

}  // namespace
}  // namespace transportd
