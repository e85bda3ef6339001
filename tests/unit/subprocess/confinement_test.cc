// What a confined program can do, and what it cannot; the gate; the wall time.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/raw_peer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/subprocess/subprocess_fixture.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/base/thread_executor.h"
#include "transports/subprocess/kernel_confinement.h"
#include "transports/subprocess/own_memory.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Level = Confinement::Level;
using Network = Confinement::Network;

// What the probe reports, by name.
using Findings = std::map<std::string, std::string>;

class ConfinementTest : public SubprocessFixture {
 protected:
  void SetUp() override {
    SubprocessFixture::SetUp();
    MakeFolder("inside");
    MakeFolder("outside");
    socket_.emplace(At(folder_.Path("outside/socket")));
    ASSERT_TRUE(socket_->valid());
    ASSERT_TRUE(abstract_.valid());
  }

  static SocketAddress At(std::string path) { return {.family = AddressFamily::kUnix, .path = std::move(path)}; }

  void MakeFolder(const std::string& name) {
    std::filesystem::create_directories(folder_.Path(name) + "/folder");
    folder_.WriteFile(name + "/file", "text");
    std::filesystem::copy_file("/usr/bin/true", folder_.Path(name) + "/program");
  }

  // Of what this kernel can do, all.
  bool IsConfinable() { return ProbeConfinement().Lacking() == 0; }

  Confinement Confined(Network network = Network::kNone, Level level = Level::kRequired) {
    Confinement confinement;
    confinement.network = network;
    confinement.level = level;
    confinement.write_paths = {std::filesystem::canonical(folder_.Path("inside")).string()};
    return confinement;
  }

  static SubprocessOptions Options(std::optional<Confinement> confinement) {
    SubprocessOptions options;
    options.confinement = std::move(confinement);
    return options;
  }

  Findings Probe(SubprocessOptions options) {
    Findings findings;
    const std::string text = OutputOf(
        {CONFINEMENT_PROBE, folder_.Path("inside"), folder_.Path("outside"), std::to_string(listener_.address().port),
         abstract_name_, std::to_string(reinterpret_cast<uintptr_t>(&secret_))},
        std::move(options));
    std::istringstream lines(text);
    for (std::string name, value; lines >> name >> value;) findings[name] = value;
    return findings;
  }

  static void ExpectAll(const Findings& findings, const std::vector<std::string>& names, const std::string& value) {
    for (const std::string& name : names) {
      const auto found = findings.find(name);
      EXPECT_EQ(found != findings.end() ? found->second : "not tried", value) << name;
    }
  }

  // Nothing may be left of a start that failed.
  absl::Status FailedExec(Argv argv, SubprocessOptions options) {
    SubprocessRecord& record = NewSubprocess();
    absl::Status status = Exec(record, std::move(argv), std::move(options));
    EXPECT_THAT(record.events, ElementsAre("done"));
    ExpectNoChildren();
    return status;
  }

  void UseHelper(const std::string& path) {
    CloseLoop();
    loop_ = *EpollEventLoop::Create({.clock = &clock_, .resolver = &resolver_, .spawn_helper = path});
  }

  TempDir folder_;
  RawListener listener_;
  std::string abstract_name_ = StrCat("@transportd-confinement-", ::getpid());
  RawListener abstract_{At(std::string(1, '\0') + abstract_name_.substr(1))};
  std::optional<RawListener> socket_;
  int secret_ = 42;
};

const std::vector<std::string> kOfNetwork = {"tcp_socket", "udp_socket", "tcp6_socket"};
const std::vector<std::string> kOfUnixSockets = {
    "unix_connect", "unix_abstract_connect", "unix_socket", "unix_datagram", "unix_raw", "unix_datagram_pair"};
const std::vector<std::string> kOfFilesOutside = {
    "read_outside",        "list_outside", "execute_outside", "write_outside",  "truncate_outside", "create_outside",
    "make_folder_outside", "link_outside", "rename_outside",  "remove_outside", "read_system",      "list_root"};
const std::vector<std::string> kOfFilesInside = {
    "read_inside", "list_inside",        "execute_inside", "write_inside",  "truncate_inside", "create_inside",
    "link_inside", "make_folder_inside", "rename_inside",  "remove_inside", "read_library",    "write_null"};
const std::vector<std::string> kOfSignals = {"parent_signal", "parent_pidfd_signal"};
const std::vector<std::string> kOfOtherProcesses = {"parent_descriptor", "parent_memory_read", "parent_memory_write",
                                                    "parent_limits",     "parent_priority",    "parent_io_priority",
                                                    "parent_affinity",   "parent_scheduler",   "parent_trace",
                                                    "keyring",           "user_priority"};
const std::vector<std::string> kOfItself = {"own_signal",     "own_priority",    "own_affinity",   "own_affinity_set",
                                            "own_thread",     "signal_to_child", "unshare_folder", "unix_pair",
                                            "unix_pair_data", "unix_packet_pair"};
const std::vector<std::string> kOfNamespaces = {"unshare_user", "unshare_network", "unshare_time", "clone_user",
                                                "clone_names"};
const std::vector<std::string> kOfInterprocessObjects = {"shared_memory", "shared_memory_attach", "message_queue",
                                                         "semaphores", "posix_message_queue"};

// Without confinement all of that works: so what fails with it fails because of it.
TEST_F(ConfinementTest, UnconfinedMayDoWhatItsUserMay) {
  const Findings findings = Probe({});
  for (const auto& names :
       {kOfNetwork, kOfUnixSockets, kOfFilesOutside, kOfFilesInside, kOfSignals, kOfItself, kOfInterprocessObjects}) {
    ExpectAll(findings, names, "OK");
  }
  ExpectAll(findings, {"clone_sibling"}, "OK");
  ExpectAll(findings,
            {"tcp_connect", "tcp_bind", "udp_send", "netlink_socket", "unix_bind_inside", "unix_bind_outside"}, "OK");
  ExpectAll(findings,
            {"parent_limits", "parent_priority", "parent_affinity", "parent_scheduler", "parent_io_priority",
             "leave_session", "leave_group", "parent_environment"},
            "OK");
  // The rest is what an administrator may have forbidden to users.
  if (findings.at("unshare_user") == "OK") {
    ExpectAll(findings, {"clone_user"}, "OK");
    if (::geteuid() == 0) ExpectAll(findings, kOfNamespaces, "OK");
    ExpectAll(findings, {"join_namespace"}, "EBADF");
    ExpectAll(findings, {"clone3"}, "EINVAL");
  }
  if (::geteuid() == 0) {
    ExpectAll(findings,
              {"raw_socket", "packet_socket", "parent_descriptor", "parent_memory_file", "parent_memory_read",
               "parent_memory_write", "parent_trace"},
              "OK");
  }
  ExpectAll(findings, {"leads_session", "no_new_privileges", "stdin_is_null", "descriptors"}, "0");
  ExpectAll(findings, {"variables"}, "1");
  EXPECT_THAT(loop_->GetCounts().transports, 0u);
}

class ConfinementLevelTest : public ConfinementTest, public testing::WithParamInterface<Level> {
 protected:
  // Whatever its network is.
  static void ExpectKernelIsKeptFrom(const Findings& findings) {
    for (const auto& names : {kOfNamespaces, kOfInterprocessObjects}) ExpectAll(findings, names, "EPERM");
    ExpectAll(findings, {"clone_sibling", "join_namespace"}, "EPERM");
    ExpectAll(findings, {"io_uring", "clone3"}, "ENOSYS");
    EXPECT_THAT(findings.at("foreign_call_signal"), testing::AnyOf(std::to_string(SIGSYS), std::to_string(SIGSEGV)));
  }
};

TEST_P(ConfinementLevelTest, NothingOfTheNetworkFilesAndProcessesOutside) {
  if (!IsConfinable()) GTEST_SKIP() << "this kernel cannot confine: transportd-spawn --probe";
  const Findings findings = Probe(Options(Confined(Network::kNone, GetParam())));
  for (const auto& names : {kOfNetwork, kOfUnixSockets, kOfFilesOutside}) ExpectAll(findings, names, "EACCES");
  ExpectAll(findings,
            {"raw_socket", "netlink_socket", "packet_socket", "unix_bind_outside", "parent_memory_file",
             "parent_environment"},
            "EACCES");
  for (const auto& names : {kOfSignals, kOfOtherProcesses}) ExpectAll(findings, names, "EPERM");
  ExpectAll(findings, {"leave_session", "leave_group"}, "EPERM");
  ExpectKernelIsKeptFrom(findings);
  for (const auto& names : {kOfFilesInside, kOfItself}) ExpectAll(findings, names, "OK");
  ExpectAll(findings, {"unix_bind_inside"}, "EACCES");
  EXPECT_EQ(secret_, 42);
}

TEST_P(ConfinementLevelTest, NetworkOfTheHostAndNothingElse) {
  if (!IsConfinable()) GTEST_SKIP() << "this kernel cannot confine: transportd-spawn --probe";
  const Findings findings = Probe(Options(Confined(Network::kHost, GetParam())));
  for (const auto& names : {kOfNetwork, kOfUnixSockets, kOfFilesInside, kOfItself}) ExpectAll(findings, names, "OK");
  ExpectAll(findings, {"tcp_connect", "tcp_bind", "udp_send", "netlink_socket"}, "OK");
  ExpectAll(findings, kOfFilesOutside, "EACCES");
  for (const auto& names : {kOfSignals, kOfOtherProcesses}) ExpectAll(findings, names, "EPERM");
  ExpectAll(findings, {"leave_session", "leave_group"}, "EPERM");
  ExpectKernelIsKeptFrom(findings);
}

TEST_P(ConfinementLevelTest, NothingOfThisProgramIsLeft) {
  if (!IsConfinable()) GTEST_SKIP() << "this kernel cannot confine: transportd-spawn --probe";
  // Not close-on-exec, as a careless library would leave it.
  const UniqueFd leaky(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::fcntl(leaky.get(), F_SETFD, 0), 0);
  SubprocessOptions options = Options(Confined(Network::kNone, GetParam()));
  options.stdin_kind = Stdio::kInherit;
  const Findings findings = Probe(options);
  ExpectAll(findings, {"descriptors", "variables", "limit_core"}, "0");
  ExpectAll(findings, {"leads_session", "no_new_privileges", "stdin_is_null"}, "1");
  EXPECT_EQ(findings.at("new_file_mode"), std::to_string(0600));
}

// The socket's file is one that it may open and write, as the service's own listeners may be.
TEST_P(ConfinementLevelTest, NoUnixListenerIsReached) {
  if (!IsConfinable()) GTEST_SKIP() << "this kernel cannot confine: transportd-spawn --probe";
  Confinement confinement = Confined(Network::kNone, GetParam());
  confinement.write_paths.push_back(std::filesystem::canonical(folder_.Path("outside")).string());
  ExpectAll(Probe(Options(confinement)), {"unix_connect", "unix_abstract_connect", "unix_socket"}, "EACCES");
  confinement.network = Network::kHost;
  ExpectAll(Probe(Options(confinement)), {"unix_connect", "unix_socket"}, "OK");
}

TEST_P(ConfinementLevelTest, OrdinaryProgramsRun) {
  if (!IsConfinable()) GTEST_SKIP() << "this kernel cannot confine: transportd-spawn --probe";
  SubprocessOptions options = Options(Confined(Network::kNone, GetParam()));
  options.confinement->read_paths = {"/etc", "/dev/urandom"};
  options.cwd = folder_.Path("inside");
  options.env = {{{"PATH", "/usr/bin:/bin"}, {"HOME", *options.cwd}}};
  EXPECT_THAT(OutputOf({"getent", "passwd", "root"}, options), HasSubstr("root:"));
  EXPECT_EQ(OutputOf({"dash", "-c", "(echo a; echo b) | cat & wait; echo $(echo c)"}, options), "a\nb\nc\n");
  EXPECT_EQ(OutputOf({"bash", "-c", "cat <(echo a) - <<<b; (exit 3); echo $?"}, options), "a\nb\n3\n");
  EXPECT_EQ(OutputOf({"/usr/bin/python3", "-c", R"(
import concurrent.futures, socket, subprocess, tempfile
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(lambda i: int(subprocess.check_output(["echo", str(i)])), range(16))))
near, far = socket.socketpair()
near.sendall(b"x")
print(far.recv(1))
)"},
                     options),
            "120\nb'x'\n");
  EXPECT_EQ(OutputOf({"git", "init", "--quiet", "repository"}, options), "");
  EXPECT_EQ(OutputOf({"git", "-C", "repository", "-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet",
                      "--allow-empty", "--message=m"},
                     options),
            "");
  EXPECT_THAT(OutputOf({"git", "-C", "repository", "log", "--format=%s"}, options), "m\n");
}

INSTANTIATE_TEST_SUITE_P(Levels, ConfinementLevelTest, testing::Values(Level::kRequired, Level::kBestEffort),
                         [](const auto& level) { return level.param == Level::kRequired ? "Required" : "BestEffort"; });

TEST_F(ConfinementTest, ReadPathsAreReadAndExecutedOnly) {
  if (!IsConfinable()) GTEST_SKIP() << "this kernel cannot confine: transportd-spawn --probe";
  Confinement confinement = Confined();
  confinement.read_paths = {std::filesystem::canonical(folder_.Path("outside")).string(), "/not/there",
                            "/etc/hostname"};
  const Findings findings = Probe(Options(confinement));
  ExpectAll(findings, {"read_outside", "list_outside", "execute_outside", "read_system"}, "OK");
  ExpectAll(findings,
            {"write_outside", "truncate_outside", "create_outside", "make_folder_outside", "link_outside",
             "rename_outside", "remove_outside"},
            "EACCES");
}

TEST_F(ConfinementTest, LimitsAreSetForGood) {
  Confinement confinement = Confined(Network::kNone, Level::kBestEffort);
  confinement.limits = {
      .cpu_seconds = 20, .address_space_bytes = 1u << 30, .open_file_count = 77, .file_bytes = 1u << 20};
  const Findings findings = Probe(Options(confinement));
  ExpectAll(findings, {"limit_cpu"}, "21");
  ExpectAll(findings, {"limit_address_space"}, std::to_string(1u << 30));
  ExpectAll(findings, {"limit_open_files"}, "77");
  ExpectAll(findings, {"limit_file"}, std::to_string(1u << 20));
  confinement.limits = {.file_bytes = 4096};
  SubprocessRecord& record = NewSubprocess();
  SubprocessOptions options = Options(confinement);
  options.cwd = folder_.Path("inside");
  ASSERT_THAT(Shell(record, "head -c 10000 /usr/bin/env >large; ulimit -f unlimited || exit 3", options), IsOk());
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_NE(record.returncode_at_exit, 0);
  EXPECT_EQ(std::filesystem::file_size(folder_.Path("inside/large")), 4096u);
}

TEST_F(ConfinementTest, ProcessorTimeEndsIt) {
  Confinement confinement = Confined(Network::kNone, Level::kBestEffort);
  confinement.limits.cpu_seconds = 1;
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Shell(record, "while :; do :; done", Options(confinement)), IsOk());
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.returncode_at_exit, -SIGXCPU);
}

TEST_F(ConfinementTest, BadConfinementsAreRefused) {
  const auto refusal = [&](const std::function<void(Confinement&)>& change) {
    Confinement confinement = Confined(Network::kNone, Level::kBestEffort);
    change(confinement);
    return FailedExec({"true"}, Options(confinement));
  };
  EXPECT_THAT(refusal([](Confinement& c) { c.read_paths = {"usr"}; }), HasReason("CANNOT_CONFINE"));
  EXPECT_THAT(refusal([](Confinement& c) { c.write_paths = {""}; }), HasReason("CANNOT_CONFINE"));
  EXPECT_THAT(refusal([](Confinement& c) { c.limits.cpu_seconds = 0; }), HasReason("CANNOT_CONFINE"));
  SubprocessOptions options = Options(Confined(Network::kNone, Level::kBestEffort));
  options.process_group = ::getpgrp();
  EXPECT_THAT(FailedExec({"true"}, options), HasReason("INVALID_PROCESS_GROUP"));
}

// A program that may write a folder could else make a link in it that allows the next one more.
TEST_F(ConfinementTest, PathsThroughSymbolicLinksAreRefused) {
  if (ProbeConfinement().landlock_abi == 0) GTEST_SKIP() << "this kernel has no Landlock";
  std::filesystem::create_directory_symlink("/", folder_.Path("inside/link"));
  const std::string inside = std::filesystem::canonical(folder_.Path("inside")).string();
  for (const Level level : {Level::kRequired, Level::kBestEffort}) {
    if (level == Level::kRequired && !IsConfinable()) continue;
    Confinement confinement = Confined(Network::kNone, level);
    confinement.read_paths = {"/usr", inside + "/link/etc"};
    absl::Status status = FailedExec({"true"}, Options(confinement));
    EXPECT_THAT(status, HasReason("CANNOT_CONFINE"));
    EXPECT_THAT(std::string(status.message()), HasSubstr(inside + "/link/etc"));
    confinement = Confined(Network::kNone, level);
    confinement.write_paths.push_back(inside + "/link");
    status = FailedExec({"true"}, Options(confinement));
    EXPECT_THAT(std::string(status.message()), HasSubstr(inside + "/link"));
  }
}

// A kernel without Landlock.

TEST_F(ConfinementTest, RequiredConfinementIsRefusedByAKernelThatLacksSomethingOfIt) {
  UseHelper(SPAWN_WITHOUT_LANDLOCK);
  const absl::Status status = FailedExec({"true"}, Options(Confined()));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status, HasReason("CANNOT_CONFINE"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("files (Landlock ABI 3), signals (Landlock ABI 6)"));
  EXPECT_THAT(std::string(status.message()), testing::Not(HasSubstr("seccomp")));
}

TEST_F(ConfinementTest, BestEffortDoesTheRestAndSaysWhatIsLacking) {
  if (!ProbeConfinement().seccomp) GTEST_SKIP() << "this kernel has no seccomp";
  UseHelper(SPAWN_WITHOUT_LANDLOCK);
  const Findings findings = Probe(Options(Confined(Network::kNone, Level::kBestEffort)));
  ExpectAll(findings, kOfNetwork, "EACCES");
  ExpectAll(findings, {"unix_connect", "unix_abstract_connect"}, "EACCES");
  ExpectAll(findings, kOfOtherProcesses, "EPERM");
  ExpectAll(findings, {"read_outside", "write_outside", "parent_signal"}, "OK");
  SubprocessRecord& record = NewSubprocess();
  Outcome<Subprocess> outcome;
  StartExec(outcome, record, {"true"}, Options(Confined(Network::kNone, Level::kBestEffort)));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  ASSERT_THAT(outcome.status(), IsOk());
  EXPECT_THAT(outcome.value().not_confined, ElementsAre(ConfinementStep::kFiles, ConfinementStep::kSignals));
}

TEST_F(ConfinementTest, NothingIsLackingWhereTheKernelHasAll) {
  if (!IsConfinable()) GTEST_SKIP() << "this kernel cannot confine: transportd-spawn --probe";
  SubprocessRecord& record = NewSubprocess();
  Outcome<Subprocess> outcome;
  StartExec(outcome, record, {"true"}, Options(Confined(Network::kNone, Level::kBestEffort)));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  ASSERT_THAT(outcome.status(), IsOk());
  EXPECT_THAT(outcome.value().not_confined, IsEmpty());
}

TEST_F(ConfinementTest, HelperPrintsWhatTheKernelHas) {
  const KernelConfinement kernel = ProbeConfinement();
  const std::string text = OutputOf({TRANSPORTD_SPAWN, "--probe"});
  const std::string abi = kernel.landlock_abi > 0 ? StrCat("yes (ABI ", kernel.landlock_abi, ")") : "no";
  EXPECT_THAT(text, HasSubstr("landlock: " + abi + "\n"));
  EXPECT_THAT(text, HasSubstr(StrCat("seccomp: ", kernel.seccomp ? "yes" : "no", "\n")));
  EXPECT_THAT(text, HasSubstr(StrCat("all that confinement needs: ", IsConfinable() ? "yes" : "no", "\n")));
  EXPECT_THAT(OutputOf({SPAWN_WITHOUT_LANDLOCK, "--probe"}),
              testing::AllOf(HasSubstr("landlock: no\n"), HasSubstr("all that confinement needs: no\n")));
}

// The end.

TEST_F(ConfinementTest, WallTimeEndsItWithAllThatItStarted) {
  Confinement confinement = Confined(Network::kNone, Level::kBestEffort);
  confinement.limits.wall_time = std::chrono::seconds(10);
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Shell(record, "sleep 1000 & echo $!; sleep 1001", Options(confinement)), IsOk());
  ASSERT_TRUE(RunUntil([&] { return !record.out().empty(); }));
  clock_.Advance(std::chrono::milliseconds(9990));
  Turn();
  EXPECT_FALSE(record.exited());
  clock_.Advance(std::chrono::milliseconds(20));
  // The other one held stdout, so this does not end before it does.
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.returncode_at_exit, -SIGKILL);
  EXPECT_EQ(record.end->cause, EndCause::kTimedOut);
  EXPECT_THAT(record.end->status, HasReason("WALL_TIME"));
}

TEST_F(ConfinementTest, WallTimeIsNothingForWhatEndsBefore) {
  Confinement confinement = Confined(Network::kNone, Level::kBestEffort);
  confinement.limits.wall_time = std::chrono::seconds(10);
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Exec(record, {"true"}, Options(confinement)), IsOk());
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.end->cause, EndCause::kEof);
  EXPECT_THAT(record.end->status, IsOk());
  clock_.Advance(std::chrono::seconds(20));
  Turn();
}

TEST_F(ConfinementTest, WhatIsLeftOfItEndsWithIt) {
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Shell(record, "sleep 1000 </dev/null >/dev/null 2>&1 & echo $!; read line",
                    Options(Confined(Network::kNone, Level::kBestEffort))),
              IsOk());
  ASSERT_TRUE(RunUntil([&] { return !record.out().empty(); }));
  const UniqueFd grandchild = OpenPidfd(std::stoi(record.out()));
  record.transport->GetPipeTransport(0)->Close();
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_TRUE(HasExited(grandchild)) << "the grandchild lives";
}

TEST_F(ConfinementTest, WithATerminalJobsOfOtherGroupsEndWithIt) {
  SubprocessRecord& record = NewSubprocess();
  SubprocessOptions options = With(Stdio::kPty, Stdio::kPty, Stdio::kPty);
  options.confinement = Confined(Network::kNone, Level::kBestEffort);
  ASSERT_THAT(
      Shell(record, "set -m; (trap '' HUP TERM; exec sleep 1000) & echo $!; (: </dev/tty) && echo terminal; read line",
            options),
      IsOk());
  ASSERT_TRUE(RunUntil([&] { return record.exited() || record.out().find("terminal") != std::string::npos; }));
  ASSERT_FALSE(record.exited()) << record.out();
  const int job_pid = std::stoi(record.out());
  const UniqueFd job = OpenPidfd(job_pid);
  EXPECT_EQ(::getpgid(job_pid), job_pid) << "it is in the same group, and this tests nothing";
  record.transport->Close();
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_TRUE(HasExited(job)) << "the job lives";
}

TEST_F(ConfinementTest, ItDiesWithTheExecutor) {
  CloseLoop();
  auto executor = std::make_unique<ThreadExecutor>(1, 10);
  loop_ = *EpollEventLoop::Create(
      {.clock = &clock_, .resolver = &resolver_, .executor = executor.get(), .kill_children_with_program = true});
  SubprocessRecord& record = NewSubprocess();
  ASSERT_THAT(Exec(record, {"sleep", "1000"}, Options(Confined(Network::kNone, Level::kBestEffort))), IsOk());
  executor.reset();  // Its thread, too.
  ASSERT_TRUE(RunToEnd(record));
  EXPECT_EQ(record.returncode_at_exit, -SIGKILL);
  record.transport.reset();
  CloseLoop();
}

TEST_F(ConfinementTest, OwnMemoryIsHiddenFromOtherProcessesOfTheUser) {
  ASSERT_EQ(::prctl(PR_GET_DUMPABLE), 1);
  EXPECT_THAT(HideOwnMemory(), IsOk());
  EXPECT_EQ(::prctl(PR_GET_DUMPABLE), 0);
  const std::string environment = StrCat("/proc/", ::getpid(), "/environ");
  // Processes can still be started; root may look all the same.
  if (::geteuid() == 0) {
    EXPECT_EQ(ShellOutputOf("setpriv --reuid 65534 --regid 65534 --clear-groups cat " + environment +
                            " 2>/dev/null || echo no"),
              "no\n");
  } else {
    EXPECT_EQ(ShellOutputOf("cat " + environment + " 2>/dev/null || echo no"), "no\n");
  }
  EXPECT_EQ(OutputOf({"echo", "x"}, Options(Confined(Network::kNone, Level::kBestEffort))), "x\n");
  ASSERT_EQ(::prctl(PR_SET_DUMPABLE, 1), 0);
}

// The gate.

class RecordingGate final : public SubprocessGate {
 public:
  absl::StatusOr<std::optional<Confinement>> MayRun(std::string_view program, std::string_view cwd) override {
    asked.push_back(StrCat(program, " in ", cwd));
    if (on_asked) on_asked();
    return answer;
  }

  std::vector<std::string> asked;
  std::function<void()> on_asked;
  absl::StatusOr<std::optional<Confinement>> answer = std::optional<Confinement>();
};

class SubprocessGateTest : public ConfinementTest {
 protected:
  SubprocessOptions Gated() {
    SubprocessOptions options;
    options.gate = gate_;
    return options;
  }
  std::string Script(const std::string& text) {
    std::string path = folder_.WriteFile("script", text);
    EXPECT_EQ(::chmod(path.c_str(), 0755), 0);
    return path;
  }
  static absl::Status Denied() {
    return MakeError(absl::StatusCode::kPermissionDenied, "POLICY_DENIED", "not this one");
  }

  const std::shared_ptr<RecordingGate> gate_ = std::make_shared<RecordingGate>();
};

TEST_F(SubprocessGateTest, IsAskedAboutWhatTheSearchFindsWithoutSymbolicLinks) {
  std::filesystem::create_symlink("/usr/bin/true", folder_.Path("true"));
  std::filesystem::create_directory_symlink("/usr/lib", folder_.Path("lib"));
  SubprocessOptions options = Gated();
  options.env = {{{"PATH", "/nowhere:" + folder_.path()}}};
  options.cwd = folder_.Path("lib");
  OutputOf({"true"}, options);
  EXPECT_THAT(gate_->asked, ElementsAre("/usr/bin/true in /usr/lib"));
  // Relative to its folder.
  options.cwd = "/usr/lib";
  OutputOf({"../bin/true"}, options);
  EXPECT_EQ(gate_->asked.back(), "/usr/bin/true in /usr/lib");
  options.executable = "/bin/sh";
  OutputOf({"any name", "-c", "exit 0"}, options);
  EXPECT_EQ(gate_->asked.back(), std::filesystem::canonical("/bin/sh").string() + " in /usr/lib");
}

TEST_F(SubprocessGateTest, ItsRefusalIsTheAnswer) {
  gate_->answer = Denied();
  EXPECT_THAT(FailedExec({"/usr/bin/true"}, Gated()), HasReason("POLICY_DENIED"));
}

TEST_F(SubprocessGateTest, NobodyHearsWhetherThereIsWhatHeMayNotRun) {
  gate_->answer = Denied();
  EXPECT_THAT(FailedExec({"/usr/bin/../not-there"}, Gated()), HasReason("POLICY_DENIED"));
  EXPECT_THAT(gate_->asked, ElementsAre("/usr/not-there in /"));
  SubprocessOptions options = Gated();
  options.cwd = "/not-there";
  EXPECT_THAT(FailedExec({"x/y"}, options), HasReason("POLICY_DENIED"));
  EXPECT_EQ(gate_->asked.back(), "/not-there/x/y in /not-there");
  gate_->answer = std::optional<Confinement>();
  EXPECT_EQ(ToTransportError(FailedExec({"/not-there"}, Gated())).operation, "exec");
  EXPECT_EQ(ToTransportError(FailedExec({"true"}, options)).operation, "chdir");
  EXPECT_THAT(FailedExec({"/usr/bin"}, Gated()), HasReason("EACCES"));
  EXPECT_THAT(FailedExec({folder_.Path("inside/file")}, Gated()), HasReason("EACCES"));
}

TEST_F(SubprocessGateTest, ItsConfinementIsTheOne) {
  if (!IsConfinable()) GTEST_SKIP() << "this kernel cannot confine: transportd-spawn --probe";
  gate_->answer = std::optional<Confinement>(Confined());
  SubprocessOptions options = Gated();
  options.process_group = 0;
  options.confinement = Confined(Network::kHost);
  ExpectAll(Probe(options), kOfNetwork, "EACCES");
  // Without one, the options'.
  gate_->answer = std::optional<Confinement>();
  ExpectAll(Probe(options), kOfNetwork, "OK");
  ExpectAll(Probe(options), {"no_new_privileges"}, "1");
}

TEST_F(SubprocessGateTest, WhatWasAllowedIsWhatRuns) {
  std::filesystem::create_symlink("/usr/bin/echo", folder_.Path("link"));
  gate_->on_asked = [this] {
    std::filesystem::remove(folder_.Path("link"));
    std::filesystem::create_symlink("/usr/bin/false", folder_.Path("link"));
  };
  EXPECT_EQ(OutputOf({folder_.Path("link"), "x"}, Gated()), "x\n");
  // Also when its own name was given to another.
  std::filesystem::copy_file("/usr/bin/echo", folder_.Path("program"));
  gate_->on_asked = [this] { std::filesystem::rename(folder_.Path("inside/program"), folder_.Path("program")); };
  EXPECT_EQ(OutputOf({folder_.Path("program"), "y"}, Gated()), "y\n");
}

TEST_F(SubprocessGateTest, ScriptsRunByTheirPath) {
  const std::string script = Script("#!/bin/sh\necho $0 $1; ls /proc/self/fd | wc -l\n");
  EXPECT_EQ(OutputOf({script, "x"}, Gated()), StrCat(std::filesystem::canonical(script).string(), " x\n4\n"));
  if (IsConfinable()) {
    SubprocessOptions options = Gated();
    options.confinement = Confined();
    Script("#!/bin/sh\necho $1\n");
    EXPECT_EQ(OutputOf({script, "x"}, options), "x\n");
  }
  // What another has got the name of is not what was asked about.
  gate_->on_asked = [&] {
    std::filesystem::rename(script, folder_.Path("moved"));
    Script("#!/bin/sh\necho other\n");
  };
  EXPECT_THAT(FailedExec({script}, Gated()), HasReason("ENOENT"));
}

TEST_F(SubprocessGateTest, ReturnsNothingThatIsNotTheChildsOwn) {
  EXPECT_EQ(OutputOf({"ls", "/proc/self/fd"}, Gated()), "0\n1\n2\n3\n");
}

}  // namespace
}  // namespace transportd
