#include "clients/cpp/transportctl/stdio.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

#include "tests/support/loop_fixture.h"
#include "transports/base/unique_fd.h"

namespace transportd::ctl {
namespace {

// Pipes in blocking mode, as a shell makes them.
class StdioTest : public LoopFixture, public StdinReader::Handler, public StdoutWriter::Handler {
 protected:
  void SetUp() override {
    LoopFixture::SetUp();
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    read_end = UniqueFd(ends[0]);
    write_end = UniqueFd(ends[1]);
  }

  void OnInput(std::string_view data) override { input += data; }
  void OnInputEnded(const absl::Status& status) override {
    ++ended_count;
    input_status = status;
  }
  void OnOutputDrained() override { ++drained_count; }
  void OnOutputFailed(const absl::Status& status) override { output_status = status; }

  static UniqueFd TemporaryFile(const std::string& content) {
    char path[] = "/tmp/stdio_test.XXXXXX";
    UniqueFd fd(::mkostemp(path, O_CLOEXEC));
    ::unlink(path);
    EXPECT_EQ(::write(fd.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
    EXPECT_EQ(::lseek(fd.get(), 0, SEEK_SET), 0);
    return fd;
  }

  UniqueFd read_end;
  UniqueFd write_end;
  std::string input;
  int ended_count = 0;
  absl::Status input_status;
  int drained_count = 0;
  absl::Status output_status;
};

TEST_F(StdioTest, PipeIsReadWhileNotPaused) {
  StdinReader reader(reactor(), read_end.get(), *this);
  ASSERT_EQ(::write(write_end.get(), "abc", 3), 3);
  Turn(3);
  EXPECT_EQ(input, "");
  reader.Resume();
  ASSERT_TRUE(RunUntil([&] { return input == "abc"; }));
  reader.Pause();
  ASSERT_EQ(::write(write_end.get(), "def", 3), 3);
  Turn(3);
  EXPECT_EQ(input, "abc");
  reader.Resume();
  write_end.Reset();
  ASSERT_TRUE(RunUntil([&] { return ended_count == 1; }));
  EXPECT_EQ(input, "abcdef");
  EXPECT_TRUE(input_status.ok());
  Turn(3);
  EXPECT_EQ(ended_count, 1);
}

TEST_F(StdioTest, FileIsReadAPieceATurn) {
  const std::string content(200'000, 'x');
  const UniqueFd file = TemporaryFile(content);
  StdinReader reader(reactor(), file.get(), *this);
  reader.Resume();
  Turn();
  EXPECT_GT(input.size(), 0u);
  EXPECT_LT(input.size(), content.size());
  reader.Pause();
  const size_t at_pause = input.size();
  Turn(3);
  EXPECT_EQ(input.size(), at_pause);
  reader.Resume();
  ASSERT_TRUE(RunUntil([&] { return ended_count == 1; }));
  EXPECT_EQ(input, content);
}

TEST_F(StdioTest, ClosedStandardInputIsNotWhatTookItsNumber) {
  EXPECT_EQ(InheritedFd(read_end.get()), -1) << "close-on-exec: made by this program";
  const UniqueFd inherited(fcntl(read_end.get(), F_DUPFD, 0));
  EXPECT_EQ(InheritedFd(inherited.get()), inherited.get());
  StdinReader reader(reactor(), -1, *this);
  reader.Resume();
  ASSERT_TRUE(RunUntil([&] { return ended_count == 1; }));
  EXPECT_FALSE(input_status.ok());
}

TEST_F(StdioTest, WhatCannotBeReadIsAnError) {
  StdinReader reader(reactor(), write_end.get(), *this);
  reader.Resume();
  read_end.Reset();
  ASSERT_TRUE(RunUntil([&] { return ended_count == 1; }));
  EXPECT_FALSE(input_status.ok());
}

TEST_F(StdioTest, SlowReaderMakesTheWriterKeepTheRest) {
  StdoutWriter writer(reactor(), write_end.get(), *this);
  const std::string data(1'000'000, 'y');
  writer.Write(data);
  EXPECT_FALSE(writer.empty());
  Turn(3);
  EXPECT_EQ(drained_count, 0);
  std::string got;
  char buffer[65536];
  ASSERT_TRUE(RunUntil([&] {
    const ssize_t count = got.size() < data.size() ? ::read(read_end.get(), buffer, sizeof(buffer)) : 0;
    if (count > 0) got.append(buffer, static_cast<size_t>(count));
    return got.size() == data.size() && writer.empty();
  }));
  EXPECT_EQ(got, data);
  EXPECT_EQ(drained_count, 1);
}

TEST_F(StdioTest, ReaderThatWentAwayIsTold) {
  ASSERT_NE(::signal(SIGPIPE, SIG_IGN), SIG_ERR);
  StdoutWriter writer(reactor(), write_end.get(), *this);
  read_end.Reset();
  writer.Write("x");
  EXPECT_TRUE(output_status.ok()) << "not from inside Write";
  ASSERT_TRUE(RunUntil([&] { return !output_status.ok(); }));
  writer.Write("dropped");
  EXPECT_TRUE(writer.empty());
}

}  // namespace
}  // namespace transportd::ctl
