#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clients/cpp/transportctl/commands.h"
#include "clients/cpp/transportctl/exit_code.h"
#include "clients/cpp/transportctl/service_loop.h"
#include "clients/cpp/transportctl/signal_watch.h"
#include "clients/cpp/transportctl/stdio.h"
#include "clients/cpp/transportctl/terminal.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

constexpr int kForwardedSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

// What ends the input of a terminal that is not raw: VEOF, ^D.
constexpr char kEndOfTransmission = 0x04;

// Where one of the program's output streams goes: this program's own. Threading: loop thread only.
class OutputStream final : private StdoutWriter::Handler {
 public:
  // `fd`: 1 or 2, for the program and here.
  OutputStream(Reactor& reactor, int fd)
      : writer_(reactor, InheritedFd(fd), *this, fd == STDOUT_FILENO ? "standard output" : "standard error") {}

  void SetSource(std::shared_ptr<Transport> source) { source_ = std::move(source); }

  void Write(std::string_view data) {
    writer_.Write(data);
    if (!writer_.empty()) source_->PauseReading();
  }

  // Calls `done` when all is written or nobody takes it; at once, or later.
  void WhenWritten(absl::AnyInvocable<void()> done) {
    if (writer_.empty()) return done();
    when_written_ = std::move(done);
  }

  // Not that nobody reads it any more: the program hears of that as a program does, by SIGPIPE.
  const absl::Status& status() const { return status_; }

 private:
  void OnOutputDrained() override {
    if (source_ != nullptr) source_->ResumeReading();
    if (when_written_) std::exchange(when_written_, nullptr)();
  }

  void OnOutputFailed(const absl::Status& status) override {
    if (ToTransportError(status).errno_number != EPIPE) status_ = status;
    if (source_ != nullptr) source_->Close();
    if (when_written_) std::exchange(when_written_, nullptr)();
  }

  std::shared_ptr<Transport> source_;  // Held by the loop, too, until its connection is lost.
  absl::Status status_;
  absl::AnyInvocable<void()> when_written_;
  StdoutWriter writer_;
};

// `exec`. Threading: loop thread only.
class ExecCommand final : public StdinReader::Handler {
 public:
  ExecCommand(const Arguments& arguments, const ConnectOptions& service)
      : arguments_(arguments), exec_(arguments.exec), service_loop_(service) {}

  int Run() {
    if (const absl::Status status = Begin(); !status.ok()) {
      Fail(status);
    } else {
      Start();
    }
    const int code = service_loop_.Run();
    terminal_ = nullptr;
    if (!last_words_.empty()) PrintLinesToStderr(last_words_);
    return code;
  }

 private:
  class ProgramProtocol;

  absl::Status Begin() {
    if (absl::Status status = service_loop_.Open(); !status.ok()) return status;
    Reactor& reactor = service_loop_.loop().reactor();
    std::vector<int> signals(std::begin(kForwardedSignals), std::end(kForwardedSignals));
    if (exec_.tty) signals.push_back(SIGWINCH);
    auto watch = SignalWatch::Create(reactor, signals, [this](int signal_number) { OnSignal(signal_number); });
    if (!watch.ok()) return watch.status();
    signals_ = *std::move(watch);
    outputs_[0] = std::make_unique<OutputStream>(reactor, STDOUT_FILENO);
    outputs_[1] = std::make_unique<OutputStream>(reactor, STDERR_FILENO);
    if (exec_.interactive) input_ = std::make_unique<StdinReader>(reactor, InheritedFd(STDIN_FILENO), *this);
    if (exec_.tty && !IsTerminal(STDIN_FILENO)) {
      PrintToStderr("-t: standard input is not a terminal; the program gets one, and is fed as from a file");
    }
    return absl::OkStatus();
  }

  void Start() {
    SubprocessOptions options;
    if (exec_.tty) {
      options.stdin_kind = options.stdout_kind = options.stderr_kind = Stdio::kPty;
      options.window_size = TerminalSize();
    } else if (!exec_.interactive) {
      options.stdin_kind = Stdio::kNull;
    }
    options.cwd = exec_.cwd;
    if (!exec_.env.empty()) options.env = exec_.env;
    options.user = exec_.user;
    options.group = exec_.group;
    // None but that one: those of the service are not the user's.
    if (exec_.user) options.extra_groups.emplace();
    options.drain_timeout = exec_.drain_timeout;
    auto done = [this](const absl::StatusOr<Subprocess>& subprocess) {
      if (!subprocess.ok()) Fail(subprocess.status());
    };
    if (exec_.timeout) timer_ = loop().CallLater(service_loop_.Remaining(), [this] { OnTimeout(); });
    if (exec_.shell) {
      loop().SubprocessShell([this] { return MakeProtocol(); }, exec_.words.front(), std::move(options),
                             std::move(done));
    } else {
      loop().SubprocessExec([this] { return MakeProtocol(); }, exec_.words.front(),
                            {exec_.words.begin() + 1, exec_.words.end()}, std::move(options), std::move(done));
    }
  }

  EventLoop& loop() { return service_loop_.loop(); }
  std::shared_ptr<SubprocessProtocol> MakeProtocol();

  // --- What the program does

  void OnStarted(std::shared_ptr<SubprocessTransport> transport) {
    program_ = std::move(transport);
    Note(StrCat("process ", program_->GetPid(), " runs"));
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) OutputOf(fd).SetSource(program_->GetPipeTransport(fd));
    if (input_ == nullptr) return;
    if (exec_.tty && IsTerminal(STDIN_FILENO)) {
      absl::StatusOr<std::unique_ptr<RawTerminal>> terminal = RawTerminal::Enter(STDIN_FILENO);
      if (!terminal.ok()) return Fail(terminal.status());
      terminal_ = *std::move(terminal);
      // It may have been resized since.
      Resize();
    }
    input_->Resume();
  }

  void OnOutput(int fd, std::string_view data) { OutputOf(fd).Write(data); }

  void OnPipeLost(int fd) {
    // The program reads no more; what comes is nobody's.
    if (fd == STDIN_FILENO && input_ != nullptr) input_->Pause();
  }

  void OnExited() {
    const int returncode = *program_->GetReturncode();
    Note(returncode < 0 ? StrCat("the process was ended by signal ", -returncode)
                        : StrCat("the process exited with ", returncode));
  }

  void OnLost(const ConnectionEnd& end) {
    loop().CancelTimer(timer_);
    if (!end.status.ok()) return Fail(end.status);
    const int returncode = program_->GetReturncode().value_or(kServiceFailed);
    int code = returncode < 0 ? kSignalBase - returncode : returncode;
    if (timed_out_) {
      last_words_ = {StrCat("timed out after ", DurationText(*exec_.timeout))};
      code = kTimedOut;
    }
    // Killed, it is not waited for who reads.
    if (program_->IsClosing()) return service_loop_.Stop(code);
    Finish(code);
  }

  // --- What happens here

  void OnInput(std::string_view data) override {
    last_byte_ = data.back();
    if (const auto pipe = program_->GetPipeTransport(STDIN_FILENO); pipe != nullptr) pipe->Write(data).IgnoreError();
  }

  void OnInputEnded(const absl::Status& status) override {
    if (!status.ok()) return Fail(status);
    const auto pipe = program_->GetPipeTransport(STDIN_FILENO);
    if (pipe == nullptr) return;
    if (!exec_.tty) return pipe->Close();
    // After an unfinished line the first one only ends that: termios(3).
    const bool is_within_line = last_byte_ && *last_byte_ != '\n';
    pipe->Write(std::string(is_within_line ? 2 : 1, kEndOfTransmission)).IgnoreError();
  }

  void OnSignal(int signal_number) {
    if (signal_number == SIGWINCH) return Resize();
    const bool is_first = !std::exchange(was_signalled_, true);
    if (is_first && program_ != nullptr && !program_->GetReturncode()) return program_->SendSignal(signal_number);
    service_loop_.Stop(kSignalBase + signal_number);
  }

  void Resize() {
    const std::optional<WindowSize> size = TerminalSize();
    if (size && program_ != nullptr) program_->Resize(*size);
  }

  void OnTimeout() {
    timed_out_ = true;
    if (program_ == nullptr) {
      last_words_ = {StrCat("not started within ", DurationText(*exec_.timeout))};
      return service_loop_.Stop(kTimedOut);
    }
    // Its end was in time, but not that of what it left behind.
    if (program_->GetReturncode()) return program_->Close();
    program_->Terminate();
    timer_ = loop().CallLater(exec_.kill_after, [this] { program_->Close(); });
  }

  // --- The end

  void Fail(const absl::Status& status) {
    if (service_loop_.stopped() || !last_words_.empty()) return;
    last_words_ = service_loop_.Explain(status);
    if (outputs_[0] == nullptr) return service_loop_.Stop(ExecExitCodeFor(status));
    Finish(ExecExitCodeFor(status));
  }

  void Finish(int code) {
    outputs_[0]->WhenWritten([this, code] { outputs_[1]->WhenWritten([this, code] { FinishWritten(code); }); });
  }

  void FinishWritten(int code) {
    for (const auto& output : outputs_) {
      if (output->status().ok()) continue;
      if (last_words_.empty()) last_words_ = service_loop_.Explain(output->status());
      if (code == kOk) code = kServiceFailed;
    }
    service_loop_.Stop(code);
  }

  OutputStream& OutputOf(int fd) { return *outputs_[fd == STDERR_FILENO ? 1 : 0]; }

  void Note(std::string_view text) const {
    if (arguments_.verbose) PrintToStderr(text);
  }

  const Arguments& arguments_;
  const ExecArguments& exec_;
  ServiceLoop service_loop_;
  // They go before the loop does.
  std::unique_ptr<SignalWatch> signals_;
  std::unique_ptr<StdinReader> input_;                    // With -i.
  std::array<std::unique_ptr<OutputStream>, 2> outputs_;  // Standard output and error.
  std::unique_ptr<RawTerminal> terminal_;
  std::shared_ptr<SubprocessTransport> program_;  // Held by the loop, too, until it is lost. Null: not started.
  std::optional<char> last_byte_;                 // Of the input.
  TimerId timer_ = 0;                             // OnTimeout, then what it leads to.
  bool was_signalled_ = false;
  bool timed_out_ = false;
  Lines last_words_;  // For standard error, when the terminal is as it was.
};

// Threading: loop thread only.
class ExecCommand::ProgramProtocol final : public SubprocessProtocol {
 public:
  // `command` must outlive it.
  explicit ProgramProtocol(ExecCommand& command) : command_(command) {}

  void ConnectionMade(std::shared_ptr<SubprocessTransport> transport) override {
    command_.OnStarted(std::move(transport));
  }
  void PipeDataReceived(int fd, std::string_view data) override { command_.OnOutput(fd, data); }
  void PipeConnectionLost(int fd, const ConnectionEnd& /*end*/) override { command_.OnPipeLost(fd); }
  void ProcessExited() override { command_.OnExited(); }
  void PauseWriting() override { command_.input_->Pause(); }
  void ResumeWriting() override { command_.input_->Resume(); }
  void ConnectionLost(const ConnectionEnd& end) override { command_.OnLost(end); }

 private:
  ExecCommand& command_;
};

std::shared_ptr<SubprocessProtocol> ExecCommand::MakeProtocol() { return std::make_shared<ProgramProtocol>(*this); }

}  // namespace

int RunExec(const Arguments& arguments, const ConnectOptions& service) { return ExecCommand(arguments, service).Run(); }

}  // namespace transportd::ctl
