#include "server/policy/quota_merge.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

namespace transportd {
namespace {

void MergeRate(const v1::Rate& from, v1::Rate& into) {
  const uint32_t burst = from.burst() != 0 ? from.burst() : static_cast<uint32_t>(std::ceil(from.per_second()));
  into.set_per_second(std::max(into.per_second(), from.per_second()));
  into.set_burst(std::max({into.burst(), burst, uint32_t{1}}));
}

void MergeDuration(const google::protobuf::Duration& from, google::protobuf::Duration& into) {
  const auto parts = [](const google::protobuf::Duration& one) { return std::pair(one.seconds(), one.nanos()); };
  if (parts(into) < parts(from)) into = from;
}

}  // namespace

void MergeQuota(const v1::Quota& from, v1::Quota& into) {
  if (from.has_sessions()) into.set_sessions(std::max(into.sessions(), from.sessions()));
  if (from.has_transports()) into.set_transports(std::max(into.transports(), from.transports()));
  if (from.has_listeners()) into.set_listeners(std::max(into.listeners(), from.listeners()));
  if (from.has_processes()) into.set_processes(std::max(into.processes(), from.processes()));
  if (from.has_buffered_bytes()) into.set_buffered_bytes(std::max(into.buffered_bytes(), from.buffered_bytes()));
  if (from.has_connects()) MergeRate(from.connects(), *into.mutable_connects());
  if (from.has_spawns()) MergeRate(from.spawns(), *into.mutable_spawns());
  if (from.has_resolutions()) MergeRate(from.resolutions(), *into.mutable_resolutions());
  if (from.has_session_age()) MergeDuration(from.session_age(), *into.mutable_session_age());
  if (from.has_session_idle()) MergeDuration(from.session_idle(), *into.mutable_session_idle());
}

}  // namespace transportd
