#include "transports/subprocess/child_process.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/logging.h"
#include "transports/subprocess/session_kill.h"

namespace transportd {
namespace {

// linux/pidfd.h, which the C library's headers do not have yet.
constexpr unsigned kPidfdSignalProcessGroup = 1u << 2;

// What Python says of a child that somebody else has reaped.
constexpr int kUnknownReturncode = 255;

// A killed process goes at once, unless the kernel itself hangs in it.
constexpr int kReapTimeoutMilliseconds = 10000;

// pidfd_send_signal(2). Not <sys/pidfd.h>, which in this C library is for C only.
long SendTo(const UniqueFd& pidfd, int signal_number, unsigned flags = 0) {
  return ::syscall(SYS_pidfd_send_signal, pidfd.get(), signal_number, nullptr, flags);
}

int ToReturncode(const siginfo_t& info) { return info.si_code == CLD_EXITED ? info.si_status : -info.si_status; }

}  // namespace

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  Release();
  pid_ = std::exchange(other.pid_, 0);
  pidfd_ = std::move(other.pidfd_);
  extent_ = std::exchange(other.extent_, ChildExtent::kProcess);
  running_ = std::exchange(other.running_, false);
  return *this;
}

ChildProcess::~ChildProcess() { Release(); }

void ChildProcess::Release() {
  if (!running_) return;
  KillAll();
  pollfd state{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
  while (::poll(&state, 1, kReapTimeoutMilliseconds) < 0 && errno == EINTR) {
  }
  if (!TryReap()) LogError("process ", pid_, " was killed and does not end");
}

std::optional<int> ChildProcess::TryReap() {
  CHECK(running_);
  siginfo_t info = {};
  int result = 0;
  do {
    result = ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG);
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    // ECHILD: SIGCHLD is ignored in this program, or it waits for any child.
    LogWarning("process ", pid_, " was reaped by somebody else; its return code is lost");
    running_ = false;
    return kUnknownReturncode;
  }
  if (info.si_pid == 0) return std::nullopt;
  running_ = false;
  return ToReturncode(info);
}

absl::Status ChildProcess::SendSignal(int signal_number) {
  if (!running_ || SendTo(pidfd_, signal_number) == 0) return absl::OkStatus();
  const int err = errno;
  return err == ESRCH ? absl::OkStatus() : ErrnoToStatus(err, "send_signal");
}

bool ChildProcess::HasGroup() const { return extent_ != ChildExtent::kProcess && SignalGroup(0); }

void ChildProcess::KillAll() {
  // Both fail when there is nobody left, or nobody who may be killed.
  if (extent_ != ChildExtent::kProcess) static_cast<void>(SignalGroup(SIGKILL));
  // A process that has its number when it was reaped is a stranger's: as in SignalGroup.
  if (extent_ == ChildExtent::kSession && (running_ || ::kill(pid_, 0) != 0)) KillSession(pid_);
  if (running_) static_cast<void>(SendTo(pidfd_, SIGKILL));
}

bool ChildProcess::SignalGroup(int signal_number) const {
  const auto found = [](long result) { return result == 0 || errno == EPERM; };
  // An unreaped leader keeps the number.
  if (running_) return found(::kill(-pid_, signal_number));
  const long result = SendTo(pidfd_, signal_number, kPidfdSignalProcessGroup);
  if (result == 0 || errno != EINVAL) return found(result);
  // Before Linux 6.9 there is only the number. Linux gives it to nobody else while the group has a process; a process
  // that has it is a stranger's, so the group is gone. (A stranger that had it and went, and left a group of its own
  // behind, all since the last look, would not be noticed.)
  if (found(::kill(pid_, 0))) return false;
  return found(::kill(-pid_, signal_number));
}

}  // namespace transportd
