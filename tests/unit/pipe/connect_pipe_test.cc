#include "transports/pipe/connect_pipe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_gate.h"
#include "tests/support/raw_peer.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/loop/event_loop_fixture.h"
#include "transports/api/error.h"
#include "transports/pipe/inherited_pipes.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr PipeDirection kRead = PipeDirection::kRead;
constexpr PipeDirection kWrite = PipeDirection::kWrite;

// The end of a pipe that the other program has: non-blocking, so that a mistake fails and does not hang.
class RawPipeEnd {
 public:
  explicit RawPipeEnd(UniqueFd fd) : fd_(std::move(fd)) {}
  RawPipeEnd(const std::string& path, int mode) : fd_(::open(path.c_str(), mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)) {}

  void Close() { fd_.Reset(); }
  bool Write(std::string_view data) {
    return ::write(fd_.get(), data.data(), data.size()) == static_cast<ssize_t>(data.size());
  }
  // What is there now; eof() is true when no writer is left.
  std::string Read() {
    std::string all;
    char buffer[65536];
    ssize_t size = 0;
    while ((size = ::read(fd_.get(), buffer, sizeof(buffer))) > 0) all.append(buffer, static_cast<size_t>(size));
    eof_ = size == 0;
    return all;
  }
  bool eof() const { return eof_; }

 private:
  UniqueFd fd_;
  bool eof_ = false;
};

struct RawPipe {
  RawPipe() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    read_end = UniqueFd(fds[0]);
    write_end = UniqueFd(fds[1]);
  }
  UniqueFd read_end;
  UniqueFd write_end;
};

struct RawPty {
  RawPty() : emulator(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)) {
    char name[64] = {};
    EXPECT_EQ(::unlockpt(emulator.get()), 0);
    EXPECT_EQ(::ptsname_r(emulator.get(), name, sizeof(name)), 0);
    path = name;
  }
  UniqueFd emulator;
  std::string path;
};

class ConnectPipeTest : public EventLoopFixture {
 protected:
  void SetUp() override {
    loop_ = *EpollEventLoop::Create({.clock = &clock_, .resolver = &resolver_, .inherited_pipes = &inherited_});
    loop_->SetExceptionHandler([this](const ExceptionContext& context) { exceptions_.push_back(context); });
    std::string pattern = testing::TempDir() + "transportd-pipe-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override {
    EventLoopFixture::TearDown();
    for (const char* name : {"/fifo", "/file"}) ::unlink((folder_ + name).c_str());
    EXPECT_EQ(::rmdir(folder_.c_str()), 0);
  }

  std::string MakeFifo() {
    const std::string path = folder_ + "/fifo";
    EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
    return path;
  }

  void Start(PipeDirection direction, Outcome<Connection>& outcome, Record& record, ConnectPipeOptions options) {
    auto factory = [&record] { return std::make_shared<RecordingProtocol>(record); };
    auto done = [&outcome, &record](absl::StatusOr<Connection> result) {
      ++outcome.done_count;
      outcome.result = std::move(result);
      record.events.push_back("done");
    };
    outcome.id = direction == kRead ? loop_->ConnectReadPipe(factory, std::move(options), done)
                                    : loop_->ConnectWritePipe(factory, std::move(options), done);
  }
  absl::Status Connect(PipeDirection direction, Record& record, ConnectPipeOptions options) {
    Outcome<Connection> outcome;
    Start(direction, outcome, record, std::move(options));
    EXPECT_EQ(outcome.done_count, 0) << "done inside the call";
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    return outcome.status();
  }
  absl::Status ConnectPath(PipeDirection direction, Record& record, std::string path) {
    ConnectPipeOptions options;
    options.path = std::move(path);
    return Connect(direction, record, std::move(options));
  }
  absl::Status ConnectFd(PipeDirection direction, Record& record, int fd) {
    ConnectPipeOptions options;
    options.fd = fd;
    return Connect(direction, record, std::move(options));
  }
  // As the service does with a descriptor that it was started with.
  absl::Status ConnectInherited(PipeDirection direction, Record& record, UniqueFd fd) {
    const int number = fd.get();
    if (absl::Status status = inherited_.Add(number); !status.ok()) return status;
    static_cast<void>(fd.Release());  // The list has it now.
    return ConnectFd(direction, record, number);
  }

  std::string folder_;
  InheritedPipes inherited_;
};

// Reading.

TEST_F(ConnectPipeTest, FifoIsReadToItsLastWritersEnd) {
  const std::string path = MakeFifo();
  Record& record = NewRecord();
  ASSERT_THAT(ConnectPath(kRead, record, path), IsOk());
  Turn();
  EXPECT_THAT(record.events, ElementsAre("made", "done"));  // Without a writer there is no end yet.

  RawPipeEnd writer(path, O_WRONLY);
  RawPipeEnd other(path, O_WRONLY);
  ASSERT_TRUE(writer.Write("abc"));
  ASSERT_TRUE(RunUntil([&] { return record.received == "abc"; }));
  writer.Close();
  ASSERT_TRUE(other.Write("def"));
  other.Close();
  ASSERT_TRUE(RunUntil([&] { return record.lost(); }));
  EXPECT_EQ(record.received, "abcdef");
  EXPECT_THAT(record.events, ElementsAre("made", "done", "data", "eof", "lost"));
  EXPECT_EQ(record.end->cause, EndCause::kEof);
  EXPECT_THAT(record.end->status, IsOk());
  EXPECT_EQ(record.end->received_bytes, 6u);
}

TEST_F(ConnectPipeTest, WhatEofReceivedAnswersIsIgnored) {
  RawPipe pipe;
  Record& record = NewRecord();
  record.keep_open = true;
  ASSERT_THAT(ConnectInherited(kRead, record, std::move(pipe.read_end)), IsOk());
  pipe.write_end.Reset();
  ASSERT_TRUE(RunUntil([&] { return record.lost(); }));
  EXPECT_THAT(record.events, ElementsAre("made", "done", "eof", "lost"));
}

TEST_F(ConnectPipeTest, PausedReadingHoldsDataAndEndBack) {
  RawPipe pipe;
  Record& record = NewRecord();
  record.on_made = [&] { record.transport->PauseReading(); };
  RawPipeEnd writer(std::move(pipe.write_end));
  ASSERT_TRUE(writer.Write("x"));
  ASSERT_THAT(ConnectInherited(kRead, record, std::move(pipe.read_end)), IsOk());
  writer.Close();
  Turn();
  EXPECT_THAT(record.events, ElementsAre("made", "done"));
  EXPECT_FALSE(record.transport->IsReading());
  record.transport->ResumeReading();
  ASSERT_TRUE(RunUntil([&] { return record.lost(); }));
  EXPECT_THAT(record.events, ElementsAre("made", "done", "data", "eof", "lost"));
}

TEST_F(ConnectPipeTest, ReadPipeHasNoWritingMethods) {
  RawPipe pipe;
  Record& record = NewRecord();
  ASSERT_THAT(ConnectInherited(kRead, record, std::move(pipe.read_end)), IsOk());
  EXPECT_THAT(record.transport->Write("x"), HasReason("WRONG_KIND"));
  EXPECT_THAT(record.transport->Write(""), HasReason("WRONG_KIND"));
  EXPECT_FALSE(record.transport->CanWriteEof());
  record.transport->WriteEof();
  EXPECT_FALSE(record.transport->IsClosing());
  EXPECT_TRUE(record.transport->IsReading());
  const PipeInfo info = record.transport->GetExtraInfo().pipe.value();
  EXPECT_EQ(info.kind, PipeInfo::Kind::kFifo);
  EXPECT_TRUE(info.can_read);
  EXPECT_FALSE(info.can_write);
}

TEST_F(ConnectPipeTest, HangUpOfATerminalIsAnErrorOfItsReader) {
  RawPty pty;
  RawPipeEnd terminal(pty.path, O_RDWR);
  Record& record = NewRecord();
  ASSERT_THAT(ConnectInherited(kRead, record, std::move(pty.emulator)), IsOk());
  ASSERT_TRUE(terminal.Write("hi"));
  ASSERT_TRUE(RunUntil([&] { return record.received == "hi"; }));
  terminal.Close();
  ASSERT_TRUE(RunUntil([&] { return record.lost(); }));
  EXPECT_THAT(record.events, ElementsAre("made", "done", "data", "lost"));
  EXPECT_EQ(ToTransportError(record.end->status).errno_number, EIO);
  EXPECT_THAT(exceptions_, IsEmpty());
}

TEST_F(ConnectPipeTest, TerminalIsReadAndWrittenByItsPath) {
  RawPty pty;
  Record& reader = NewRecord();
  Record& writer = NewRecord();
  ASSERT_THAT(ConnectPath(kRead, reader, pty.path), IsOk());
  ASSERT_THAT(ConnectPath(kWrite, writer, pty.path), IsOk());
  EXPECT_EQ(::tcgetsid(pty.emulator.get()), -1) << "the terminal became the program's own";
  EXPECT_EQ(writer.transport->GetExtraInfo().pipe->kind, PipeInfo::Kind::kTerminal);
  EXPECT_EQ(writer.transport->GetExtraInfo().pipe->path, pty.path);
  RawPipeEnd emulator(std::move(pty.emulator));
  ASSERT_TRUE(emulator.Write("line\n"));
  ASSERT_TRUE(RunUntil([&] { return reader.received == "line\n"; }));
  ASSERT_THAT(writer.transport->Write("out"), IsOk());
  std::string seen;
  ASSERT_TRUE(RunUntil([&] { return (seen += emulator.Read()).find("out") != std::string::npos; }));
}

TEST_F(ConnectPipeTest, SocketIsReadAsAPipe) {
  TcpPair pair = MakeTcpPair();
  Record& record = NewRecord();
  ASSERT_THAT(ConnectInherited(kRead, record, std::move(pair.first)), IsOk());
  RawPeer peer(std::move(pair.second));
  ASSERT_TRUE(peer.Send("bytes"));
  ASSERT_TRUE(RunUntil([&] { return record.received == "bytes"; }));
  EXPECT_EQ(record.transport->GetExtraInfo().pipe->kind, PipeInfo::Kind::kSocket);
  peer.ShutdownWrite();
  ASSERT_TRUE(RunUntil([&] { return record.lost(); }));
  EXPECT_EQ(record.end->cause, EndCause::kEof);
}

// Writing.

TEST_F(ConnectPipeTest, WriteReachesTheReaderBeforeItReturns) {
  RawPipe pipe;
  RawPipeEnd reader(std::move(pipe.read_end));
  Record& record = NewRecord();
  ASSERT_THAT(ConnectInherited(kWrite, record, std::move(pipe.write_end)), IsOk());
  ASSERT_THAT(record.transport->Write("now"), IsOk());
  EXPECT_EQ(reader.Read(), "now");
  EXPECT_FALSE(record.transport->IsReading());
  record.transport->PauseReading();
  record.transport->ResumeReading();
  EXPECT_FALSE(record.transport->GetExtraInfo().pipe->can_read);
}

TEST_F(ConnectPipeTest, WriteEofIsClose) {
  RawPipe pipe;
  RawPipeEnd reader(std::move(pipe.read_end));
  Record& record = NewRecord();
  ASSERT_THAT(ConnectInherited(kWrite, record, std::move(pipe.write_end)), IsOk());
  EXPECT_TRUE(record.transport->CanWriteEof());
  const std::string big(300000, 'x');
  ASSERT_THAT(record.transport->Write(big), IsOk());
  record.transport->WriteEof();
  EXPECT_TRUE(record.transport->IsClosing());
  EXPECT_THAT(record.transport->Write("dropped"), IsOk());
  std::string seen;
  ASSERT_TRUE(RunUntil([&] {
    seen += reader.Read();
    return record.lost();
  }));
  seen += reader.Read();
  EXPECT_TRUE(reader.eof());
  EXPECT_EQ(seen, big);
  EXPECT_EQ(record.end->cause, EndCause::kLocalClose);
  EXPECT_THAT(record.end->status, IsOk());
  EXPECT_EQ(record.end->sent_bytes, big.size());
  EXPECT_EQ(record.end->dropped_bytes, 7u);
}

TEST_F(ConnectPipeTest, EndOfTheReaderIsNoticedWithoutWriting) {
  RawPipe pipe;
  Record& record = NewRecord();
  ASSERT_THAT(ConnectInherited(kWrite, record, std::move(pipe.write_end)), IsOk());
  Turn();
  EXPECT_FALSE(record.lost());
  pipe.read_end.Reset();
  ASSERT_TRUE(RunUntil([&] { return record.lost(); }));
  EXPECT_THAT(record.events, ElementsAre("made", "done", "lost"));
  EXPECT_THAT(record.end->status, IsOk());
  EXPECT_EQ(record.end->cause, EndCause::kEof);
}

TEST_F(ConnectPipeTest, EndOfTheReaderWithBytesBufferedIsABrokenPipe) {
  RawPipe pipe;
  Record& record = NewRecord();
  ASSERT_THAT(ConnectInherited(kWrite, record, std::move(pipe.write_end)), IsOk());
  ASSERT_THAT(record.transport->Write(std::string(1000000, 'x')), IsOk());
  ASSERT_GT(record.transport->GetWriteBufferSize(), 0u);
  record.transport->Close();  // While it flushes, too.
  pipe.read_end.Reset();
  ASSERT_TRUE(RunUntil([&] { return record.lost(); }));
  EXPECT_EQ(record.end->cause, EndCause::kBrokenPipe);
  EXPECT_EQ(ToTransportError(record.end->status).errno_number, EPIPE);
  EXPECT_EQ(record.end->sent_bytes + record.end->dropped_bytes, 1000000u);
}

TEST_F(ConnectPipeTest, WriteWithoutAReaderIsABrokenPipeAndNoSignal) {
  RawPipe pipe;
  Record& record = NewRecord();
  record.on_made = [&] {
    pipe.read_end.Reset();
    EXPECT_THAT(record.transport->Write("x"), IsOk());
  };
  ASSERT_THAT(ConnectInherited(kWrite, record, std::move(pipe.write_end)), IsOk());
  ASSERT_TRUE(RunUntil([&] { return record.lost(); }));
  EXPECT_EQ(record.end->cause, EndCause::kBrokenPipe);
}

TEST_F(ConnectPipeTest, FullPipePausesWritingAndGoesOn) {
  RawPipe pipe;
  RawPipeEnd reader(std::move(pipe.read_end));
  Record& record = NewRecord();
  ASSERT_THAT(ConnectInherited(kWrite, record, std::move(pipe.write_end)), IsOk());
  ASSERT_THAT(record.transport->Write(std::string(200000, 'y')), IsOk());
  EXPECT_THAT(record.events, ElementsAre("made", "done", "pause"));
  size_t seen = 0;
  ASSERT_TRUE(RunUntil([&] {
    seen += reader.Read().size();
    return seen == 200000;
  }));
  EXPECT_THAT(record.events, ElementsAre("made", "done", "pause", "resume"));
}

TEST_F(ConnectPipeTest, WhatASocketsPeerSendsIsThrownAwayAndItsEndNoticed) {
  TcpPair pair = MakeTcpPair();
  Record& record = NewRecord();
  ASSERT_THAT(ConnectInherited(kWrite, record, std::move(pair.first)), IsOk());
  RawPeer peer(std::move(pair.second));
  ASSERT_TRUE(peer.Send("nobody reads this"));
  Turn();
  EXPECT_FALSE(record.lost());
  ASSERT_THAT(record.transport->Write("hello"), IsOk());
  ASSERT_TRUE(peer.RecvAtLeast(5));
  peer.Close();
  ASSERT_TRUE(RunUntil([&] { return record.lost(); }));
  EXPECT_THAT(record.events, ElementsAre("made", "done", "lost"));
}

TEST_F(ConnectPipeTest, FifoThatIsOpenForBothIsItsOwnReader) {
  const std::string path = MakeFifo();
  RawPipeEnd both(path, O_RDWR);
  Record& record = NewRecord();
  ASSERT_THAT(ConnectInherited(kWrite, record, UniqueFd(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC))),
              IsOk());
  ASSERT_THAT(record.transport->Write("kept"), IsOk());
  Turn();
  EXPECT_FALSE(record.lost());
  EXPECT_EQ(both.Read(), "kept");
}

TEST_F(ConnectPipeTest, DeviceThatNeverBlocksIsWritten) {
  Record& record = NewRecord();
  ASSERT_THAT(ConnectPath(kWrite, record, "/dev/null"), IsOk());
  ASSERT_THAT(record.transport->Write(std::string(10000000, 'z')), IsOk());
  EXPECT_EQ(record.transport->GetWriteBufferSize(), 0u);
  EXPECT_EQ(record.transport->GetExtraInfo().pipe->kind, PipeInfo::Kind::kCharacterDevice);
  record.transport->Close();
  ASSERT_TRUE(RunUntil([&] { return record.lost(); }));
  EXPECT_EQ(record.end->sent_bytes, 10000000u);

  Record& full = NewRecord();
  ASSERT_THAT(ConnectPath(kWrite, full, "/dev/full"), IsOk());
  ASSERT_THAT(full.transport->Write("x"), IsOk());
  ASSERT_TRUE(RunUntil([&] { return full.lost(); }));
  EXPECT_EQ(ToTransportError(full.end->status).errno_number, ENOSPC);
}

// What is refused.

TEST_F(ConnectPipeTest, FifoWithoutAReaderIsEnxio) {
  const std::string path = MakeFifo();
  Record& record = NewRecord();
  const absl::Status status = ConnectPath(kWrite, record, path);
  EXPECT_THAT(status, HasReason("ENXIO"));
  EXPECT_EQ(ToTransportError(status).address, path);
  EXPECT_THAT(record.events, ElementsAre("done"));
}

TEST_F(ConnectPipeTest, WrongFilesAreRefused) {
  const std::string file = folder_ + "/file";
  const UniqueFd created(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  for (const std::string& path : {file, folder_}) {
    for (const PipeDirection direction : {kRead, kWrite}) {
      Record& record = NewRecord();
      const absl::Status status = ConnectPath(direction, record, path);
      EXPECT_THAT(status, HasReason("NOT_A_PIPE")) << path;
      EXPECT_THAT(status, HasField("path"));
      EXPECT_THAT(record.events, ElementsAre("done"));
    }
  }
  EXPECT_THAT(ConnectPath(kRead, NewRecord(), "/dev/zero"), HasReason("NOT_A_PIPE"));
  EXPECT_THAT(ConnectPath(kRead, NewRecord(), folder_ + "/none"), HasReason("ENOENT"));
}

TEST_F(ConnectPipeTest, BadArgumentsAreRefused) {
  EXPECT_THAT(ConnectPath(kRead, NewRecord(), std::string("a\0b", 3)), HasReason("INVALID_PATH"));
  EXPECT_THAT(ConnectPath(kRead, NewRecord(), ""), HasReason("INVALID_PATH"));
  ConnectPipeOptions options;
  EXPECT_THAT(Connect(kRead, NewRecord(), options), HasReason("INVALID_PIPE"));
  options.path = "/dev/null";
  options.fd = 0;
  EXPECT_THAT(Connect(kWrite, NewRecord(), options), HasReason("INVALID_PIPE"));
  options.fd.reset();
  options.write_buffer_limits = {.high_bytes = 1, .low_bytes = 2};
  EXPECT_THAT(Connect(kWrite, NewRecord(), options), HasReason("INVALID_LIMITS"));
}

TEST_F(ConnectPipeTest, DescriptorsMustBeInheritedOnes) {
  RawPipe pipe;
  EXPECT_THAT(ConnectFd(kRead, NewRecord(), pipe.read_end.get()), HasReason("UNKNOWN_FD"));
  EXPECT_THAT(ConnectFd(kRead, NewRecord(), 99999), HasReason("UNKNOWN_FD"));
  EXPECT_THAT(ConnectFd(kRead, NewRecord(), -1), HasReason("UNKNOWN_FD"));

  const int number = pipe.read_end.get();
  Record& record = NewRecord();
  ASSERT_THAT(ConnectInherited(kRead, record, std::move(pipe.read_end)), IsOk());
  EXPECT_EQ(record.transport->GetExtraInfo().pipe->fd, number);
  EXPECT_NE(::fcntl(number, F_GETFD) & FD_CLOEXEC, 0);
  // Each is given out once.
  EXPECT_THAT(ConnectFd(kRead, NewRecord(), number), HasReason("UNKNOWN_FD"));
}

TEST_F(ConnectPipeTest, InheritedDescriptorOfTheOtherDirectionStaysOnTheList) {
  RawPipe pipe;
  const int number = pipe.read_end.get();
  EXPECT_THAT(ConnectInherited(kWrite, NewRecord(), std::move(pipe.read_end)), HasReason("NOT_A_PIPE"));
  EXPECT_THAT(ConnectFd(kRead, NewRecord(), number), IsOk());
}

TEST_F(ConnectPipeTest, OnlyPipesCanBeInherited) {
  const std::string file = folder_ + "/file";
  const UniqueFd created(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_THAT(inherited_.Add(created.get()), HasReason("NOT_A_PIPE"));
  EXPECT_THAT(inherited_.Add(99999), HasReason("EBADF"));
}

// Cancelling.

TEST_F(ConnectPipeTest, CancelLeavesNothing) {
  Record& record = NewRecord();
  Outcome<Connection> outcome;
  ConnectPipeOptions options;
  options.path = MakeFifo();
  Start(kRead, outcome, record, options);
  loop_->CancelOperation(outcome.id);
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("CANCELLED"));
  EXPECT_THAT(record.events, ElementsAre("done"));
}

TEST_F(ConnectPipeTest, DescriptorOfACancelledCallStaysOnTheList) {
  RawPipe pipe;
  const int number = pipe.read_end.Release();
  ASSERT_THAT(inherited_.Add(number), IsOk());
  Outcome<Connection> outcome;
  ConnectPipeOptions options;
  options.fd = number;
  Start(kRead, outcome, NewRecord(), options);
  loop_->CancelOperation(outcome.id);
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("CANCELLED"));
  EXPECT_THAT(ConnectFd(kRead, NewRecord(), number), IsOk());
}

TEST_F(ConnectPipeTest, LoopMayGoWhileAFileIsBeingOpened) {
  Outcome<Connection> outcome;
  ConnectPipeOptions options;
  options.path = MakeFifo();
  Start(kRead, outcome, NewRecord(), options);
  CloseLoop();
  EXPECT_EQ(outcome.done_count, 0);
}

// With a gate.

class GatedConnectPipeTest : public ConnectPipeTest {
 protected:
  absl::Status ConnectGated(PipeDirection direction, std::string path) {
    return Connect(direction, NewRecord(), {.path = std::move(path), .gate = gate_});
  }

  const std::shared_ptr<FakeGate> gate_ = std::make_shared<FakeGate>();
};

TEST_F(GatedConnectPipeTest, PathIsAskedAboutForItsDirection) {
  const std::string path = MakeFifo();
  ASSERT_THAT(ConnectGated(kRead, path), IsOk());
  ASSERT_THAT(ConnectGated(kWrite, path), IsOk());
  EXPECT_THAT(gate_->asked(), ElementsAre("read " + path, "write " + path));
}

TEST_F(GatedConnectPipeTest, RefusedPathIsNotLookedAt) {
  gate_->Refuse("");
  EXPECT_THAT(ConnectGated(kRead, "/none"),
              testing::AllOf(StatusIs(absl::StatusCode::kPermissionDenied), HasReason("POLICY_DENIED")));
}

TEST_F(GatedConnectPipeTest, InheritedDescriptorIsAskedAboutAndStaysWhenRefused) {
  RawPipe pipe;
  const int number = pipe.read_end.get();
  ASSERT_THAT(inherited_.Add(number), IsOk());
  static_cast<void>(pipe.read_end.Release());
  gate_->Refuse("read");
  EXPECT_THAT(Connect(kRead, NewRecord(), {.fd = number, .gate = gate_}), HasReason("POLICY_DENIED"));
  EXPECT_THAT(Connect(kRead, NewRecord(), {.fd = 12345, .gate = gate_}), HasReason("POLICY_DENIED"));
  gate_->refuses = nullptr;
  EXPECT_THAT(Connect(kRead, NewRecord(), {.fd = number, .gate = gate_}), IsOk());
  const std::string question = "read fd:" + std::to_string(number);
  EXPECT_THAT(gate_->asked(), ElementsAre(question, "read fd:12345", question));
}

TEST_F(GatedConnectPipeTest, WithoutSymbolicLinksFifosAndTerminalsAreOpened) {
  gate_->forbids_symlinks = true;
  const std::string path = MakeFifo();
  Record& record = NewRecord();
  ASSERT_THAT(Connect(kRead, record, {.path = path, .gate = gate_}), IsOk());
  EXPECT_EQ(record.transport->GetExtraInfo().pipe->path, path);
  RawPipeEnd writer(path, O_WRONLY);
  ASSERT_TRUE(writer.Write("abc"));
  EXPECT_TRUE(RunUntil([&] { return record.received == "abc"; }));
  const RawPty pty;
  EXPECT_THAT(ConnectGated(kWrite, pty.path), IsOk());
  EXPECT_THAT(ConnectGated(kWrite, folder_), HasReason("NOT_A_PIPE"));
}

TEST_F(GatedConnectPipeTest, LinkToAPipeOrItsFolderIsRefused) {
  gate_->forbids_symlinks = true;
  MakeFifo();
  ASSERT_EQ(::symlink("fifo", (folder_ + "/file").c_str()), 0);
  EXPECT_THAT(ConnectGated(kRead, folder_ + "/file"), HasReason("ELOOP"));
  ASSERT_EQ(::unlink((folder_ + "/file").c_str()), 0);
  ASSERT_EQ(::symlink(".", (folder_ + "/file").c_str()), 0);
  EXPECT_THAT(ConnectGated(kRead, folder_ + "/file/fifo"), HasReason("ELOOP"));
  EXPECT_THAT(ConnectGated(kRead, "/proc/self/fd/0"), HasReason("ELOOP"));
}

}  // namespace
}  // namespace transportd
