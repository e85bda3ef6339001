// Subprocesses of a scenario: a protocol that traces every callback, the same as in subprocess_stage.py.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_SUBPROCESS_STAGE_H_
#define TRANSPORTD_TESTS_CONFORMANCE_SUBPROCESS_STAGE_H_

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/conformance/stage.h"
#include "tests/conformance/trace.h"
#include "transports/api/subprocess.h"

namespace transportd::conformance {

class Child;

// What a subprocess's protocol does in its callbacks; unset: nothing. Threading: a value.
struct ChildHooks {
  std::function<void(Child&)> made = nullptr;
  std::function<void(Child&, int fd)> data = nullptr;
  std::function<void(Child&, int fd)> pipe_lost = nullptr;
  std::function<void(Child&)> exited = nullptr;
  std::function<void(Child&)> lost = nullptr;
};

// The order of the callbacks of different pipes, and of process_exited among them, is nobody's promise: each has a
// trace of its own, `child.0`, `child.1`, `child.2`, `child.exit` and, for pause_writing and resume_writing,
// `child.flow`. Threading: loop thread only.
class Child final : public SubprocessProtocol, public std::enable_shared_from_this<Child> {
 public:
  Child(Stage& stage, std::string name, ChildHooks hooks);

  SubprocessTransport& transport() { return *transport_; }
  std::shared_ptr<Transport> pipe_transport(int fd) { return transport_->GetPipeTransport(fd); }
  const std::string& received(int fd) const { return received_.at(static_cast<size_t>(fd)); }
  bool made() const { return transport_ != nullptr; }
  bool pipe_lost(int fd) const { return pipe_lost_.at(static_cast<size_t>(fd)); }
  bool exited() const { return exited_; }
  bool lost() const { return lost_; }
  const ConnectionEnd& pipe_end(int fd) const { return pipe_ends_.at(static_cast<size_t>(fd)); }

  void Note(std::string line) { trace_.Add(std::move(line)); }
  void Note(std::string_view what, bool value);
  void NoteReturncode();
  // Which of the three pipes there are.
  void NotePipes();
  // Notes the reason when it is refused.
  void Signal(int signal_number);

  // SubprocessProtocol
  void ConnectionMade(std::shared_ptr<SubprocessTransport> transport) override;
  void PipeDataReceived(int fd, std::string_view data) override;
  void PipeConnectionLost(int fd, const ConnectionEnd& end) override;
  void ProcessExited() override;
  void PauseWriting() override;
  void ResumeWriting() override;
  void ConnectionLost(const ConnectionEnd& end) override;

 private:
  // Ends with the loop being told that something changed.
  void Trace(const std::string& part, const std::string& line);
  conformance::Trace& PartTrace(const std::string& part);

  Stage& stage_;
  const std::string name_;
  const ChildHooks hooks_;
  conformance::Trace& trace_;
  std::map<std::string, conformance::Trace*> parts_;
  std::shared_ptr<SubprocessTransport> transport_;
  std::array<std::string, 3> received_;
  std::array<bool, 3> pipe_lost_ = {};
  std::array<ConnectionEnd, 3> pipe_ends_;
  bool exited_ = false;
  bool lost_ = false;
};

// What scenarios about subprocesses need besides. Threading: as Stage.
class Children final {
 public:
  explicit Children(Stage& stage) : stage_(stage) {}

  Child& New(ChildHooks hooks = {}, const std::string& name = "child");
  // Starts it and notes what came of it. `argv`: the program first.
  void Exec(Child& child, std::vector<std::string> argv, SubprocessOptions options = {});
  void Shell(Child& child, std::string cmd, SubprocessOptions options = {});
  OperationId BeginExec(Child& child, std::vector<std::string> argv, SubprocessOptions options, bool& done);
  Child& Run(std::string cmd, SubprocessOptions options = {}, ChildHooks hooks = {});
  void UntilLost(Child& child);
  void UntilReceived(Child& child, int fd, std::string_view data);

 private:
  void Note(Child& child, std::string_view call, const absl::Status& status);

  Stage& stage_;
  std::deque<std::shared_ptr<Child>> children_;
};

SubprocessOptions WithStdio(Stdio in, Stdio out, Stdio err);

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_SUBPROCESS_STAGE_H_
