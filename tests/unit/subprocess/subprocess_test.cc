// A subprocess from its start to its end: pipes, exit, signals, close.
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <deque>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/subprocess/subprocess_fixture.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/subprocess/local_subprocess.h"

namespace transportd {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::IsSupersetOf;
using testing::Not;

class SubprocessTest : public SubprocessFixture {
 protected:
  void Write(SubprocessRecord& record, std::string_view data) {
    ASSERT_THAT(record.transport->GetPipeTransport(0)->Write(data), IsOk());
  }
  static absl::Status Signal(SubprocessRecord& record, int signal_number) {
    absl::Status status = absl::UnknownError("done was not called");
    record.transport->SendSignal(signal_number, [&status](absl::Status result) { status = std::move(result); });
    return status;
  }
  static bool Exists(int pid) { return ::kill(pid, 0) == 0; }
};

// Pipes.

TEST_F(SubprocessTest, CatGivesBackWhatItIsGiven) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Exec(record, {"cat"}), IsOk());
  EXPECT_THAT(record.events, ElementsAre("made", "done"));
  EXPECT_GT(record.transport->GetPid(), 0);
  EXPECT_EQ(record.transport->GetExtraInfo().pid, record.transport->GetPid());
  EXPECT_EQ(record.transport->GetReturncode(), std::nullopt);
  Write(record, "hello");
  ASSERT_TRUE(RunUntil([&] { return record.out() == "hello"; }));
  record.transport->GetPipeTransport(0)->WriteEof();
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.events.back(), "lost");
  EXPECT_THAT(record.events, IsSupersetOf({"lost0", "lost1", "lost2", "exited"}));
  EXPECT_EQ(record.returncode_at_exit, 0);
  EXPECT_EQ(record.transport->GetReturncode(), 0);
  EXPECT_EQ(record.end->cause, EndCause::kEof);
  EXPECT_THAT(record.end->status, IsOk());
  EXPECT_FALSE(record.transport->IsClosing());
  EXPECT_FALSE(Exists(record.transport->GetPid()));
  EXPECT_EQ(record.transport->GetProtocol(), nullptr);
}

TEST_F(SubprocessTest, PipesHaveDirections) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Exec(record, {"cat"}), IsOk());
  const auto in = record.transport->GetPipeTransport(0);
  const auto out = record.transport->GetPipeTransport(1);
  EXPECT_TRUE(in->GetExtraInfo().pipe->can_write);
  EXPECT_EQ(in->GetExtraInfo().pipe->fd, 0);
  EXPECT_FALSE(out->GetExtraInfo().pipe->can_write);
  EXPECT_THAT(out->Write("x"), HasReason("WRONG_KIND"));
  EXPECT_EQ(record.transport->GetPipeTransport(3), nullptr);
  EXPECT_EQ(record.transport->GetPipeTransport(-1), nullptr);
}

TEST_F(SubprocessTest, AMegabyteGoesThroughUnchanged) {
  std::string data;
  for (int i = 0; data.size() < 3000000; ++i) data += std::to_string(i);
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Exec(record, {"cat"}), IsOk());
  Write(record, data);
  EXPECT_THAT(record.events, ElementsAre("made", "done", "pause"));
  record.transport->GetPipeTransport(0)->Close();
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_TRUE(record.out() == data);
  EXPECT_EQ(record.pipe_end[0]->sent_bytes, data.size());
  EXPECT_EQ(record.pipe_end[1]->received_bytes, data.size());
  EXPECT_THAT(record.events, Contains("resume"));
}

TEST_F(SubprocessTest, StdoutAndStderrAreApart) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Shell(record, "echo to out; echo to err >&2"), IsOk());
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.out(), "to out\n");
  EXPECT_EQ(record.err(), "to err\n");
}

TEST_F(SubprocessTest, StderrGoesWhereStdoutGoes) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Shell(record, "echo 1; echo 2 >&2; echo 3", With(Stdio::kNull, Stdio::kPipe, Stdio::kStdout)), IsOk());
  EXPECT_EQ(record.transport->GetPipeTransport(0), nullptr);
  EXPECT_EQ(record.transport->GetPipeTransport(2), nullptr);
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.out(), "1\n2\n3\n");
  EXPECT_THAT(record.events, AllOf(Not(Contains("lost0")), Not(Contains("lost2"))));
}

TEST_F(SubprocessTest, WithoutPipesTheExitIsTheEnd) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Exec(record, {"sh", "-c", "exit 7"}, With(Stdio::kNull, Stdio::kNull, Stdio::kNull)), IsOk());
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_THAT(record.events, ElementsAre("made", "done", "exited", "lost"));
  EXPECT_EQ(record.returncode_at_exit, 7);
}

TEST_F(SubprocessTest, InheritedStreamsAreThisPrograms) {
  SubprocessRecord& record = NewSubprocess();
  SubprocessOptions options = With(Stdio::kInherit, Stdio::kPipe, Stdio::kInherit);
  ASSERT_THAT(Exec(record, {"readlink", "/proc/self/fd/0", "/proc/self/fd/2"}, options), IsOk());
  ASSERT_TRUE(RunToEnd(record));
  char in[256] = {}, err[256] = {};
  ASSERT_GT(::readlink("/proc/self/fd/0", in, sizeof(in) - 1), 0);
  ASSERT_GT(::readlink("/proc/self/fd/2", err, sizeof(err) - 1), 0);
  EXPECT_EQ(record.out(), std::string(in) + "\n" + err + "\n");
}

TEST_F(SubprocessTest, PausedPipeBlocksTheChildAndNotTheOtherPipe) {
  SubprocessRecord& record = NewSubprocess();
  record.on_made = [&] { record.transport->GetPipeTransport(1)->PauseReading(); };
  ASSERT_THAT(Shell(record, "(while :; do echo e; done >&2) & yes; wait"), IsOk());
  ASSERT_TRUE(RunUntil([&] { return record.err().size() > 100000; }));
  EXPECT_EQ(record.out(), "");
  record.transport->GetPipeTransport(1)->ResumeReading();
  ASSERT_TRUE(RunUntil([&] { return record.out().size() > 100000; }));
}

TEST_F(SubprocessTest, YesIntoHeadEnds) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Exec(record, {"bash", "-c", "yes | head -n 100000; echo ${PIPESTATUS[0]}"}), IsOk());
  ASSERT_TRUE(RunToEnd(record));
  ASSERT_EQ(record.out().size(), 200004u);
  EXPECT_TRUE(record.out().ends_with("\n141\n"));  // `yes` was killed by SIGPIPE.
}

TEST_F(SubprocessTest, ChildThatClosesItsStdinIsNoticed) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Shell(record, "exec <&-; exec sleep 1000"), IsOk());
  ASSERT_TRUE(RunUntil([&] { return record.pipe_end[0].has_value(); }));
  EXPECT_THAT(record.pipe_end[0]->status, IsOk());
  EXPECT_FALSE(record.exited());
}

TEST_F(SubprocessTest, BytesForAChildThatIsGoneAreABrokenPipeOfStdin) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Shell(record, "exit 3"), IsOk());
  Write(record, std::string(1000000, 'x'));
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(ToTransportError(record.pipe_end[0]->status).errno_number, EPIPE);
  EXPECT_THAT(record.pipe_end[1]->status, IsOk());
  EXPECT_EQ(record.returncode_at_exit, 3);
}

TEST_F(SubprocessTest, PipesizeIsThatOfThePipes) {
  SubprocessOptions options;
  options.pipesize_bytes = 300000;  // Rounded up to a power of two pages.
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Exec(record, {"sleep", "1000"}, options), IsOk());
  Write(record, std::string(1000000, 'x'));
  EXPECT_EQ(record.transport->GetPipeTransport(0)->GetWriteBufferSize(), 1000000u - 524288u);
}

TEST_F(SubprocessTest, PipesProtocolCanBeReplacedInConnectionMade) {
  SubprocessRecord& record = NewSubprocess();
  Record& pipe = NewRecord();
  record.on_made = [&] {
    record.transport->GetPipeTransport(1)->SetProtocol(std::make_shared<RecordingProtocol>(pipe));
  };
  ASSERT_THAT(Shell(record, "echo x"), IsOk());
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_THAT(pipe.events, ElementsAre("data", "eof", "lost"));
  EXPECT_THAT(record.events, AllOf(Not(Contains("data1")), Not(Contains("lost1")), Contains("lost2")));
}

TEST_F(SubprocessTest, SetProtocolTakesTheNextCallback) {
  SubprocessRecord& record = NewSubprocess();
  SubprocessRecord& other = NewSubprocess();
  ASSERT_THAT(Exec(record, {"cat"}), IsOk());
  other.transport = record.transport;
  record.transport->SetProtocol(std::make_shared<RecordingSubprocessProtocol>(other));
  record.transport->GetPipeTransport(0)->Close();
  ASSERT_TRUE(RunToEnd(other));
  EXPECT_THAT(record.events, ElementsAre("made", "done"));
  EXPECT_THAT(other.events, IsSupersetOf({"lost0", "lost1", "lost2", "exited", "lost"}));
}

// Exit.

TEST_F(SubprocessTest, ReturncodeIsTheStatusOrTheNegativeSignal) {
  for (const int code : {0, 1, 42, 255}) {
    SubprocessRecord& record = NewSubprocess();
    ASSERT_THAT(Shell(record, StrCat("exit ", code)), IsOk());
    ASSERT_TRUE(RunToEnd(record));
    EXPECT_EQ(record.returncode_at_exit, code);
  }
  for (const int signal : {SIGTERM, SIGKILL, SIGSEGV, SIGHUP, SIGRTMAX}) {
    SubprocessRecord& record = NewSubprocess();
    ASSERT_THAT(Shell(record, StrCat("kill -", signal, " $$")), IsOk());
    ASSERT_TRUE(RunToEnd(record));
    EXPECT_EQ(record.returncode_at_exit, -signal);
  }
}

TEST_F(SubprocessTest, GrandchildThatHoldsThePipeKeepsConnectionLostAway) {
  SubprocessRecord& record = NewSubprocess();
  SubprocessOptions options;
  options.process_group = 0;
  ASSERT_THAT(Shell(record, "sleep 1000 & echo $!", options), IsOk());
  ASSERT_TRUE(RunUntil([&] { return record.exited() && !record.out().empty(); }));
  Turn(20);
  EXPECT_FALSE(record.lost());
  EXPECT_EQ(record.transport->GetReturncode(), 0);
  const int grandchild = std::stoi(record.out());
  ASSERT_EQ(::kill(grandchild, SIGKILL), 0);
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.events.back(), "lost");
}

TEST_F(SubprocessTest, DrainTimeoutEndsHeldPipesWithAnError) {
  SubprocessRecord& record = NewSubprocess();
  SubprocessOptions options;
  options.process_group = 0;
  options.drain_timeout = std::chrono::seconds(5);
  ASSERT_THAT(Shell(record, "sleep 1000 & echo here", options), IsOk());
  ASSERT_TRUE(RunUntil([&] { return record.exited() && record.out() == "here\n"; }));
  clock_.Advance(std::chrono::milliseconds(4999));
  Turn();
  EXPECT_FALSE(record.pipe_end[1].has_value());
  clock_.Advance(std::chrono::milliseconds(2));
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_THAT(record.pipe_end[1]->status, HasReason("DRAIN_TIMEOUT"));
  EXPECT_EQ(record.pipe_end[1]->cause, EndCause::kTimedOut);
  EXPECT_EQ(record.end->cause, EndCause::kEof);
}

TEST_F(SubprocessTest, DrainTimeoutIsForHeldPipesOnly) {
  SubprocessRecord& record = NewSubprocess();
  SubprocessOptions options;
  options.drain_timeout = std::chrono::seconds(1);
  ASSERT_THAT(Shell(record, "echo all", options), IsOk());
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.out(), "all\n");
  EXPECT_THAT(record.pipe_end[1]->status, IsOk());
}

TEST_F(SubprocessTest, ChildReapedBySomebodyElseHasAnUnknownReturncode) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Exec(record, {"sleep", "1000"}), IsOk());
  const int pid = record.transport->GetPid();
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.returncode_at_exit, 255);
}

TEST_F(SubprocessTest, TwoHundredAtOnce) {
  constexpr int kCount = 200;
  std::deque<Outcome<Subprocess>> outcomes;
  std::vector<SubprocessRecord*> records;
  for (int i = 0; i < kCount; ++i) {
    records.push_back(&NewSubprocess());
    StartExec(outcomes.emplace_back(), *records.back(), {"sh", "-c", StrCat("read x; echo $x; exit ", i)});
  }
  ASSERT_TRUE(RunUntil([&] {
    for (const auto& outcome : outcomes) {
      if (!outcome.done()) return false;
    }
    return true;
  }));
  for (int i = 0; i < kCount; ++i) Write(*records[static_cast<size_t>(i)], std::to_string(i) + "\n");
  ASSERT_TRUE(RunUntil([&] { return loop_->GetCounts().transports == 0; }));
  for (int i = 0; i < kCount; ++i) {
    EXPECT_EQ(records[static_cast<size_t>(i)]->out(), std::to_string(i) + "\n");
    EXPECT_EQ(records[static_cast<size_t>(i)]->returncode_at_exit, i);
  }
}

// Signals.

TEST_F(SubprocessTest, SignalsReachTheChild) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(
      Shell(record, "trap 'echo usr1' USR1; trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 0.01; done"),
      IsOk());
  ASSERT_TRUE(RunUntil([&] { return record.out() == "ready\n"; }));
  EXPECT_THAT(Signal(record, 0), IsOk());
  EXPECT_THAT(Signal(record, SIGUSR1), IsOk());
  ASSERT_TRUE(RunUntil([&] { return record.out() == "ready\nusr1\n"; }));
  record.transport->Terminate();
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.out(), "ready\nusr1\nterm\n");
  EXPECT_EQ(record.returncode_at_exit, 5);
}

TEST_F(SubprocessTest, ChildThatIgnoresSigtermIsKilled) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Shell(record, "trap '' TERM; echo ready; exec sleep 1000"), IsOk());
  ASSERT_TRUE(RunUntil([&] { return record.out() == "ready\n"; }));
  record.transport->Terminate();
  Turn(20);
  EXPECT_TRUE(Exists(record.transport->GetPid()));
  record.transport->Kill();
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.returncode_at_exit, -SIGKILL);
}

TEST_F(SubprocessTest, SignalForADeadChildIsNothingAndAfterTheEndEsrch) {
  SubprocessRecord& record = NewSubprocess();
  record.on_exited = [&] { EXPECT_THAT(Signal(record, SIGTERM), IsOk()); };
  record.on_lost = [&] { EXPECT_THAT(Signal(record, SIGTERM), HasReason("ESRCH")); };
  ASSERT_THAT(Shell(record, "exit 0"), IsOk());
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_THAT(Signal(record, SIGTERM), HasReason("ESRCH"));
  EXPECT_EQ(record.returncode_at_exit, 0);
}

TEST_F(SubprocessTest, UnknownSignalIsRefused) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Exec(record, {"cat"}), IsOk());
  for (const int signal : {-1, 65, 1000}) {
    EXPECT_THAT(Signal(record, signal), HasReason("INVALID_SIGNAL"));
    EXPECT_THAT(Signal(record, signal), HasField("signal"));
  }
}

// Close.

TEST_F(SubprocessTest, CloseKillsAndReaps) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Shell(record, "trap '' TERM; echo ready; exec sleep 1000"), IsOk());
  ASSERT_TRUE(RunUntil([&] { return record.out() == "ready\n"; }));
  const int pid = record.transport->GetPid();
  record.transport->Close();
  EXPECT_TRUE(record.transport->IsClosing());
  EXPECT_EQ(record.transport->GetReturncode(), std::nullopt);
  EXPECT_TRUE(record.transport->GetPipeTransport(1)->IsClosing());
  record.transport->Close();
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.returncode_at_exit, -SIGKILL);
  EXPECT_EQ(record.end->cause, EndCause::kLocalClose);
  EXPECT_FALSE(Exists(pid));
}

TEST_F(SubprocessTest, CloseInsideEveryCallback) {
  for (int i = 0; i < 4; ++i) {
    SubprocessRecord& record = NewSubprocess();
    std::function<void()>* const places[] = {&record.on_made, &record.on_data, &record.on_pipe_lost, &record.on_exited};
    *places[i] = [&] { record.transport->Close(); };
    ASSERT_THAT(Shell(record, "echo x"), IsOk());
    ASSERT_TRUE(RunToEnd(record));
    EXPECT_EQ(record.events.front(), "made");
    EXPECT_EQ(record.events.back(), "lost");
    EXPECT_THAT(record.events, IsSupersetOf({"lost0", "lost1", "lost2", "exited"}));
  }
}

TEST_F(SubprocessTest, CloseDoesNotKillAChildThatHasFinished) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Shell(record, "exit 9"), IsOk());
  siginfo_t info = {};  // Finished, and not reported: this loop has not turned since.
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(record.transport->GetPid()), &info, WEXITED | WNOWAIT), 0);
  record.transport->Close();
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.returncode_at_exit, 9);
}

TEST_F(SubprocessTest, CloseEndsAProcessGroupOfItsOwnAsAWhole) {
  SubprocessRecord& record = NewSubprocess();
  SubprocessOptions options;
  options.process_group = 0;
  ASSERT_THAT(Shell(record, "sleep 1000 & sleep 1001 & wait", options), IsOk());
  record.transport->Close();
  // The grandchildren held stdout, so this does not end before they do.
  ASSERT_TRUE(RunToEnd(record));
}

TEST_F(SubprocessTest, CloseEndsWhatIsLeftOfAGroupWhoseLeaderHasExited) {
  SubprocessRecord& record = NewSubprocess();
  SubprocessOptions options;
  options.start_new_session = true;
  ASSERT_THAT(Shell(record, "sleep 1000 & echo $!", options), IsOk());
  ASSERT_TRUE(RunUntil([&] { return record.exited() && !record.out().empty(); }));
  const UniqueFd grandchild = OpenPidfd(std::stoi(record.out()));
  record.transport->Close();
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_TRUE(HasExited(grandchild)) << "the grandchild lives";
}

TEST_F(SubprocessTest, CloseAfterConnectionLostEndsWhatIsLeftOfTheGroup) {
  SubprocessRecord& record = NewSubprocess();
  SubprocessOptions options;
  options.process_group = 0;
  ASSERT_THAT(Shell(record, "sleep 1000 </dev/null >/dev/null 2>&1 & echo $!", options), IsOk());
  ASSERT_TRUE(RunToEnd(record));
  const UniqueFd grandchild = OpenPidfd(std::stoi(record.out()));
  const auto& subprocess = static_cast<const LocalSubprocess&>(*record.transport);
  EXPECT_TRUE(subprocess.HasGroup());
  record.transport->Close();
  EXPECT_TRUE(HasExited(grandchild)) << "the grandchild lives";
}

TEST_F(SubprocessTest, WithoutAGroupNothingIsLeft) {
  for (const bool has_group : {false, true}) {
    SubprocessRecord& record = NewSubprocess();
    SubprocessOptions options;
    if (has_group) options.process_group = 0;
    ASSERT_THAT(Shell(record, "true", options), IsOk());
    ASSERT_TRUE(RunToEnd(record));
    EXPECT_FALSE(static_cast<const LocalSubprocess&>(*record.transport).HasGroup());
    // The transport is held, its descriptor is not.
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;  // The iterator's own.
      EXPECT_NE(std::filesystem::read_symlink(entry.path(), gone), "anon_inode:[pidfd]");
    }
  }
}

TEST_F(SubprocessTest, CloseEndsThoughSomebodyHoldsStdinAndReadsNothing) {
  SubprocessRecord& record = NewSubprocess();
  // In a session of its own, which is not this group's: it lives on.
  ASSERT_THAT(Shell(record, "exec 3<&0; setsid sleep 1000 <&3 >/dev/null 2>&1 & echo $!; wait"), IsOk());
  ASSERT_TRUE(RunUntil([&] { return !record.out().empty(); }));
  Write(record, std::string(1000000, 'x'));
  record.transport->Close();
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.pipe_end[0]->cause, EndCause::kLocalAbort);
  ::kill(std::stoi(record.out()), SIGKILL);
}

TEST_F(SubprocessTest, LoopsEndKillsAndReaps) {
  SubprocessRecord& record = NewSubprocess();
  SubprocessOptions options;
  options.process_group = 0;
  ASSERT_THAT(Shell(record, "trap '' TERM; echo ready; sleep 1000 & wait", options), IsOk());
  const int pid = record.transport->GetPid();
  ASSERT_TRUE(RunUntil([&] { return record.out() == "ready\n"; }));
  CloseLoop();
  EXPECT_FALSE(Exists(pid));
  ExpectNoChildren();
  EXPECT_FALSE(record.lost());
  // What is held is inert.
  EXPECT_THAT(Signal(record, SIGTERM), HasReason("ESRCH"));
  record.transport->Close();
  EXPECT_EQ(record.transport->GetPid(), pid);
}

// Cancelling.

TEST_F(SubprocessTest, CancelledStartLeavesNothing) {
  Outcome<Subprocess> outcome;
  SubprocessRecord& record = NewSubprocess();
  StartExec(outcome, record, {"sleep", "1000"});
  loop_->CancelOperation(outcome.id);
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("CANCELLED"));
  EXPECT_EQ(outcome.done_count, 1);
  EXPECT_THAT(record.events, ElementsAre("done"));
  ExpectNoChildren();
}

TEST_F(SubprocessTest, StartIsCancelledAtEveryTurn) {
  for (int turns = 0; turns < 12; ++turns) {
    Outcome<Subprocess> outcome;
    SubprocessRecord& record = NewSubprocess();
    StartExec(outcome, record, {"sleep", "1000"});
    for (int i = 0; i < turns && !outcome.done(); ++i) loop_->reactor().RunOnce(std::chrono::milliseconds(1));
    loop_->CancelOperation(outcome.id);
    ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
    if (outcome.status().ok()) {  // It was done before.
      record.transport->Close();
      ASSERT_TRUE(RunToEnd(record));
      continue;
    }
    EXPECT_THAT(outcome.status(), HasReason("CANCELLED"));
    // Whose connection_made was called sees the whole sequence, before `done`.
    if (!record.events.empty() && record.events.front() == "made") {
      EXPECT_TRUE(record.lost());
      EXPECT_TRUE(record.exited());
    }
    EXPECT_EQ(record.events.back(), "done");
    ExpectNoChildren();
  }
}

TEST_F(SubprocessTest, CancelInsideConnectionMadeIsToldAfterTheEnd) {
  Outcome<Subprocess> outcome;
  SubprocessRecord& record = NewSubprocess();
  record.on_made = [&] { loop_->CancelOperation(outcome.id); };
  StartExec(outcome, record, {"sleep", "1000"});
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("CANCELLED"));
  ASSERT_GE(record.events.size(), 2u);
  EXPECT_EQ(record.events.front(), "made");
  EXPECT_EQ(record.events[record.events.size() - 2], "lost");
  EXPECT_EQ(record.events.back(), "done");
  EXPECT_EQ(record.returncode_at_exit, -SIGKILL);
}

TEST_F(SubprocessTest, LoopMayGoWhileAProcessIsBeingStarted) {
  for (int turns = 0; turns < 4; ++turns) {
    Outcome<Subprocess> outcome;
    SubprocessRecord& record = NewSubprocess();
    StartExec(outcome, record, {"sleep", "1000"});
    for (int i = 0; i < turns; ++i) loop_->reactor().RunOnce(std::chrono::milliseconds(1));
    CloseLoop();
    record.transport.reset();
    ExpectNoChildren();
    NewLoop();
  }
}

}  // namespace
}  // namespace transportd
