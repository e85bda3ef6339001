#include "server/policy/audit_log.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/json.h"
#include "tests/support/patience.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "transports/base/mutex.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

constexpr std::chrono::milliseconds kSoon(1);

// Waits for what the log says of itself.
class Health final {
 public:
  std::function<void(const absl::Status&)> Hook() {
    return [this](const absl::Status& status) {
      MutexLock lock(mutex_);
      told_.push_back(status);
      changed_.SignalAll();
    };
  }
  // The status that was told as number `index`, from 0.
  absl::Status WaitFor(size_t index) {
    MutexLock lock(mutex_);
    while (told_.size() <= index) changed_.Wait(mutex_);
    return told_[index];
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<absl::Status> told_ ABSL_GUARDED_BY(mutex_);
};

struct Pipe {
  UniqueFd reader;
  UniqueFd writer;

  AuditTarget Target() const { return {.kind = AuditTarget::Kind::kFd, .fd = writer.get()}; }
};

// Of one page.
Pipe SmallPipe() {
  std::array<int, 2> fds = {-1, -1};
  EXPECT_EQ(pipe2(fds.data(), O_CLOEXEC), 0);
  Pipe made = {.reader = UniqueFd(fds[0]), .writer = UniqueFd(fds[1])};
  EXPECT_GE(fcntl(fds[0], F_SETPIPE_SZ, 4096), 4096);
  return made;
}

constexpr size_t kFillBytes = 4096;

// So that the next write finds no room; the reader gets these bytes first.
void Fill(const Pipe& pipe) {
  const std::string bytes(kFillBytes, ' ');
  ASSERT_EQ(fcntl(pipe.reader.get(), F_GETPIPE_SZ), static_cast<int>(kFillBytes));
  ASSERT_EQ(write(pipe.writer.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(kFillBytes));
}

std::string ReadSome(int fd) {
  pollfd watched = {.fd = fd, .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&watched, 1, kPatienceMilliseconds), 1);
  std::string buffer(65536, '\0');
  const ssize_t size = read(fd, buffer.data(), buffer.size());
  EXPECT_GE(size, 0);
  buffer.resize(size < 0 ? 0 : static_cast<size_t>(size));
  return buffer;
}

std::string ReadToEnd(int fd) {
  std::string all;
  while (true) {
    const std::string some = ReadSome(fd);
    if (some.empty()) return all;
    all += some;
  }
}

// Until it ends with a line.
std::string ReadLines(int fd, size_t count) {
  std::string all;
  while (static_cast<size_t>(std::count(all.begin(), all.end(), '\n')) < count) {
    const std::string some = ReadSome(fd);
    if (some.empty()) break;
    all += some;
  }
  return all;
}

std::string ContentOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<Json> ParseLines(const std::string& text) {
  std::vector<Json> lines;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = text.find('\n', begin);
    EXPECT_NE(end, text.npos) << "the last line has no end: " << text.substr(begin);
    if (end == text.npos) break;
    const std::optional<Json> line = ReadJson(std::string_view(text).substr(begin, end - begin));
    EXPECT_TRUE(line.has_value()) << text.substr(begin, end - begin);
    lines.push_back(line.value_or(Json()));
    begin = end + 1;
  }
  return lines;
}

std::vector<std::string> Texts(const std::vector<Json>& lines, const std::string& key) {
  std::vector<std::string> texts;
  for (const Json& line : lines) texts.push_back(line[key].text);
  return texts;
}

std::unique_ptr<AuditLog> MakeLog(AuditLogOptions options) {
  auto log = AuditLog::Create(std::move(options));
  EXPECT_THAT(log, IsOk());
  return log.ok() ? *std::move(log) : nullptr;
}

AuditTarget File(const std::string& path) { return {.kind = AuditTarget::Kind::kFile, .fd = -1, .path = path}; }

const AuditRecord kAllowed = {.event = AuditEvent::kConnect, .decision = AuditDecision::kAllow};
const AuditRecord kClosed = {.event = AuditEvent::kTransportClose};

// The largest file that this process may write, for a scope. A write beyond it is cut short, and then fails.
class FileSizeLimit final {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &before_), 0);
    const rlimit lowered = {.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &lowered), 0);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() { Lift(); }
  void Lift() const { EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &before_), 0); }

 private:
  rlimit before_{};
};

TEST(AuditTarget, IsAWordADescriptorOrAPath) {
  EXPECT_EQ(ParseAuditTarget("off")->kind, AuditTarget::Kind::kOff);
  EXPECT_EQ(ParseAuditTarget("stdout")->fd, 1);
  EXPECT_EQ(ParseAuditTarget("stderr")->fd, 2);
  EXPECT_EQ(ParseAuditTarget("fd:7")->fd, 7);
  EXPECT_EQ(ParseAuditTarget("/var/log/audit.jsonl")->path, "/var/log/audit.jsonl");
  EXPECT_EQ(ParseAuditTarget("./off")->path, "./off");
  for (const std::string_view bad : {"", "sdtout", "fd:", "fd:-1", "fd:1x", "fd:99999999999"}) {
    EXPECT_THAT(ParseAuditTarget(bad), HasReason("INVALID_AUDIT_LOG")) << bad;
  }
  EXPECT_THAT(ParseAuditTarget(std::string_view("/a\0b", 4)), HasReason("INVALID_AUDIT_LOG"));
}

TEST(AuditLog, SaysAtOnceWhatCannotBeOpened) {
  const TempDir folder;
  EXPECT_THAT(AuditLog::Create({.target = File(folder.path())}), HasReason("EISDIR"));
  EXPECT_THAT(AuditLog::Create({.target = File(folder.Path("no/such"))}), HasReason("ENOENT"));
  ASSERT_EQ(mkfifo(folder.Path("fifo").c_str(), 0600), 0);
  EXPECT_THAT(AuditLog::Create({.target = File(folder.Path("fifo"))}), HasReason("ENXIO"));
  const Pipe pipe = SmallPipe();
  const AuditTarget read_only = {.kind = AuditTarget::Kind::kFd, .fd = pipe.reader.get()};
  EXPECT_THAT(AuditLog::Create({.target = read_only}), HasReason("INVALID_AUDIT_LOG"));
  const AuditTarget closed = {.kind = AuditTarget::Kind::kFd, .fd = 1000000};
  EXPECT_THAT(AuditLog::Create({.target = closed}), HasReason("INVALID_AUDIT_LOG"));
}

TEST(AuditLog, WritesEachRecordAsALineOfAFileOfItsOwn) {
  const TempDir folder;
  const std::string path = folder.Path("audit.jsonl");
  AuditSession session("0123456789");
  {
    auto log = MakeLog({.target = File(path), .now = [] { return std::chrono::system_clock::time_point(); }});
    EXPECT_THAT(log->Write({.event = AuditEvent::kSessionOpen, .session = &session}), IsOk());
    EXPECT_THAT(log->Write({.event = AuditEvent::kServiceStop, .uid = "given"}), IsOk());
    EXPECT_THAT(log->Write({.event = AuditEvent::kSessionClose, .session = &session}), IsOk());
    EXPECT_THAT(log->Ready(), IsOk());
  }
  const std::vector<Json> lines = ParseLines(ContentOf(path));
  EXPECT_THAT(Texts(lines, "event"), ElementsAre("session.open", "service.stop", "session.close"));
  EXPECT_THAT(Texts(lines, "ei"), ElementsAre("0", "", "1"));
  EXPECT_THAT(Texts(lines, "time"), testing::Each("1970-01-01T00:00:00.000000Z"));
  EXPECT_EQ(lines[1]["uid"].text, "given");
  EXPECT_NE(lines[0]["uid"].text, lines[2]["uid"].text);
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0600U);
}

TEST(AuditLog, AppendsToWhatIsThereAndEndsACutLine) {
  const TempDir folder;
  const std::string path = folder.WriteFile("audit.jsonl", "{\"v\":1}\n{\"cut");
  MakeLog({.target = File(path)})->Write(kClosed).IgnoreError();
  const std::string content = ContentOf(path);
  ASSERT_TRUE(content.starts_with("{\"v\":1}\n{\"cut\n{")) << content;
  EXPECT_THAT(ParseLines(content.substr(content.find("cut\n") + 4)), SizeIs(1));
  // A whole one needs no end.
  MakeLog({.target = File(path)})->Write(kClosed).IgnoreError();
  EXPECT_EQ(ContentOf(path).find("\n\n"), std::string::npos);
}

TEST(AuditLog, OffTakesEverythingAndWritesNothing) {
  auto log = MakeLog({});
  EXPECT_THAT(log->Write(kAllowed), IsOk());
  EXPECT_THAT(log->Ready(), IsOk());
  EXPECT_THAT(log->Reopen(), IsOk());
  EXPECT_EQ(log->Counts().written_count, 0U);
}

TEST(AuditLog, UidsAreUnique) {
  auto log = MakeLog({});
  auto other = MakeLog({});
  EXPECT_NE(log->NewUid(), log->NewUid());
  EXPECT_NE(log->NewUid(), other->NewUid());
}

TEST(AuditLog, AFullDiskAllowsNothingNew) {
  Health health;
  auto log = MakeLog({.target = File("/dev/full"), .retry_interval = kSoon, .on_health = health.Hook()});
  EXPECT_THAT(log->Ready(), IsOk());
  EXPECT_THAT(log->Write(kClosed), IsOk());
  EXPECT_THAT(health.WaitFor(0), HasReason("ENOSPC"));
  EXPECT_FALSE(log->Healthy());
  EXPECT_THAT(log->Ready(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(log->Ready(), HasReason("CANNOT_AUDIT"));
  EXPECT_THAT(log->Write(kAllowed), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(log->Write(kAllowed), HasReason("CANNOT_AUDIT"));
  // What only tells is kept for later.
  EXPECT_THAT(log->Write(kClosed), IsOk());
  const AuditCounts counts = log->Counts();
  EXPECT_EQ(counts.refused_count, 2U);
  EXPECT_EQ(counts.queued_count, 2U);
  EXPECT_EQ(counts.failure_count, 1U);
  EXPECT_EQ(counts.written_count, 0U);
}

TEST(AuditLog, AFullDiskStopsNothingWhenToldToContinue) {
  Health health;
  auto log =
      MakeLog({.target = File("/dev/full"), .on_failure = AuditOnFailure::kContinue, .on_health = health.Hook()});
  EXPECT_THAT(log->Write(kAllowed), IsOk());
  EXPECT_THAT(health.WaitFor(0), HasReason("ENOSPC"));
  EXPECT_FALSE(log->Healthy());
  EXPECT_THAT(log->Ready(), IsOk());
  EXPECT_THAT(log->Write(kAllowed), IsOk());
  EXPECT_EQ(log->Counts().queued_count, 2U);
}

TEST(AuditLog, WorksAgainByItselfAndCompletesTheCutLine) {
  const TempDir folder;
  const std::string path = folder.Path("audit.jsonl");
  Health health;
  {
    const FileSizeLimit limit(100);
    auto log = MakeLog({.target = File(path), .retry_interval = kSoon, .on_health = health.Hook()});
    EXPECT_THAT(log->Write({.event = AuditEvent::kAdmin, .cause = std::string(500, 'x')}), IsOk());
    EXPECT_THAT(health.WaitFor(0), HasReason("EFBIG"));
    EXPECT_EQ(ContentOf(path).size(), 100U);
    EXPECT_THAT(log->Write(kAllowed), HasReason("CANNOT_AUDIT"));
    limit.Lift();
    EXPECT_THAT(health.WaitFor(1), IsOk());
    EXPECT_TRUE(log->Healthy());
    EXPECT_THAT(log->Write(kAllowed), IsOk());
  }
  EXPECT_THAT(Texts(ParseLines(ContentOf(path)), "event"), ElementsAre("admin.decision", "transport.connect.decision"));
}

TEST(AuditLog, ANewFileBeginsWithAWholeLine) {
  const TempDir folder;
  const std::string path = folder.Path("audit.jsonl");
  Health health;
  {
    auto log = MakeLog({.target = File(path), .retry_interval = std::chrono::hours(1), .on_health = health.Hook()});
    EXPECT_THAT(log->Write({.event = AuditEvent::kDrainBegin}), IsOk());
    // Both lines are in one batch, or not.
    const FileSizeLimit limit(250);
    EXPECT_THAT(log->Write({.event = AuditEvent::kAdmin, .cause = std::string(500, 'x')}), IsOk());
    EXPECT_THAT(health.WaitFor(0), HasReason("EFBIG"));
    limit.Lift();
    std::filesystem::rename(path, folder.Path("old"));
    EXPECT_THAT(log->Reopen(), IsOk());
    EXPECT_THAT(health.WaitFor(1), IsOk());
    EXPECT_EQ(log->Counts().failure_count, 1U);
  }
  EXPECT_EQ(ContentOf(folder.Path("old")).size(), 250U);
  EXPECT_THAT(Texts(ParseLines(ContentOf(path)), "event"), ElementsAre("admin.decision", "audit.reopen"));
}

TEST(AuditLog, ReopensAFileThatWasMovedAway) {
  const TempDir folder;
  const std::string path = folder.Path("audit.jsonl");
  {
    auto log = MakeLog({.target = File(path)});
    EXPECT_THAT(log->Write({.event = AuditEvent::kDrainBegin}), IsOk());
    std::filesystem::rename(path, folder.Path("old"));
    EXPECT_THAT(log->Reopen(), IsOk());
    EXPECT_THAT(log->Write({.event = AuditEvent::kDrainEnd}), IsOk());
  }
  const std::vector<Json> lines = ParseLines(ContentOf(folder.Path("old")) + ContentOf(path));
  EXPECT_THAT(Texts(lines, "event"), ElementsAre("drain.begin", "audit.reopen", "drain.end"));
  EXPECT_EQ(lines[1].At("resource.path").text, path);
  EXPECT_NE(ContentOf(path), "");
}

TEST(AuditLog, KeepsTheOpenFileWhenItCannotBeReopened) {
  const TempDir folder;
  std::filesystem::create_directory(folder.Path("logs"));
  const std::string path = folder.Path("logs/audit.jsonl");
  {
    auto log = MakeLog({.target = File(path)});
    std::filesystem::rename(folder.Path("logs"), folder.Path("moved"));
    EXPECT_THAT(log->Reopen(), HasReason("ENOENT"));
    EXPECT_THAT(log->Write(kAllowed), IsOk());
  }
  EXPECT_THAT(ParseLines(ContentOf(folder.Path("moved/audit.jsonl"))), SizeIs(1));
}

// Nobody reads: until the first refusal.
size_t FillQueue(AuditLog& log, AuditSession& session) {
  size_t count = 0;
  AuditRecord record = kAllowed;
  record.session = &session;
  while (log.Write(record).ok()) {
    if (++count > 1000000) ADD_FAILURE() << "it takes everything";
    if (count > 1000000) break;
  }
  return count;
}

TEST(AuditLog, AQueueThatIsFullAllowsNothingNewAndKeepsRoomForEnds) {
  Pipe pipe = SmallPipe();
  Fill(pipe);
  AuditSession session("0123456789");
  Health health;
  auto log = MakeLog({.target = pipe.Target(), .max_queue_count = 100, .on_health = health.Hook()});
  EXPECT_EQ(FillQueue(*log, session), 75U);
  EXPECT_FALSE(log->Healthy());
  EXPECT_THAT(health.WaitFor(0), HasReason("CANNOT_AUDIT"));

  // Ends still fit, up to the bound; then they are lost, and that is told.
  for (int i = 0; i < 25; ++i) EXPECT_THAT(log->Write(kClosed), IsOk());
  for (int i = 0; i < 3; ++i) EXPECT_THAT(log->Write(kClosed), HasReason("CANNOT_AUDIT"));
  EXPECT_EQ(log->Counts().refused_count, 1U);
  EXPECT_EQ(log->Counts().lost_count, 3U);
  EXPECT_EQ(log->Counts().queued_count, 100U);

  std::string text = ReadLines(pipe.reader.get(), 100 + 1);
  EXPECT_THAT(health.WaitFor(1), IsOk());
  EXPECT_THAT(log->Write(kAllowed), IsOk());
  log.reset();
  pipe.writer.Reset();
  text += ReadToEnd(pipe.reader.get());
  const std::vector<Json> lines = ParseLines(text.substr(kFillBytes));
  ASSERT_THAT(lines, SizeIs(100 + 1 + 1));
  for (size_t i = 0; i < 75; ++i) EXPECT_EQ(lines[i]["ei"].text, std::to_string(i));
  EXPECT_EQ(lines[100]["event"].text, "audit.lost");
  EXPECT_EQ(lines[100]["code"].text, "TD8001E");
  EXPECT_EQ(lines[100]["count"].text, "3");
}

TEST(AuditLog, AReaderThatComesBackFindsItAtWorkOnlyWhenHalfTheQueueIsFree) {
  Pipe pipe = SmallPipe();
  Fill(pipe);
  AuditSession session("0123456789");
  Health health;
  auto log = MakeLog({.target = pipe.Target(),
                      .max_queue_count = 1000,
                      .flush_timeout = std::chrono::milliseconds(0),
                      .on_health = health.Hook()});
  EXPECT_EQ(FillQueue(*log, session), 750U);
  EXPECT_THAT(health.WaitFor(0), HasReason("CANNOT_AUDIT"));
  // One page holds far less than a quarter of the queue.
  std::string text = ReadLines(pipe.reader.get(), 20);
  EXPECT_THAT(log->Write(kAllowed), HasReason("CANNOT_AUDIT"));
  text += ReadLines(pipe.reader.get(), 500);
  EXPECT_THAT(health.WaitFor(1), IsOk());
  EXPECT_THAT(log->Write(kAllowed), IsOk());
}

TEST(AuditLog, BoundsTheQueuesBytes) {
  Pipe pipe = SmallPipe();
  auto log = MakeLog({.target = pipe.Target(), .max_queue_bytes = 1, .flush_timeout = std::chrono::milliseconds(0)});
  const std::string text(1000, 'x');
  size_t count = 0;
  while (log->Write({.event = AuditEvent::kAdmin, .decision = AuditDecision::kAllow, .cause = text}).ok()) ++count;
  EXPECT_LE(log->Counts().queued_bytes, 4 * kMaxAuditLineBytes);
  EXPECT_GE(log->Counts().queued_bytes, 2 * kMaxAuditLineBytes);
  EXPECT_GE(count, 100U);
}

TEST(AuditLog, CountsWhatIsLostWhenToldToContinue) {
  Pipe pipe = SmallPipe();
  Fill(pipe);
  AuditSession session("0123456789");
  Health health;
  auto log = MakeLog({.target = pipe.Target(),
                      .on_failure = AuditOnFailure::kContinue,
                      .max_queue_count = 100,
                      .on_health = health.Hook()});
  AuditRecord record = kAllowed;
  record.session = &session;
  for (int i = 0; i < 1000; ++i) EXPECT_THAT(log->Write(record), IsOk());
  EXPECT_THAT(log->Ready(), IsOk());
  EXPECT_THAT(health.WaitFor(0), HasReason("CANNOT_AUDIT"));
  EXPECT_EQ(log->Counts().lost_count, 925U);
  EXPECT_EQ(log->Counts().refused_count, 0U);

  std::string text = ReadLines(pipe.reader.get(), 75 + 1);
  EXPECT_THAT(health.WaitFor(1), IsOk());
  EXPECT_THAT(log->Write(record), IsOk());
  text += ReadLines(pipe.reader.get(), 1);
  const std::vector<Json> lines = ParseLines(text.substr(kFillBytes));
  ASSERT_THAT(lines, SizeIs(75 + 1 + 1));
  EXPECT_EQ(lines[74]["ei"].text, "74");
  EXPECT_EQ(lines[75]["event"].text, "audit.lost");
  EXPECT_EQ(lines[75]["count"].text, "925");
  EXPECT_EQ(lines[76]["ei"].text, "1000");  // The gap shows.
}

TEST(AuditLog, ALongLineGoesThroughASmallPipeWhole) {
  Pipe pipe = SmallPipe();
  const std::vector<std::string_view> texts(100, "0123456789012345678901234567890123456789");
  const std::string text(1000, 'x');
  auto log = MakeLog({.target = pipe.Target()});
  const AuditRecord record = {.event = AuditEvent::kRun,
                              .principal = text,
                              .peer = text,
                              .resource = {.program = text, .args = texts, .env_names = texts},
                              .cause = text};
  for (int i = 0; i < 5; ++i) EXPECT_THAT(log->Write(record), IsOk());
  const std::vector<Json> lines = ParseLines(ReadLines(pipe.reader.get(), 5));
  ASSERT_THAT(lines, SizeIs(5));
  for (const Json& line : lines) EXPECT_EQ(line["cause"].text, text);
}

TEST(AuditLog, AReaderThatIsGoneIsAFailureAndNoSignal) {
  Pipe pipe = SmallPipe();
  Health health;
  auto log = MakeLog({.target = pipe.Target(), .retry_interval = kSoon, .on_health = health.Hook()});
  pipe.reader.Reset();
  EXPECT_THAT(log->Write(kClosed), IsOk());
  EXPECT_THAT(health.WaitFor(0), HasReason("EPIPE"));
  EXPECT_THAT(log->Write(kAllowed), HasReason("CANNOT_AUDIT"));
}

TEST(AuditLog, WorksAgainWhenAFifoHasAReaderAgain) {
  const TempDir folder;
  const std::string path = folder.Path("fifo");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const auto open_reader = [&] { return UniqueFd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)); };
  UniqueFd reader = open_reader();
  Health health;
  auto log = MakeLog({.target = File(path), .retry_interval = kSoon, .on_health = health.Hook()});
  EXPECT_THAT(log->Write({.event = AuditEvent::kDrainBegin}), IsOk());
  EXPECT_THAT(Texts(ParseLines(ReadLines(reader.get(), 1)), "event"), ElementsAre("drain.begin"));
  reader.Reset();
  EXPECT_THAT(log->Write({.event = AuditEvent::kDrainEnd}), IsOk());
  EXPECT_THAT(health.WaitFor(0), HasReason("EPIPE"));
  reader = open_reader();
  EXPECT_THAT(health.WaitFor(1), IsOk());
  EXPECT_THAT(Texts(ParseLines(ReadLines(reader.get(), 1)), "event"), ElementsAre("drain.end"));
}

TEST(AuditLog, WritesToASocket) {
  std::array<int, 2> fds = {-1, -1};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
  UniqueFd reader(fds[0]);
  const UniqueFd writer(fds[1]);
  Health health;
  auto log = MakeLog({.target = {.kind = AuditTarget::Kind::kFd, .fd = writer.get()},
                      .max_queue_count = 100,
                      .flush_timeout = std::chrono::milliseconds(0),
                      .on_health = health.Hook()});
  AuditSession session("0123456789");
  const size_t taken_count = FillQueue(*log, session);  // It never waits for the reader.
  EXPECT_THAT(ParseLines(ReadLines(reader.get(), taken_count)), SizeIs(testing::Ge(taken_count)));
  EXPECT_THAT(health.WaitFor(1), IsOk());
  reader.Reset();
  EXPECT_THAT(log->Write(kClosed), IsOk());
  EXPECT_FALSE(health.WaitFor(2).ok());
}

TEST(AuditLog, EndsInTimeWhenNobodyReads) {
  Pipe pipe = SmallPipe();
  auto log = MakeLog({.target = pipe.Target(), .max_queue_count = 1000, .flush_timeout = std::chrono::milliseconds(0)});
  for (int i = 0; i < 100; ++i) EXPECT_THAT(log->Write(kClosed), IsOk());
  log.reset();
  pipe.writer.Reset();
  const std::string text = ReadToEnd(pipe.reader.get());
  EXPECT_THAT(ParseLines(text), SizeIs(testing::AllOf(testing::Gt(0U), testing::Lt(100U))));
}

TEST(AuditLog, ADescriptorKeepsItsModeAndItsOwner) {
  Pipe pipe = SmallPipe();
  MakeLog({.target = pipe.Target()})->Write(kClosed).IgnoreError();
  EXPECT_EQ(fcntl(pipe.writer.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(write(pipe.writer.get(), "\n", 1), 1);
}

TEST(AuditLog, ThreadsWriteWholeLinesWithoutGaps) {
  const TempDir folder;
  const std::string path = folder.Path("audit.jsonl");
  constexpr int kThreads = 4;
  constexpr int kRecords = 400;
  {
    auto log = MakeLog({.target = File(path)});
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        AuditSession session(std::to_string(thread));
        for (int i = 0; i < kRecords; ++i) {
          EXPECT_THAT(log->Write({.event = AuditEvent::kConnect,
                                  .session = &session,
                                  .principal = "a principal",
                                  .decision = AuditDecision::kAllow}),
                      IsOk());
          if (i % 150 == 0) {
            EXPECT_THAT(log->Reopen(), IsOk());
          }
          if (i % 100 == 0) (void)log->Counts();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  std::set<std::string> uids;
  std::array<int, kThreads> next = {};
  const std::vector<Json> lines = ParseLines(ContentOf(path));
  for (const Json& line : lines) {
    EXPECT_TRUE(uids.insert(line["uid"].text).second);
    if (!line.Has("session")) continue;
    int& expected = next.at(std::stoul(line["session"].text));
    EXPECT_EQ(line["ei"].text, std::to_string(expected++));
  }
  EXPECT_THAT(next, testing::Each(kRecords));
}

TEST(AuditLog, ThreadsAndAFailingSinkLoseNothingUntold) {
  Pipe pipe = SmallPipe();
  constexpr int kThreads = 4;
  constexpr uint64_t kRecords = 500;
  auto log = MakeLog({.target = pipe.Target(), .on_failure = AuditOnFailure::kContinue, .max_queue_count = 50});
  std::string text;
  std::thread reader([&] { text = ReadToEnd(pipe.reader.get()); });
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&] {
      for (uint64_t i = 0; i < kRecords; ++i) EXPECT_THAT(log->Write(kAllowed), IsOk());
    });
  }
  for (std::thread& thread : threads) thread.join();
  log.reset();
  pipe.writer.Reset();
  reader.join();
  uint64_t count = 0;
  for (const Json& line : ParseLines(text)) {
    count += line["event"].text == "audit.lost" ? std::stoull(line["count"].text) : 1;
  }
  EXPECT_EQ(count, kThreads * kRecords);
}

}  // namespace
}  // namespace transportd
