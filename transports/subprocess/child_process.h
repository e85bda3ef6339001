// A child of this program, known by its pidfd: a number that cannot become another process's.
#ifndef TRANSPORTD_TRANSPORTS_SUBPROCESS_CHILD_PROCESS_H_
#define TRANSPORTD_TRANSPORTS_SUBPROCESS_CHILD_PROCESS_H_

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "transports/base/unique_fd.h"

namespace transportd {

// What ends with a child.
enum class ChildExtent : uint8_t {
  kProcess,
  kGroup,    // The process group that it leads.
  kSession,  // The session that it leads.
};

// Never leaves a zombie: a child that was not reaped when this is destroyed is killed, waited for (it takes a moment)
// and reaped. Threading: one thread at a time.
class ChildProcess final {
 public:
  ChildProcess() = default;
  // `pid` is a child of this program that nobody else reaps, `pidfd` its pidfd_open(2). It is the leader of
  // what `extent` says, or about to be.
  ChildProcess(int pid, UniqueFd pidfd, ChildExtent extent)
      : pid_(pid), pidfd_(std::move(pidfd)), extent_(extent), running_(true) {}
  ChildProcess(ChildProcess&& other) noexcept { *this = std::move(other); }
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();

  int pid() const { return pid_; }
  // Readable when the process has exited.
  int pidfd() const { return pidfd_.get(); }

  // Once it has exited: 0 to 255, or -N when signal N killed it; it is then reaped. 255 when somebody else reaped it.
  std::optional<int> TryReap();

  // OK when it has exited already. The kernel's error.
  absl::Status SendSignal(int signal_number);

  // Whether its own group has a process, a zombie included; false when it was given none. Also after it was reaped.
  bool HasGroup() const;
  // SIGKILL to the process, if it was not reaped, and to what is left of its own group or session, also after it was
  // reaped.
  void KillAll();

 private:
  void Release();
  // To every process of its own group; 0: only asks. Whether there is one.
  bool SignalGroup(int signal_number) const;

  int pid_ = 0;
  UniqueFd pidfd_;
  ChildExtent extent_ = ChildExtent::kProcess;
  bool running_ = false;  // Not reaped.
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SUBPROCESS_CHILD_PROCESS_H_
