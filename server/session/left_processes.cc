#include "server/session/left_processes.h"

#include <utility>

namespace transportd {

void LeftProcesses::Keep(std::shared_ptr<LocalSubprocess> subprocess, std::shared_ptr<void> place) {
  Prune();
  if (subprocess->HasGroup()) left_.push_back({.subprocess = std::move(subprocess), .place = std::move(place)});
}

void LeftProcesses::Prune() {
  std::erase_if(left_, [](const Left& left) { return !left.subprocess->HasGroup(); });
}

void LeftProcesses::Kill() {
  for (const Left& left : std::exchange(left_, {})) left.subprocess->Close();
}

}  // namespace transportd
