// What a child is started with: program, arguments, environment, identity, descriptors, signals; and what is refused.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/subprocess/subprocess_fixture.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/base/thread_executor.h"
#include "transports/subprocess/spawn_plan.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SpawnTest : public SubprocessFixture {
 protected:
  void SetUp() override {
    SubprocessFixture::SetUp();
    std::string pattern = testing::TempDir() + "transportd-spawn-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    ASSERT_EQ(::chmod(pattern.c_str(), 0755), 0);
    folder_ = pattern;
  }
  void TearDown() override {
    SubprocessFixture::TearDown();
    for (const std::string& file : files_) EXPECT_EQ(::unlink(file.c_str()), 0);
    EXPECT_EQ(::rmdir(folder_.c_str()), 0);
  }

  using Env = std::vector<std::pair<std::string, std::string>>;

  std::string MakeFile(const std::string& name, const std::string& content, mode_t mode) {
    std::string path = folder_ + "/" + name;
    std::ofstream(path) << content;
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    files_.push_back(path);
    return path;
  }
  // Nothing may be left of a start that failed.
  absl::Status FailedExec(Argv argv, SubprocessOptions options = {}) {
    SubprocessRecord& record = NewSubprocess();
    absl::Status status = Exec(record, std::move(argv), std::move(options));
    EXPECT_THAT(record.events, ElementsAre("done"));
    ExpectNoChildren();
    return status;
  }
  static int ErrnoOf(const absl::Status& status) { return ToTransportError(status).errno_number; }

  std::string folder_;
  std::vector<std::string> files_;
};

// The program.

TEST_F(SpawnTest, ArgumentsAreGivenByteForByte) {
  const std::string all_bytes = [] {
    std::string bytes;
    for (int byte = 1; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
    return bytes;
  }();
  EXPECT_EQ(OutputOf({"printf", "%s|", "", "a b", all_bytes, "*"}), "|a b|" + all_bytes + "|*|");
}

TEST_F(SpawnTest, ShellRunsTheCommand) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Shell(record, "echo $0 $((6 * 7))"), IsOk());
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.out(), "/bin/sh 42\n");
}

TEST_F(SpawnTest, ExecutableReplacesTheProgramAndNotItsName) {
  SubprocessOptions options;
  options.executable = "/bin/bash";
  EXPECT_EQ(OutputOf({"my name", "-c", "echo $0; readlink /proc/$$/exe; :"}, options), "my name\n/usr/bin/bash\n");
}

TEST_F(SpawnTest, ProgramIsSearchedOnThePathOfItsEnvironment) {
  const std::string program = MakeFile("program-of-this-test", "#!/bin/sh\necho found\n", 0755);
  SubprocessOptions options;
  options.env = Env{{"PATH", "/nowhere:" + folder_}};
  EXPECT_EQ(OutputOf({"program-of-this-test"}, options), "found\n");
  options.env = Env{{"PATH", "/nowhere"}};
  EXPECT_EQ(ErrnoOf(FailedExec({"program-of-this-test"}, options)), ENOENT);
  // In the environment given, without a PATH: /bin and /usr/bin.
  options.env = Env{{"A", "b"}};
  EXPECT_EQ(OutputOf({"echo", "x"}, options), "x\n");
}

TEST_F(SpawnTest, CandidatesAreThoseOfPython) {
  const std::string path = "/a:/b/::c";
  EXPECT_THAT(FindCandidates("p", &path), ElementsAre("/a/p", "/b/p", "p", "c/p"));
  EXPECT_THAT(FindCandidates("d/p", &path), ElementsAre("d/p"));
  EXPECT_THAT(FindCandidates("p", nullptr), ElementsAre("/bin/p", "/usr/bin/p"));
}

TEST_F(SpawnTest, FirstErrorOfTheSearchIsToldUnlessItIsOnlyMissing) {
  MakeFile("not-executable", "x", 0644);
  SubprocessOptions options;
  options.env = Env{{"PATH", folder_ + ":/nowhere"}};
  EXPECT_EQ(ErrnoOf(FailedExec({"not-executable"}, options)), EACCES);
}

// The environment and the folder.

TEST_F(SpawnTest, EnvironmentIsThisProgramsOrTheOneGiven) {
  EXPECT_THAT(OutputOf({"env"}), HasSubstr("PATH="));
  SubprocessOptions options;
  options.env = Env{{"A", "1"}, {"B", "\xff=\n"}, {"C", ""}};
  EXPECT_EQ(OutputOf({"/usr/bin/env", "-0"}, options), std::string("A=1\0B=\xff=\n\0C=\0", 13));
  options.env.emplace();
  EXPECT_EQ(OutputOf({"/usr/bin/env"}, options), "");
}

TEST_F(SpawnTest, AMegabyteOfEnvironment) {
  SubprocessOptions options;
  options.env.emplace();
  for (int i = 0; i < 1000; ++i) options.env->emplace_back(StrCat("V", i), std::string(1000, 'x'));
  EXPECT_EQ(OutputOf({"/bin/sh", "-c", "echo ${#V999}"}, options), "1000\n");
  // One string of more than 128 KiB is too long for execve(2).
  options.env = Env{{"V", std::string(1000000, 'x')}};
  const absl::Status status = FailedExec({"/bin/true"}, options);
  EXPECT_EQ(ErrnoOf(status), E2BIG);
  EXPECT_EQ(ToTransportError(status).address, "/bin/true");
  options.env = Env{{"V", std::string(20000000, 'x')}};
  EXPECT_EQ(ErrnoOf(FailedExec({"/bin/true"}, options)), E2BIG);
}

TEST_F(SpawnTest, CwdIsThisProgramsOrTheOneGiven) {
  char here[4096] = {};
  ASSERT_NE(::getcwd(here, sizeof(here)), nullptr);
  EXPECT_EQ(OutputOf({"/bin/pwd"}), StrCat(here, "\n"));
  SubprocessOptions options;
  options.cwd = "/usr/bin";
  EXPECT_EQ(OutputOf({"/bin/pwd"}, options), "/usr/bin\n");
  // A relative program is searched there.
  EXPECT_EQ(OutputOf({"./echo", "x"}, options), "x\n");
}

// What a child has of this program.

TEST_F(SpawnTest, NoDescriptorButTheThreeReachesTheChild) {
  // Not close-on-exec, as a careless library would leave it.
  const UniqueFd leaky(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::fcntl(leaky.get(), F_SETFD, 0), 0);
  SubprocessRecord& other = NewSubprocess();
  ASSERT_THAT(Exec(other, {"cat"}), IsOk());
  // `ls` itself opens the folder that it lists: the lowest number that is free.
  EXPECT_EQ(OutputOf({"ls", "/proc/self/fd"}), "0\n1\n2\n3\n");
  EXPECT_EQ(OutputOf({"ls", "/proc/self/fd"}, With(Stdio::kNull, Stdio::kPipe, Stdio::kNull)), "0\n1\n2\n3\n");
  const std::string links = OutputOf({"readlink", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"},
                                     With(Stdio::kNull, Stdio::kPipe, Stdio::kStdout));
  EXPECT_THAT(links, testing::MatchesRegex("/dev/null\npipe:.([0-9]+).\npipe:.([0-9]+).\n"));
}

TEST_F(SpawnTest, ChildsDescriptorsBlock) {
  // 04000 is O_NONBLOCK.
  EXPECT_EQ(ShellOutputOf("for fd in 0 1 2; do echo $(($(sed -n 's/flags:\\t//p' /proc/$$/fdinfo/$fd) & 04000)); done"),
            "0\n0\n0\n");
}

TEST_F(SpawnTest, ClosingStdinIsAnEofThoughOtherChildrenRun) {
  SubprocessRecord& first = NewSubprocess();
  ASSERT_THAT(Exec(first, {"cat"}), IsOk());
  SubprocessRecord& second = NewSubprocess();
  ASSERT_THAT(Exec(second, {"cat"}), IsOk());
  first.transport->GetPipeTransport(0)->Close();
  ASSERT_TRUE(RunToEnd(first));
  EXPECT_FALSE(second.exited());
}

TEST_F(SpawnTest, SignalsAreAtTheirDefaultsAndNoneIsBlocked) {
  sigset_t blocked, before;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGTERM);
  ::sigaddset(&blocked, SIGUSR1);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
  const auto hangup_before = std::signal(SIGHUP, SIG_IGN);
  const auto pipe_before = std::signal(SIGPIPE, SIG_IGN);
  const std::string signals = OutputOf({"sed", "-n", "/Sig[BIC]/p", "/proc/self/status"});
  SubprocessOptions options;
  options.restore_signals = false;
  const std::string unrestored = OutputOf({"sed", "-n", "/Sig[BIC]/p", "/proc/self/status"}, options);
  std::signal(SIGHUP, hangup_before);
  std::signal(SIGPIPE, pipe_before);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(signals, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n");
  // SIGPIPE (13) and SIGXFSZ (25), which Python ignores.
  EXPECT_EQ(unrestored, "SigBlk:\t0000000000000000\nSigIgn:\t0000000001001000\nSigCgt:\t0000000000000000\n");
}

TEST_F(SpawnTest, DescriptorLimitOfChildren) {
  CloseLoop();
  loop_ = *EpollEventLoop::Create({.clock = &clock_, .resolver = &resolver_, .child_descriptor_limit = 123});
  EXPECT_EQ(ShellOutputOf("ulimit -Sn"), "123\n");
}

TEST_F(SpawnTest, ChildrenDieWithTheExecutor) {
  CloseLoop();
  auto executor = std::make_unique<ThreadExecutor>(1, 10);
  loop_ = *EpollEventLoop::Create(
      {.clock = &clock_, .resolver = &resolver_, .executor = executor.get(), .kill_children_with_program = true});
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Exec(record, {"sleep", "1000"}), IsOk());
  executor.reset();  // Its thread, too.
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.returncode_at_exit, -SIGKILL);
  record.transport.reset();
  CloseLoop();
}

// Identity.

TEST_F(SpawnTest, SessionAndProcessGroup) {
  const std::string mine = std::to_string(::getpgrp()) + " " + std::to_string(::getsid(0)) + "\n";
  const std::string command = "echo $(cut -d' ' -f5,6 /proc/$$/stat)";
  EXPECT_EQ(ShellOutputOf(command), mine);
  SubprocessOptions options;
  options.process_group = 0;
  EXPECT_EQ(ShellOutputOf("[ $(cut -d' ' -f5 /proc/$$/stat) = $$ ] && echo own", options), "own\n");
  options = {};
  options.start_new_session = true;
  EXPECT_EQ(ShellOutputOf("[ \"$(cut -d' ' -f5,6 /proc/$$/stat)\" = \"$$ $$\" ] && echo own", options), "own\n");
  options.process_group = 0;
  EXPECT_THAT(FailedExec({"true"}, options), HasReason("INVALID_PROCESS_GROUP"));
  options = {};
  options.process_group = 1;  // Not of this session.
  EXPECT_EQ(ErrnoOf(FailedExec({"true"}, options)), EPERM);
}

TEST_F(SpawnTest, Umask) {
  SubprocessOptions options;
  options.umask = 0;
  EXPECT_EQ(ShellOutputOf("umask", options), "0000\n");
  options.umask = 0741;
  EXPECT_EQ(ShellOutputOf("umask", options), "0741\n");
}

TEST_F(SpawnTest, UserGroupAndExtraGroups) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may become somebody else";
  SubprocessOptions options;
  options.user = "nobody";
  options.group = 1u;
  options.extra_groups = std::vector<AccountId>{2u, "games"};
  EXPECT_EQ(ShellOutputOf("id -un; id -ru; id -rg; id -g; grep Groups /proc/self/status", options),
            "nobody\n65534\n1\n1\nGroups:\t2 60 \n");
  options = {};
  options.extra_groups.emplace();
  options.user = 65534u;
  EXPECT_EQ(ShellOutputOf("id -u; grep Groups /proc/self/status", options), "65534\nGroups:\t \n");
}

TEST_F(SpawnTest, UnknownAccounts) {
  SubprocessOptions options;
  options.user = "no-such-user";
  EXPECT_THAT(FailedExec({"true"}, options), HasReason("UNKNOWN_USER"));
  options = {};
  options.group = "no-such-group";
  EXPECT_THAT(FailedExec({"true"}, options), HasReason("UNKNOWN_GROUP"));
  options = {};
  options.extra_groups = std::vector<AccountId>{"no-such-group"};
  EXPECT_THAT(FailedExec({"true"}, options), HasReason("UNKNOWN_GROUP"));
  options = {};
  options.user = 4294967295u;
  EXPECT_THAT(FailedExec({"true"}, options), HasReason("INVALID_USER"));
}

// Terminals.

TEST_F(SpawnTest, PtyIsTheControllingTerminalOfASessionOfItsOwn) {
  SubprocessRecord& record = NewSubprocess();
  SubprocessOptions options = With(Stdio::kPty, Stdio::kPty, Stdio::kPty);
  options.window_size = {.rows = 33, .columns = 101};
  ASSERT_THAT(
      Shell(record, "tty; stty size; echo $(cut -d' ' -f6 /proc/$$/stat) $$; echo hi >/dev/tty; exit 4", options),
      IsOk());
  const auto pty = record.transport->GetPipeTransport(0);
  EXPECT_EQ(pty, record.transport->GetPipeTransport(1));
  EXPECT_EQ(record.transport->GetPipeTransport(2), nullptr);
  EXPECT_FALSE(pty->CanWriteEof());
  EXPECT_EQ(pty->GetExtraInfo().pipe->kind, PipeInfo::Kind::kTerminal);
  ASSERT_TRUE(RunToEnd(record));
  const std::string pid = std::to_string(record.transport->GetPid());
  EXPECT_THAT(record.out(),
              testing::MatchesRegex(StrCat("/dev/pts/[0-9]+\r\n33 101\r\n", pid, " ", pid, "\r\nhi\r\n")));
  EXPECT_EQ(record.returncode_at_exit, 4);
  EXPECT_THAT(record.pipe_end[0]->status, IsOk());
  EXPECT_THAT(record.pipe_end[1]->status, IsOk());
  EXPECT_EQ(record.events.back(), "lost");
}

TEST_F(SpawnTest, PtyCarriesInputAndKeys) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Exec(record, {"cat"}, With(Stdio::kPty, Stdio::kPty, Stdio::kPty)), IsOk());
  const auto pty = record.transport->GetPipeTransport(0);
  ASSERT_THAT(pty->Write("line\n"), IsOk());
  ASSERT_TRUE(RunUntil([&] { return record.out() == "line\r\nline\r\n"; })) << record.out();
  ASSERT_THAT(pty->Write("\x03"), IsOk());  // Control-C.
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.returncode_at_exit, -SIGINT);
}

TEST_F(SpawnTest, ResizeTellsTheProgram) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Exec(record, {"bash", "-c", "trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done"},
                   With(Stdio::kPty, Stdio::kPty, Stdio::kPty)),
              IsOk());
  ASSERT_TRUE(RunUntil([&] { return record.out().find("ready") != std::string::npos; }));
  absl::Status status;
  record.transport->Resize({.rows = 50, .columns = 132}, [&](absl::Status result) { status = result; });
  EXPECT_THAT(status, IsOk());
  ASSERT_TRUE(RunUntil([&] { return record.out().find("50 132\r\n") != std::string::npos; })) << record.out();
  record.transport->Resize({.rows = 0, .columns = 132}, [&](absl::Status result) { status = result; });
  EXPECT_THAT(status, HasReason("INVALID_WINDOW_SIZE"));
}

TEST_F(SpawnTest, ResizeNeedsAPty) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Exec(record, {"cat"}), IsOk());
  absl::Status status;
  record.transport->Resize({.rows = 50, .columns = 132}, [&](absl::Status result) { status = result; });
  EXPECT_THAT(status, HasReason("NOT_A_PTY"));
}

TEST_F(SpawnTest, StderrMayStayApartFromAPty) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Shell(record, "echo out; echo err >&2", With(Stdio::kPty, Stdio::kPty, Stdio::kPipe)), IsOk());
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.out(), "out\r\n");
  EXPECT_EQ(record.err(), "err\n");
}

TEST_F(SpawnTest, CloseEndsAPty) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Exec(record, {"bash", "-i"}, With(Stdio::kPty, Stdio::kPty, Stdio::kPty)), IsOk());
  ASSERT_TRUE(RunUntil([&] { return !record.out().empty(); }));
  record.transport->Close();
  ASSERT_TRUE(RunToEnd(record));
}

// cat(1) closes its standard streams before it exits; the hang-up must not come in between.
TEST_F(SpawnTest, PtyThatTheProgramHasLetGoOfIsNotHungUpBeforeItExits) {
  SubprocessRecord& record = NewSubprocess();
  const std::string go_on = folder_ + "/go-on";
  ASSERT_THAT(Shell(record, StrCat("exec 0<&- 1>&- 2>&-; until [ -e ", go_on, " ]; do sleep 0.01; done; exit 7"),
                    With(Stdio::kPty, Stdio::kPty, Stdio::kPty)),
              IsOk());
  ASSERT_TRUE(RunUntil([&] { return record.pipe_end[1].has_value(); }));
  MakeFile("go-on", "", 0600);
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.returncode_at_exit, 7);
}

TEST_F(SpawnTest, PtyThatIsClosedHereIsHungUp) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Exec(record, {"cat"}, With(Stdio::kPty, Stdio::kPty, Stdio::kPty)), IsOk());
  record.transport->GetPipeTransport(1)->Close();
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.returncode_at_exit, -SIGHUP);
}

// What is refused.

TEST_F(SpawnTest, NoSuchProgram) {
  const absl::Status status = FailedExec({"no-such-program"});
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(ErrnoOf(status), ENOENT);
  EXPECT_EQ(ToTransportError(status).address, "no-such-program");
  EXPECT_EQ(ToTransportError(status).operation, "exec");
  EXPECT_EQ(ErrnoOf(FailedExec({"/no/such/program"})), ENOENT);
  EXPECT_EQ(ErrnoOf(FailedExec({""})), EACCES);  // A folder of the PATH, as for Python.
}

TEST_F(SpawnTest, NotExecutable) {
  const std::string file = MakeFile("file", "x", 0644);
  EXPECT_EQ(ErrnoOf(FailedExec({file})), EACCES);
  EXPECT_EQ(ErrnoOf(FailedExec({"/usr"})), EACCES);
  const std::string no_format = MakeFile("no-format", "neither a program nor a script\n", 0755);
  EXPECT_EQ(ErrnoOf(FailedExec({no_format})), ENOEXEC);
}

TEST_F(SpawnTest, MissingCwdIsNamed) {
  SubprocessOptions options;
  options.cwd = "/no/such/folder";
  const absl::Status status = FailedExec({"true"}, options);
  EXPECT_EQ(ErrnoOf(status), ENOENT);
  EXPECT_EQ(ToTransportError(status).address, "/no/such/folder");
  EXPECT_EQ(ToTransportError(status).operation, "chdir");
  options.cwd = "/bin/true";
  EXPECT_EQ(ErrnoOf(FailedExec({"true"}, options)), ENOTDIR);
}

TEST_F(SpawnTest, EmbeddedNullIsRefusedEverywhere) {
  const std::string bad("a\0b", 3);
  EXPECT_THAT(FailedExec({bad}), HasField("program"));
  EXPECT_THAT(FailedExec({"true", bad}), HasField("args"));
  SubprocessOptions options;
  options.cwd = bad;
  EXPECT_THAT(FailedExec({"true"}, options), HasField("cwd"));
  options = {};
  options.env = Env{{"A", bad}};
  EXPECT_THAT(FailedExec({"true"}, options), HasField("env"));
  options.env = Env{{bad, "x"}};
  EXPECT_THAT(FailedExec({"true"}, options), HasReason("EMBEDDED_NULL"));
  SubprocessRecord& record = NewSubprocess();
  EXPECT_THAT(Shell(record, bad), HasReason("EMBEDDED_NULL"));
}

TEST_F(SpawnTest, BadEnvironmentNames) {
  for (const char* name : {"", "A=B", "="}) {
    SubprocessOptions options;
    options.env = Env{{name, "x"}};
    EXPECT_THAT(FailedExec({"true"}, options), HasReason("INVALID_ENVIRONMENT_NAME"));
  }
}

TEST_F(SpawnTest, BadOptions) {
  SubprocessOptions options;
  options.umask = 01000;
  EXPECT_THAT(FailedExec({"true"}, options), HasReason("INVALID_UMASK"));
  options = {};
  options.process_group = -1;
  EXPECT_THAT(FailedExec({"true"}, options), HasReason("INVALID_PROCESS_GROUP"));
  options = {};
  options.pipesize_bytes = 4000000000u;
  EXPECT_THAT(FailedExec({"true"}, options), HasReason("INVALID_PIPESIZE"));
  options = {};
  options.drain_timeout = Duration(-1);
  EXPECT_THAT(FailedExec({"true"}, options), HasReason("INVALID_TIMEOUT"));
  options = {};
  options.write_buffer_limits = {.high_bytes = 1, .low_bytes = 2};
  EXPECT_THAT(FailedExec({"true"}, options), HasReason("INVALID_LIMITS"));
  options = {};
  options.window_size = {.rows = 24, .columns = 80};
  EXPECT_THAT(FailedExec({"true"}, options), HasReason("INVALID_WINDOW_SIZE"));
}

TEST_F(SpawnTest, BadStdio) {
  using enum Stdio;
  const SubprocessOptions all[] = {With(kStdout, kPipe, kPipe), With(kPipe, kStdout, kPipe), With(kPty, kPipe, kPipe),
                                   With(kPipe, kPty, kPipe), With(kPipe, kPipe, kPty)};
  for (const SubprocessOptions& options : all) EXPECT_THAT(FailedExec({"true"}, options), HasReason("INVALID_STDIO"));
}

TEST_F(SpawnTest, WithoutItsHelperNothingStarts) {
  CloseLoop();
  loop_ = *EpollEventLoop::Create({.clock = &clock_, .resolver = &resolver_, .spawn_helper = folder_ + "/none"});
  EXPECT_THAT(FailedExec({"true"}), HasReason("SPAWN_HELPER_MISSING"));
  CloseLoop();
  // Another program in its place does not do what it is told.
  loop_ = *EpollEventLoop::Create({.clock = &clock_, .resolver = &resolver_, .spawn_helper = "/bin/echo"});
  EXPECT_THAT(FailedExec({"true"}), HasReason("SPAWN_HELPER_FAILED"));
}

TEST_F(SpawnTest, OutOfDescriptorsIsToldAndNothingIsLeft) {
  CloseLoop();
  loop_ = *EpollEventLoop::Create({.clock = &clock_, .resolver = &resolver_, .descriptor_limit = 12});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ErrnoOf(FailedExec({"true"})), EMFILE);
  }
}

}  // namespace
}  // namespace transportd
