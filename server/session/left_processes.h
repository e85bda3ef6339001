// What a session's subprocesses leave behind: processes of a group whose leader has exited and whose pipes are closed.
#ifndef TRANSPORTD_SERVER_SESSION_LEFT_PROCESSES_H_
#define TRANSPORTD_SERVER_SESSION_LEFT_PROCESSES_H_

#include <memory>
#include <vector>

#include "transports/subprocess/local_subprocess.h"

namespace transportd {

// They may go on, as in asyncio, but not longer than their session. Threading: loop thread only.
class LeftProcesses final {
 public:
  // `subprocess` is lost. It is kept, with its `place` among the session's transports, while its group has a process.
  void Keep(std::shared_ptr<LocalSubprocess> subprocess, std::shared_ptr<void> place);
  // Gives back the places of the groups that are gone by now.
  void Prune();
  bool empty() const { return left_.empty(); }
  // SIGKILL to all of them.
  void Kill();

 private:
  struct Left {
    std::shared_ptr<LocalSubprocess> subprocess;
    std::shared_ptr<void> place;
  };
  std::vector<Left> left_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_LEFT_PROCESSES_H_
