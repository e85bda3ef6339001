#include "tests/conformance/subprocess_stage.h"

#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd::conformance {

namespace {

std::string ReasonText(const absl::Status& status) { return status.ok() ? "None" : ToTransportError(status).reason; }

}  // namespace

Child::Child(Stage& stage, std::string name, ChildHooks hooks)
    : stage_(stage), name_(std::move(name)), hooks_(std::move(hooks)), trace_(stage.NewTrace(name_)) {}

conformance::Trace& Child::PartTrace(const std::string& part) {
  conformance::Trace*& trace = parts_[part];
  if (trace == nullptr) trace = &stage_.NewTrace(StrCat(name_, ".", part));
  return *trace;
}

void Child::Trace(const std::string& part, const std::string& line) {
  // Those of stdin's write buffer may come from inside a call.
  if (part != "flow" && (!stage_.is_running() || stage_.callback_depth > 0)) Note("a callback inside another call");
  PartTrace(part).Add(line);
  stage_.Changed();
}

void Child::Note(std::string_view what, bool value) { Note(StrCat(what, " ", BoolText(value))); }

void Child::NoteReturncode() {
  const std::optional<int> returncode = transport_->GetReturncode();
  Note(returncode ? StrCat("returncode ", *returncode) : "returncode None");
}

void Child::NotePipes() {
  Note(StrCat("pipes ", BoolText(pipe_transport(0) != nullptr), " ", BoolText(pipe_transport(1) != nullptr), " ",
              BoolText(pipe_transport(2) != nullptr)));
}

void Child::Signal(int signal_number) {
  transport_->SendSignal(signal_number, [self = shared_from_this()](const absl::Status& status) {
    if (!status.ok()) self->Note("send_signal " + ReasonText(status));
    self->stage_.Changed();
  });
}

void Child::ConnectionMade(std::shared_ptr<SubprocessTransport> transport) {
  if (!stage_.is_running()) Note("connection_made inside another call");
  transport_ = std::move(transport);
  Note(StrCat("connection_made has_pid=", BoolText(transport_->GetPid() > 0)));
  if (hooks_.made) hooks_.made(*this);
  stage_.Changed();
}

void Child::PipeDataReceived(int fd, std::string_view data) {
  received_.at(static_cast<size_t>(fd)) += data;
  PartTrace(StrCat(fd)).AddData("pipe_data_received", data);
  stage_.Changed();
  if (hooks_.data) hooks_.data(*this, fd);
}

void Child::PipeConnectionLost(int fd, const ConnectionEnd& end) {
  pipe_lost_.at(static_cast<size_t>(fd)) = true;
  pipe_ends_.at(static_cast<size_t>(fd)) = end;
  Trace(StrCat(fd), "pipe_connection_lost " + ReasonText(end.status));
  if (hooks_.pipe_lost) hooks_.pipe_lost(*this, fd);
}

void Child::ProcessExited() {
  exited_ = true;
  Trace("exit", StrCat("process_exited returncode=", transport_->GetReturncode().value_or(9999)));
  if (hooks_.exited) hooks_.exited(*this);
}

void Child::PauseWriting() { Trace("flow", "pause_writing"); }
void Child::ResumeWriting() { Trace("flow", "resume_writing"); }

void Child::ConnectionLost(const ConnectionEnd& end) {
  bool is_last = exited_;
  for (int fd = 0; fd < 3; ++fd) is_last = is_last && (pipe_transport(fd) == nullptr || pipe_lost(fd));
  lost_ = true;
  Note(StrCat("connection_lost ", ReasonText(end.status), " is_last=", BoolText(is_last)));
  if (hooks_.lost) hooks_.lost(*this);
  stage_.Changed();
}

Child& Children::New(ChildHooks hooks, const std::string& name) {
  children_.push_back(std::make_shared<Child>(stage_, name, std::move(hooks)));
  return *children_.back();
}

void Children::Note(Child& child, std::string_view call, const absl::Status& status) {
  if (status.ok()) {
    // Which of return and end comes first, when connection_made closes, is nobody's promise.
    if (!child.transport().IsClosing()) child.Note(StrCat(call, " returns"));
  } else {
    const TransportError error = ToTransportError(status);
    child.Note(StrCat(call, " ", error.reason, error.errno_number == 0 ? "" : StrCat(" ", error.address)));
  }
  stage_.Changed();
}

OperationId Children::BeginExec(Child& child, std::vector<std::string> argv, SubprocessOptions options, bool& done) {
  std::string program = argv.front();
  argv.erase(argv.begin());
  return stage_.loop().SubprocessExec([&child] { return child.shared_from_this(); }, std::move(program),
                                      std::move(argv), std::move(options),
                                      [this, &child, &done](const absl::StatusOr<Subprocess>& subprocess) {
                                        if (subprocess.ok()) {
                                          CHECK(subprocess->transport.get() == &child.transport());
                                          CHECK(subprocess->protocol.get() == &child);
                                        }
                                        done = true;
                                        Note(child, "subprocess_exec", subprocess.status());
                                      });
}

void Children::Exec(Child& child, std::vector<std::string> argv, SubprocessOptions options) {
  bool done = false;
  BeginExec(child, std::move(argv), std::move(options), done);
  stage_.Until([&] { return done; });
}

void Children::Shell(Child& child, std::string cmd, SubprocessOptions options) {
  bool done = false;
  stage_.loop().SubprocessShell([&child] { return child.shared_from_this(); }, std::move(cmd), std::move(options),
                                [this, &child, &done](const absl::StatusOr<Subprocess>& subprocess) {
                                  done = true;
                                  Note(child, "subprocess_shell", subprocess.status());
                                });
  stage_.Until([&] { return done; });
}

Child& Children::Run(std::string cmd, SubprocessOptions options, ChildHooks hooks) {
  Child& child = New(std::move(hooks));
  Exec(child, {"/bin/sh", "-c", std::move(cmd)}, std::move(options));
  return child;
}

void Children::UntilLost(Child& child) {
  stage_.Until([&] { return child.lost(); });
}

void Children::UntilReceived(Child& child, int fd, std::string_view data) {
  stage_.Until([&] { return child.received(fd) == data; });
}

SubprocessOptions WithStdio(Stdio in, Stdio out, Stdio err) {
  SubprocessOptions options;
  options.stdin_kind = in;
  options.stdout_kind = out;
  options.stderr_kind = err;
  return options;
}

}  // namespace transportd::conformance
