// An EpollEventLoop whose test fails when a child process is left, running or as a zombie.
#ifndef TRANSPORTD_TESTS_UNIT_SUBPROCESS_SUBPROCESS_FIXTURE_H_
#define TRANSPORTD_TESTS_UNIT_SUBPROCESS_SUBPROCESS_FIXTURE_H_

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/loop/event_loop_fixture.h"
#include "tests/unit/subprocess/recording_subprocess_protocol.h"
#include "transports/loop/epoll_event_loop.h"

namespace transportd {

// Threading: the test's thread is the loop's.
class SubprocessFixture : public EventLoopFixture {
 protected:
  using Argv = std::vector<std::string>;

  void TearDown() override {
    for (SubprocessRecord& record : subprocesses_) {
      if (record.transport != nullptr) record.transport->Close();
    }
    if (loop_ != nullptr) {
      EXPECT_TRUE(RunUntil([this] { return loop_->GetCounts().transports == 0; }));
    }
    for (SubprocessRecord& record : subprocesses_) record.transport.reset();
    EventLoopFixture::TearDown();
    ExpectNoChildren();
  }

  static void ExpectNoChildren() {
    siginfo_t info = {};
    EXPECT_EQ(::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), -1) << "process " << info.si_pid << " is left";
    EXPECT_EQ(errno, ECHILD);
  }

  SubprocessRecord& NewSubprocess() { return subprocesses_.emplace_back(); }

  static SubprocessOptions With(Stdio in, Stdio out, Stdio err) {
    SubprocessOptions options;
    options.stdin_kind = in;
    options.stdout_kind = out;
    options.stderr_kind = err;
    return options;
  }

  // The outcome must live until it is done.
  void StartExec(Outcome<Subprocess>& outcome, SubprocessRecord& record, Argv argv, SubprocessOptions options = {}) {
    std::string program = argv.front();
    argv.erase(argv.begin());
    outcome.id = loop_->SubprocessExec([&record] { return std::make_shared<RecordingSubprocessProtocol>(record); },
                                       std::move(program), std::move(argv), std::move(options),
                                       [&outcome, &record](absl::StatusOr<Subprocess> result) {
                                         ++outcome.done_count;
                                         outcome.result = std::move(result);
                                         record.events.push_back("done");
                                       });
  }
  absl::Status Exec(SubprocessRecord& record, Argv argv, SubprocessOptions options = {}) {
    Outcome<Subprocess> outcome;
    StartExec(outcome, record, std::move(argv), std::move(options));
    EXPECT_EQ(outcome.done_count, 0) << "done inside the call";
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    return outcome.status();
  }
  absl::Status Shell(SubprocessRecord& record, std::string cmd, SubprocessOptions options = {}) {
    Outcome<Subprocess> outcome;
    outcome.id = loop_->SubprocessShell([&record] { return std::make_shared<RecordingSubprocessProtocol>(record); },
                                        std::move(cmd), std::move(options),
                                        [&outcome](absl::StatusOr<Subprocess> result) {
                                          ++outcome.done_count;
                                          outcome.result = std::move(result);
                                        });
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    return outcome.status();
  }
  bool RunToEnd(SubprocessRecord& record) {
    return RunUntil([&] { return record.lost(); });
  }
  // Runs it to its end, with an empty stdin; what it wrote to stdout.
  std::string OutputOf(Argv argv, SubprocessOptions options = {}) {
    SubprocessRecord& record = NewSubprocess();
    const absl::Status status = Exec(record, std::move(argv), std::move(options));
    EXPECT_THAT(status, IsOk());
    if (!status.ok()) return "";
    if (const auto in = record.transport->GetPipeTransport(0)) in->Close();
    EXPECT_TRUE(RunToEnd(record));
    EXPECT_EQ(record.returncode_at_exit, 0) << record.err();
    return record.out();
  }
  std::string ShellOutputOf(std::string cmd, SubprocessOptions options = {}) {
    return OutputOf({"/bin/sh", "-c", std::move(cmd)}, std::move(options));
  }

  static UniqueFd OpenPidfd(int pid) {
    UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    EXPECT_TRUE(pidfd.valid());
    return pidfd;
  }
  // Waits for it; false when it does not.
  static bool HasExited(const UniqueFd& pidfd) {
    pollfd state{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
    return ::poll(&state, 1, 10000) == 1;
  }

  std::deque<SubprocessRecord> subprocesses_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_UNIT_SUBPROCESS_SUBPROCESS_FIXTURE_H_
