#include "server/policy/confinement_of.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "google/protobuf/duration.pb.h"
#include "server/policy/names.h"

namespace transportd {
namespace {

constexpr uint64_t kDefaultOpenFiles = 256;

Duration ToDuration(const google::protobuf::Duration& duration) {
  return std::chrono::seconds(duration.seconds()) + std::chrono::nanoseconds(duration.nanos());
}

std::optional<uint64_t> IfSet(uint64_t value) { return value == 0 ? std::nullopt : std::optional(value); }

}  // namespace

Confinement ConfinementOf(const v1::RunGrant& grant) {
  Confinement confinement;
  confinement.network =
      grant.network() == v1::RunGrant::HOST ? Confinement::Network::kHost : Confinement::Network::kNone;
  confinement.level = grant.confinement() == v1::RunGrant::BEST_EFFORT ? Confinement::Level::kBestEffort
                                                                       : Confinement::Level::kRequired;
  confinement.read_paths.assign(grant.read().begin(), grant.read().end());
  confinement.write_paths.assign(grant.write().begin(), grant.write().end());
  const v1::ProcessLimits& limits = grant.limits();
  if (limits.has_wall_time()) confinement.limits.wall_time = ToDuration(limits.wall_time());
  if (limits.has_cpu_time()) {
    confinement.limits.cpu_seconds =
        static_cast<uint64_t>(std::chrono::ceil<std::chrono::seconds>(ToDuration(limits.cpu_time())).count());
  }
  confinement.limits.address_space_bytes = IfSet(limits.memory_bytes());
  confinement.limits.open_file_count = IfSet(limits.open_files()).value_or(kDefaultOpenFiles);
  confinement.limits.file_bytes = IfSet(limits.file_bytes());
  return confinement;
}

bool IsWithin(const Confinement& running, const Confinement& now) {
  const auto has = [](const std::vector<std::string>& folders, const std::string& path) {
    return std::any_of(folders.begin(), folders.end(),
                       [&](const std::string& folder) { return IsInFolder(folder, path); });
  };
  // What may be written may be read.
  return (running.network == Confinement::Network::kNone || now.network == Confinement::Network::kHost) &&
         (running.level == Confinement::Level::kRequired || now.level == Confinement::Level::kBestEffort) &&
         std::all_of(
             running.read_paths.begin(), running.read_paths.end(),
             [&](const std::string& path) { return has(now.read_paths, path) || has(now.write_paths, path); }) &&
         std::all_of(running.write_paths.begin(), running.write_paths.end(),
                     [&](const std::string& path) { return has(now.write_paths, path); });
}

}  // namespace transportd
