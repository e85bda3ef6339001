#include "transports/subprocess/session_kill.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <filesystem>
#include <string>
#include <system_error>

#include "transports/base/unique_fd.h"

namespace transportd {
namespace {

// A process that forks while it is looked for leaves a child that is found in the next round.
constexpr int kMaxRounds = 16;

// Whether it was in the session, and is killed now.
bool KillMember(int pid, int session) {
  if (::getsid(pid) != session) return false;
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  // It may have gone, and its number be another's, before it was held.
  if (!pidfd.valid() || ::getsid(pid) != session) return false;
  return ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0) == 0;
}

bool KillMembers(int session) {
  bool killed = false;
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/proc", error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    int pid = 0;
    const auto [rest, failure] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (failure == std::errc() && rest == name.data() + name.size()) killed |= KillMember(pid, session);
  }
  return killed;
}

}  // namespace

void KillSession(int session) {
  for (int round = 0; round < kMaxRounds && KillMembers(session); ++round) {
  }
}

}  // namespace transportd
