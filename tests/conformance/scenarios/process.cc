// Subprocesses. Not subprocess.cc: its twin cannot have the name of Python's own module.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/conformance/pipe_end.h"
#include "tests/conformance/scenarios/scenarios.h"
#include "tests/conformance/subprocess_stage.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd::conformance {

namespace {

void WriteTo(Child& child, std::string_view data) { EXPECT_TRUE(child.pipe_transport(0)->Write(data).ok()); }

void SubprocessCat(Stage& s) {
  Children children(s);
  Child& child = children.New();
  children.Exec(child, {"cat"});
  child.NotePipes();
  child.NoteReturncode();
  WriteTo(child, "hello");
  children.UntilReceived(child, 1, "hello");
  child.pipe_transport(0)->WriteEof();
  children.UntilLost(child);
  child.NoteReturncode();
  child.Note("is_closing", child.transport().IsClosing());
}

void SubprocessLargeData(Stage& s) {
  Children children(s);
  Child& child = children.New();
  children.Exec(child, {"cat"});
  WriteTo(child, Pattern(4'000'000));
  child.pipe_transport(0)->Close();
  children.UntilLost(child);
}

void SubprocessShellRunsACommand(Stage& s) {
  Children children(s);
  Child& child = children.New();
  children.Shell(child, "echo $((6 * 7)); exit 3");
  children.UntilLost(child);
}

void SubprocessStdoutAndStderrAreApart(Stage& s) {
  Children children(s);
  children.UntilLost(children.Run("echo to out; echo to err >&2"));
}

void SubprocessStderrGoesWhereStdoutGoes(Stage& s) {
  Children children(s);
  Child& child = children.Run("echo 1; echo 2 >&2; echo 3", WithStdio(Stdio::kNull, Stdio::kPipe, Stdio::kStdout));
  child.NotePipes();
  children.UntilLost(child);
}

void SubprocessWithoutPipes(Stage& s) {
  Children children(s);
  Child& child = children.Run("exit 7", WithStdio(Stdio::kNull, Stdio::kNull, Stdio::kNull));
  child.NotePipes();
  children.UntilLost(child);
}

void SubprocessExitStatuses(Stage& s) {
  Children children(s);
  for (const int code : {0, 1, 255}) {
    Child& child = children.New({}, StrCat("child", code));
    children.Exec(child, {"/bin/sh", "-c", StrCat("exit ", code)});
    children.UntilLost(child);
    child.NoteReturncode();
  }
}

void SubprocessKilledBySignals(Stage& s) {
  Children children(s);
  for (const int number : {SIGKILL, SIGTERM, SIGSEGV}) {
    Child& child = children.New({}, StrCat("child", number));
    children.Exec(child, {"/bin/sh", "-c", StrCat("kill -", number, " $$")});
    children.UntilLost(child);
    child.NoteReturncode();
  }
}

void SubprocessThatClosesItsStdin(Stage& s) {
  Children children(s);
  Child& child = children.Run("exec <&-; exec sleep 1000");
  s.Until([&] { return child.pipe_lost(0); });
  child.Note("exited", child.exited());
  child.transport().Kill();
  children.UntilLost(child);
}

void SubprocessKilledWithBytesForItsStdin(Stage& s) {
  Children children(s);
  Child& child = children.Run("exec sleep 1000");
  WriteTo(child, Pattern(16'000'000));
  child.transport().Kill();
  children.UntilLost(child);
}

void SubprocessStdoutPaused(Stage& s) {
  Children children(s);
  Child& child = children.Run("yes | head -n 1000000; echo end >&2");
  child.pipe_transport(1)->PauseReading();
  s.Settle();
  child.Note("exited", child.exited());
  child.pipe_transport(1)->ResumeReading();
  children.UntilLost(child);
}

void SubprocessStdinClosedByItsPipe(Stage& s) {
  Children children(s);
  Child& child = children.Run("cat; echo done");
  child.pipe_transport(0)->Close();
  child.Note("is_closing", child.pipe_transport(0)->IsClosing());
  children.UntilLost(child);
}

void SubprocessStdoutClosedByItsPipe(Stage& s) {
  Children children(s);
  Child& child = children.Run("read x; echo to nobody; exit 5");
  child.pipe_transport(1)->Close();
  s.Until([&] { return child.pipe_lost(1); });
  child.Note("exited", child.exited());
  child.transport().Kill();
  children.UntilLost(child);
}

void SubprocessSignals(Stage& s) {
  Children children(s);
  Child& child =
      children.Run("trap 'echo usr1' USR1; trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 0.01; done");
  children.UntilReceived(child, 1, "ready\n");
  child.Signal(SIGUSR1);
  children.UntilReceived(child, 1, "ready\nusr1\n");
  child.transport().Terminate();
  children.UntilLost(child);
}

void SubprocessThatIgnoresSigterm(Stage& s) {
  Children children(s);
  Child& child = children.Run("trap '' TERM; echo ready; exec sleep 1000");
  children.UntilReceived(child, 1, "ready\n");
  child.transport().Terminate();
  s.Settle();
  child.Note("exited", child.exited());
  child.transport().Kill();
  children.UntilLost(child);
}

void SubprocessSignalAfterItsEnd(Stage& s) {
  Children children(s);
  Child& child = children.Run("exit 0", {}, {.exited = [](Child& c) { c.Signal(SIGTERM); }});
  children.UntilLost(child);
  child.Signal(SIGTERM);
}

void SubprocessCloseKills(Stage& s) {
  Children children(s);
  Child& child = children.Run("trap '' TERM; echo ready; exec sleep 1000");
  children.UntilReceived(child, 1, "ready\n");
  child.transport().Close();
  child.Note("is_closing", child.transport().IsClosing());
  child.NoteReturncode();
  child.transport().Close();
  children.UntilLost(child);
  child.NoteReturncode();
  child.Note(kill(child.transport().GetPid(), 0) == 0 ? "it exists" : "it is gone");
}

void SubprocessCloseInConnectionMade(Stage& s) {
  Children children(s);
  children.UntilLost(children.Run("sleep 1000", {}, {.made = [](Child& c) { c.transport().Close(); }}));
}

void SubprocessCloseInDataReceived(Stage& s) {
  Children children(s);
  Child& child =
      children.Run("read x; echo $x; exec sleep 1000", {}, {.data = [](Child& c, int) { c.transport().Close(); }});
  WriteTo(child, "now\n");
  children.UntilLost(child);
}

void SubprocessCloseInProcessExited(Stage& s) {
  Children children(s);
  Child& child = children.Run("read x; exit 4", {}, {.exited = [](Child& c) { c.transport().Close(); }});
  WriteTo(child, "now\n");
  children.UntilLost(child);
}

void SubprocessCloseAfterItsEnd(Stage& s) {
  Children children(s);
  Child& child = children.Run("exit 4");
  children.UntilLost(child);
  child.transport().Close();
  child.Note("is_closing", child.transport().IsClosing());
}

void SubprocessGrandchildHoldsStdout(Stage& s) {
  Children children(s);
  const std::string path = Pipes(s).MakeFifo("fifo");
  Child& child = children.Run(StrCat("(cat ", path, " >/dev/null; echo later) & echo now"));
  s.Until([&] { return child.exited() && child.received(1) == "now\n"; });
  s.Settle();
  child.Note("lost", child.lost());
  child.NoteReturncode();
  s.Run([&] { const UniqueFd opened(::open(path.c_str(), O_WRONLY | O_CLOEXEC)); });
  children.UntilLost(child);
}

void SubprocessEnvironment(Stage& s) {
  Children children(s);
  SubprocessOptions options;
  options.env = std::vector<std::pair<std::string, std::string>>{{"A", "1"}, {"B", "x=y"}};
  Child& child = children.New();
  children.Exec(child, {"/usr/bin/env"}, options);
  children.UntilLost(child);
  options.env->clear();
  Child& empty = children.New({}, "empty");
  children.Exec(empty, {"/usr/bin/env"}, options);
  children.UntilLost(empty);
}

void SubprocessExecutable(Stage& s) {
  Children children(s);
  SubprocessOptions options;
  options.executable = "/bin/sh";
  Child& child = children.New();
  children.Exec(child, {"a-name", "-c", "echo $0 $1", "zero", "one"}, options);
  children.UntilLost(child);
  options.executable = "/bin/echo";
  Child& shell = children.New({}, "shell");
  children.Shell(shell, "what a shell would run", options);
  children.UntilLost(shell);
}

void SubprocessUserAndGroups(Stage& s) {
  Children children(s);
  SubprocessOptions options;
  options.user = ::geteuid();
  options.group = ::getegid();
  // Only root may set these.
  if (::geteuid() == 0) options.extra_groups = {::getegid(), 4242u};
  children.UntilLost(children.Run("id -u; id -g; id -G", options));
}

void SubprocessRestoreSignals(Stage& s) {
  Children children(s);
  for (const bool restore_signals : {true, false}) {
    SubprocessOptions options;
    options.restore_signals = restore_signals;
    Child& child = children.New({}, restore_signals ? "restored" : "kept");
    children.Exec(child, {"/bin/sh", "-c", "kill -PIPE $$; echo survived"}, options);
    children.UntilLost(child);
    child.NoteReturncode();
  }
}

void SubprocessPipesize(Stage& s) {
  Children children(s);
  SubprocessOptions options;
  options.pipesize_bytes = 131072;
  Child& child = children.New();
  children.Exec(child, {"python3", "-c", "import fcntl; print(fcntl.fcntl(1, fcntl.F_GETPIPE_SZ))"}, options);
  children.UntilLost(child);
}

void SubprocessCwd(Stage& s) {
  Children children(s);
  SubprocessOptions options;
  options.cwd = "/usr/bin";
  Child& child = children.New();
  children.Exec(child, {"pwd"}, options);
  children.UntilLost(child);
  Child& relative = children.New({}, "relative");
  children.Exec(relative, {"./echo", "x"}, options);
  children.UntilLost(relative);
}

void SubprocessUmaskAndSession(Stage& s) {
  Children children(s);
  SubprocessOptions options;
  options.umask = 027;
  options.start_new_session = true;
  children.UntilLost(children.Run("umask; [ \"$(cut -d' ' -f5,6 /proc/$$/stat)\" = \"$$ $$\" ] && echo own", options));
}

void SubprocessHasThreeDescriptors(Stage& s) {
  Children children(s);
  Child& child = children.New();
  children.Exec(child, {"ls", "/proc/self/fd"});
  children.UntilLost(child);
}

void SubprocessSignalsAreAtTheirDefaults(Stage& s) {
  Children children(s);
  Child& child = children.New();
  children.Exec(child, {"sed", "-n", "/SigBlk/p", "/proc/self/status"});
  children.UntilLost(child);
}

void SubprocessThatIsNotThere(Stage& s) {
  Children children(s);
  int number = 0;
  for (const char* program : {"no-such-program", "/no/such/program"}) {
    children.Exec(children.New({}, StrCat("child", number++)), {program});
  }
}

void SubprocessThatCannotBeExecuted(Stage& s) {
  Children children(s);
  const std::string path = s.PathOf("file");
  std::ofstream(path) << "x";
  Child& child = children.New();
  bool done = false;
  s.loop().SubprocessExec([&child] { return child.shared_from_this(); }, path, {}, {},
                          [&](const absl::StatusOr<Subprocess>& subprocess) {
                            const TransportError error = ToTransportError(subprocess.status());
                            child.Note(StrCat("subprocess_exec ", error.reason), error.address == path);
                            done = true;
                            s.Changed();
                          });
  s.Until([&] { return done; });
}

void SubprocessInNoFolder(Stage& s) {
  Children children(s);
  SubprocessOptions options;
  options.cwd = "/no/such/folder";
  children.Exec(children.New(), {"true"}, options);
}

void SubprocessWithTooMuchEnvironment(Stage& s) {
  Children children(s);
  SubprocessOptions options;
  options.env = std::vector<std::pair<std::string, std::string>>{{"A", std::string(1'000'000, 'x')}};
  children.Exec(children.New(), {"/bin/true"}, options);
}

void SubprocessYesIntoHead(Stage& s) {
  Children children(s);
  Child& child = children.New();
  children.Exec(child, {"bash", "-c", "yes | head -n 100000; echo ${PIPESTATUS[0]}"});
  children.UntilLost(child);
}

void SubprocessManyAtOnce(Stage& s) {
  Children children(s);
  std::vector<Child*> all;
  for (int number = 0; number < 20; ++number) {
    all.push_back(&children.New({}, StrCat("child", number)));
    children.Exec(*all.back(), {"/bin/sh", "-c", StrCat("read x; echo $x; exit ", number)});
  }
  for (size_t number = 0; number < all.size(); ++number) WriteTo(*all[number], StrCat(number, "\n"));
  for (Child* child : all) children.UntilLost(*child);
}

// Without an equal in asyncio.

void SubprocessOfAClientHasAProcessGroup(Stage& s) {
  Children children(s);
  SubprocessOptions options;
  options.process_group = 0;
  Child& child = children.Run("[ $(cut -d' ' -f5 /proc/$$/stat) = $$ ] && echo own", options);
  children.UntilLost(child);
  EXPECT_EQ(child.received(1), "own\n");
}

void SubprocessCloseEndsItsProcessGroup(Stage& s) {
  Children children(s);
  SubprocessOptions options;
  options.process_group = 0;
  Child& child = children.Run("sleep 1000 & sleep 1001 & echo ready; wait", options);
  children.UntilReceived(child, 1, "ready\n");
  child.transport().Close();
  children.UntilLost(child);  // Which the grandchildren, who hold stderr, would keep away.
  EXPECT_EQ(child.transport().GetReturncode(), -SIGKILL);
}

void SubprocessPty(Stage& s) {
  Children children(s);
  SubprocessOptions options = WithStdio(Stdio::kPty, Stdio::kPty, Stdio::kPty);
  options.window_size = WindowSize{.rows = 33, .columns = 101};
  Child& child = children.Run("stty size; stty -echo; read x; echo got $x; exit 4", options);
  EXPECT_EQ(child.pipe_transport(0), child.pipe_transport(1));
  EXPECT_EQ(child.pipe_transport(2), nullptr);
  EXPECT_FALSE(child.pipe_transport(0)->CanWriteEof());
  const PipeInfo info = child.pipe_transport(0)->GetExtraInfo().pipe.value_or(PipeInfo());
  EXPECT_EQ(info.kind, PipeInfo::Kind::kTerminal);
  EXPECT_TRUE(info.can_read && info.can_write);
  children.UntilReceived(child, 1, "33 101\r\n");
  WriteTo(child, "this\n");
  children.UntilLost(child);
  EXPECT_TRUE(child.received(1).ends_with("got this\r\n")) << child.received(1);
  EXPECT_EQ(child.transport().GetReturncode(), 4);
  EXPECT_TRUE(child.pipe_lost(0) && child.pipe_lost(1));
  EXPECT_TRUE(child.pipe_end(1).status.ok());
}

void SubprocessResize(Stage& s) {
  Children children(s);
  Child& child = children.New();
  children.Exec(child, {"bash", "-c", "trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done"},
                WithStdio(Stdio::kPty, Stdio::kPty, Stdio::kPty));
  children.UntilReceived(child, 1, "ready\r\n");
  absl::Status good = absl::UnknownError(""), bad = good;
  child.transport().Resize({.rows = 50, .columns = 132}, [&](absl::Status status) { good = std::move(status); });
  child.transport().Resize({.rows = 0, .columns = 132}, [&](absl::Status status) { bad = std::move(status); });
  children.UntilReceived(child, 1, "ready\r\n50 132\r\n");
  child.transport().Close();
  children.UntilLost(child);
  EXPECT_TRUE(good.ok()) << good;
  EXPECT_EQ(ToTransportError(bad).reason, "INVALID_WINDOW_SIZE");
}

void SubprocessDrainTimeout(Stage& s) {
  Children children(s);
  SubprocessOptions options;
  options.process_group = 0;
  options.drain_timeout = std::chrono::milliseconds(50);
  Child& child = children.Run("sleep 1000 & echo now", options);
  children.UntilLost(child);
  EXPECT_EQ(child.received(1), "now\n");
  EXPECT_EQ(ToTransportError(child.pipe_end(1).status).reason, "DRAIN_TIMEOUT");
  child.transport().Close();
}

void SubprocessBadArguments(Stage& s) {
  const auto reason = [&s](std::vector<std::string> argv, const SubprocessOptions& options) {
    std::string result;
    std::string program = argv.front();
    argv.erase(argv.begin());
    s.loop().SubprocessExec([]() -> std::shared_ptr<SubprocessProtocol> { return nullptr; }, program, argv, options,
                            [&](const absl::StatusOr<Subprocess>& subprocess) {
                              result = ToTransportError(subprocess.status()).reason;
                              s.Changed();
                            });
    s.Until([&] { return !result.empty(); });
    return result;
  };
  const std::string null("a\0b", 3);
  EXPECT_EQ(reason({null}, {}), "EMBEDDED_NULL");
  EXPECT_EQ(reason({"true", null}, {}), "EMBEDDED_NULL");
  SubprocessOptions options;
  options.env = std::vector<std::pair<std::string, std::string>>{{"A=B", "x"}};
  EXPECT_EQ(reason({"true"}, options), "INVALID_ENVIRONMENT_NAME");
  options = {};
  options.user = "no-such-user";
  EXPECT_EQ(reason({"true"}, options), "UNKNOWN_USER");
  options = {};
  options.group = "no-such-group";
  EXPECT_EQ(reason({"true"}, options), "UNKNOWN_GROUP");
  options = {};
  options.umask = 01000;
  EXPECT_EQ(reason({"true"}, options), "INVALID_UMASK");
  options = {};
  options.process_group = -1;
  EXPECT_EQ(reason({"true"}, options), "INVALID_PROCESS_GROUP");
  EXPECT_EQ(reason({"true"}, WithStdio(Stdio::kStdout, Stdio::kPipe, Stdio::kPipe)), "INVALID_STDIO");
  options = {};
  options.write_buffer_limits = {.high_bytes = 1, .low_bytes = 2};
  EXPECT_EQ(reason({"true"}, options), "INVALID_LIMITS");
}

void SubprocessUnknownSignal(Stage& s) {
  Children children(s);
  Child& child = children.Run("exec sleep 1000");
  absl::Status status;
  child.transport().SendSignal(65, [&](absl::Status result) { status = std::move(result); });
  EXPECT_EQ(ToTransportError(status).reason, "INVALID_SIGNAL");
  child.transport().Close();
  children.UntilLost(child);
}

void SubprocessStartIsCancelled(Stage& s) {
  Children children(s);
  Child& child = children.New();
  bool done = false;
  s.loop().CancelOperation(children.BeginExec(child, {"sleep", "1000"}, {}, done));
  s.Until([&] { return done; });
  EXPECT_TRUE(!child.made() || child.lost());
}

void SubprocessStartIsCancelledInConnectionMade(Stage& s) {
  Children children(s);
  OperationId operation = 0;
  Child& child = children.New({.made = [&](Child&) { s.loop().CancelOperation(operation); }});
  bool done = false;
  operation = children.BeginExec(child, {"sleep", "1000"}, {}, done);
  s.Until([&] { return done; });
  // It was killed and reaped before, and its protocol heard the whole sequence.
  EXPECT_TRUE(child.lost());
  EXPECT_EQ(child.transport().GetReturncode(), -SIGKILL);
  EXPECT_NE(kill(child.transport().GetPid(), 0), 0);
}

constexpr bool kNoOracle = false;

}  // namespace

void AddSubprocessScenarios(Scenarios& scenarios) {
  scenarios.insert(
      scenarios.end(),
      {
          {"subprocess_cat", SubprocessCat},
          {"subprocess_large_data", SubprocessLargeData},
          {"subprocess_shell_runs_a_command", SubprocessShellRunsACommand},
          {"subprocess_stdout_and_stderr_are_apart", SubprocessStdoutAndStderrAreApart},
          {"subprocess_stderr_goes_where_stdout_goes", SubprocessStderrGoesWhereStdoutGoes},
          {"subprocess_without_pipes", SubprocessWithoutPipes},
          {"subprocess_exit_statuses", SubprocessExitStatuses},
          {"subprocess_killed_by_signals", SubprocessKilledBySignals},
          {"subprocess_that_closes_its_stdin", SubprocessThatClosesItsStdin},
          {"subprocess_killed_with_bytes_for_its_stdin", SubprocessKilledWithBytesForItsStdin},
          {"subprocess_stdout_paused", SubprocessStdoutPaused},
          {"subprocess_stdin_closed_by_its_pipe", SubprocessStdinClosedByItsPipe},
          {"subprocess_stdout_closed_by_its_pipe", SubprocessStdoutClosedByItsPipe},
          {"subprocess_signals", SubprocessSignals},
          {"subprocess_that_ignores_sigterm", SubprocessThatIgnoresSigterm},
          {"subprocess_signal_after_its_end", SubprocessSignalAfterItsEnd},
          {"subprocess_close_kills", SubprocessCloseKills},
          {"subprocess_close_in_connection_made", SubprocessCloseInConnectionMade},
          {"subprocess_close_in_data_received", SubprocessCloseInDataReceived},
          {"subprocess_close_in_process_exited", SubprocessCloseInProcessExited},
          {"subprocess_close_after_its_end", SubprocessCloseAfterItsEnd},
          {"subprocess_grandchild_holds_stdout", SubprocessGrandchildHoldsStdout},
          {"subprocess_environment", SubprocessEnvironment},
          {"subprocess_executable", SubprocessExecutable},
          {"subprocess_user_and_groups", SubprocessUserAndGroups},
          {"subprocess_restore_signals", SubprocessRestoreSignals},
          {"subprocess_pipesize", SubprocessPipesize},
          {"subprocess_cwd", SubprocessCwd},
          {"subprocess_umask_and_session", SubprocessUmaskAndSession},
          {"subprocess_has_three_descriptors", SubprocessHasThreeDescriptors},
          {"subprocess_signals_are_at_their_defaults", SubprocessSignalsAreAtTheirDefaults},
          {"subprocess_that_is_not_there", SubprocessThatIsNotThere},
          {"subprocess_that_cannot_be_executed", SubprocessThatCannotBeExecuted},
          {"subprocess_in_no_folder", SubprocessInNoFolder},
          {"subprocess_with_too_much_environment", SubprocessWithTooMuchEnvironment},
          {"subprocess_yes_into_head", SubprocessYesIntoHead},
          {"subprocess_many_at_once", SubprocessManyAtOnce},
          {"subprocess_of_a_client_has_a_process_group", SubprocessOfAClientHasAProcessGroup, kNoOracle},
          {"subprocess_close_ends_its_process_group", SubprocessCloseEndsItsProcessGroup, kNoOracle},
          {"subprocess_pty", SubprocessPty, kNoOracle},
          {"subprocess_resize", SubprocessResize, kNoOracle},
          {"subprocess_drain_timeout", SubprocessDrainTimeout, kNoOracle},
          {"subprocess_bad_arguments", SubprocessBadArguments, kNoOracle},
          {"subprocess_unknown_signal", SubprocessUnknownSignal, kNoOracle},
          {"subprocess_start_is_cancelled", SubprocessStartIsCancelled, kNoOracle},
          {"subprocess_start_is_cancelled_in_connection_made", SubprocessStartIsCancelledInConnectionMade, kNoOracle},
      });
}

}  // namespace transportd::conformance
