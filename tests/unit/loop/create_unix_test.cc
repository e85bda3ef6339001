#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/leak_check.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/loop/event_loop_fixture.h"

namespace transportd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class CreateUnixTest : public EventLoopFixture {
 protected:
  // An abstract name that nobody else has.
  std::string AbstractName() const { return '\0' + directory_.path(); }

  void Connect(Outcome<Connection>& outcome, Record& record, CreateUnixConnectionOptions options) {
    outcome.id = loop_->CreateUnixConnection(Factory(record), std::move(options), Connected(outcome, record));
  }
  std::shared_ptr<Transport> Open(Record& record, const std::string& path) {
    Outcome<Connection> outcome;
    Connect(outcome, record, {.path = path});
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    EXPECT_THAT(outcome.status(), IsOk());
    record.events.clear();
    return outcome.status().ok() ? outcome.value().transport : nullptr;
  }
  absl::Status FailToConnect(const std::string& path) {
    Outcome<Connection> outcome;
    Record& record = NewRecord();
    Connect(outcome, record, {.path = path});
    EXPECT_FALSE(outcome.done()) << "never before it returns";
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    EXPECT_THAT(record.events, ElementsAre("done")) << "no protocol is told";
    return outcome.status();
  }

  void Serve(Outcome<std::shared_ptr<Server>>& outcome, CreateUnixServerOptions options) {
    outcome.id = loop_->CreateUnixServer(AcceptingFactory(), std::move(options), Served(outcome));
  }
  std::shared_ptr<Server> Listen(CreateUnixServerOptions options) {
    Outcome<std::shared_ptr<Server>> outcome;
    Serve(outcome, std::move(options));
    EXPECT_FALSE(outcome.done()) << "never before it returns";
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    EXPECT_THAT(outcome.status(), IsOk());
    return outcome.status().ok() ? outcome.value() : nullptr;
  }

  TempDir directory_;
  const std::string path_ = directory_.Path("s");
};

TEST_F(CreateUnixTest, ConnectsToAPathAndTellsWhoIsThere) {
  RawListener listener(UnixAddress(path_));
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  Connect(outcome, record, {.path = path_});
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  ASSERT_THAT(outcome.status(), IsOk());
  EXPECT_THAT(record.events, ElementsAre("made", "done"));
  const ExtraInfo& info = outcome.value().transport->GetExtraInfo();
  EXPECT_EQ(info.peername, UnixAddress(path_));
  EXPECT_EQ(info.sockname, UnixAddress("")) << "unnamed";
  EXPECT_EQ(info.socket, (SocketKind{.family = AddressFamily::kUnix, .type = SocketType::kStream}));
  ASSERT_TRUE(info.peercred.has_value());
  EXPECT_EQ(info.peercred->pid, ::getpid());
  EXPECT_EQ(info.peercred->uid, ::getuid());
  EXPECT_EQ(info.peercred->gid, ::getgid());

  RawPeer peer = listener.Accept();
  EXPECT_THAT(outcome.value().transport->Write("ping"), IsOk());
  EXPECT_TRUE(peer.RecvAtLeast(4));
  EXPECT_TRUE(peer.Send("pong"));
  EXPECT_TRUE(RunUntil([&] { return record.received == "pong"; }));
  peer.ShutdownWrite();
  EXPECT_TRUE(RunUntil([&] { return record.lost(); }));
  EXPECT_EQ(record.end->cause, EndCause::kEof);
  EXPECT_TRUE(peer.RecvToEof());
}

TEST_F(CreateUnixTest, ServesAPathAndTellsWhoCame) {
  const auto server = Listen({.path = path_});
  EXPECT_THAT(server->Sockets(), ElementsAre(UnixAddress(path_)));
  EXPECT_TRUE(server->IsServing());
  RawPeer peer = RawPeer::Connect(UnixAddress(path_));
  ASSERT_TRUE(peer.Send("hello"));
  ASSERT_TRUE(RunUntil([&] { return !accepted_.empty() && accepted_[0]->received == "hello"; }));
  EXPECT_THAT(accepted_[0]->events, ElementsAre("made", "data"));
  const ExtraInfo& info = accepted_[0]->transport->GetExtraInfo();
  EXPECT_EQ(info.sockname, UnixAddress(path_));
  EXPECT_EQ(info.peername, UnixAddress(""));
  EXPECT_EQ(info.peercred->pid, ::getpid());
}

TEST_F(CreateUnixTest, AbstractNameHasNoFile) {
  const auto server = Listen({.path = AbstractName()});
  EXPECT_THAT(server->Sockets(), ElementsAre(UnixAddress(AbstractName())));
  Record& record = NewRecord();
  const auto transport = Open(record, AbstractName());
  ASSERT_NE(transport, nullptr);
  EXPECT_EQ(transport->GetExtraInfo().peername, UnixAddress(AbstractName()));
  server->Close();
  EXPECT_THAT(FailToConnect(AbstractName()), HasReason("ECONNREFUSED"));
}

TEST_F(CreateUnixTest, AbstractNameInUseIsNotStolen) {
  const auto server = Listen({.path = AbstractName()});
  Outcome<std::shared_ptr<Server>> second;
  Serve(second, {.path = AbstractName()});
  ASSERT_TRUE(RunUntil([&] { return second.done(); }));
  EXPECT_THAT(second.status(), HasReason("EADDRINUSE"));
}

TEST_F(CreateUnixTest, NobodyThere) {
  EXPECT_THAT(FailToConnect(path_), AllOf(StatusIs(absl::StatusCode::kNotFound), HasReason("ENOENT")));
  directory_.WriteFile("s", "");
  const absl::Status refused = FailToConnect(path_);
  EXPECT_THAT(refused, HasReason("ECONNREFUSED")) << "a regular file";
  EXPECT_EQ(ToTransportError(refused).address, path_);
  EXPECT_EQ(ToTransportError(refused).operation, "connect");
  EXPECT_THAT(FailToConnect(directory_.Path("s/below")), HasReason("ENOTDIR"));
  const std::string stale = directory_.Path("stale");
  { RawListener closed((UnixAddress(stale))); }
  EXPECT_THAT(FailToConnect(stale), HasReason("ECONNREFUSED")) << "a socket that nobody listens on";
}

TEST_F(CreateUnixTest, BadArguments) {
  EXPECT_THAT(FailToConnect(""), AllOf(HasReason("INVALID_PATH"), HasField("path")));
  EXPECT_THAT(FailToConnect(std::string(200, 'x')), HasReason("INVALID_PATH"));
  Outcome<std::shared_ptr<Server>> outcome;
  Serve(outcome, {.path = std::string(200, 'x')});
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("INVALID_PATH"));
}

TEST_F(CreateUnixTest, FullBacklogIsAskedAgainUntilThereIsRoom) {
  RawListener listener(UnixAddress(path_), /*backlog=*/0);
  RawPeer filler = RawPeer::Connect(UnixAddress(path_));
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  Connect(outcome, record, {.path = path_});
  Turn();
  EXPECT_FALSE(outcome.done());
  EXPECT_EQ(loop_->reactor().GetCounts().timers, 2u) << "its deadline, and the next attempt";
  clock_.Advance(milliseconds(1));
  Turn();
  EXPECT_FALSE(outcome.done()) << "still full";
  EXPECT_TRUE(listener.Accept().valid());
  clock_.Advance(milliseconds(2));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), IsOk());
}

TEST_F(CreateUnixTest, FullBacklogIsNotAskedAllTheTime) {
  RawListener listener(UnixAddress(path_), /*backlog=*/0);
  RawPeer filler = RawPeer::Connect(UnixAddress(path_));
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  Connect(outcome, record, {.path = path_, .timeout = seconds(10)});
  // Once it has slowed down, room that is there after one attempt is found only 50 ms later.
  for (int i = 0; i < 100; ++i) {
    clock_.Advance(milliseconds(50));
    Turn(1);
  }
  const RawPeer accepted = listener.Accept();
  clock_.Advance(milliseconds(49));
  Turn();
  EXPECT_FALSE(outcome.done());
  clock_.Advance(milliseconds(1));
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), IsOk());
}

TEST_F(CreateUnixTest, FullBacklogIsAnErrorWhenTimeIsUp) {
  RawListener listener(UnixAddress(path_), /*backlog=*/0);
  RawPeer filler = RawPeer::Connect(UnixAddress(path_));
  Outcome<Connection> outcome;
  Record& record = NewRecord();
  Connect(outcome, record, {.path = path_, .timeout = seconds(10)});
  clock_.Advance(seconds(10) - milliseconds(1));
  Turn();
  EXPECT_FALSE(outcome.done());
  clock_.Advance(milliseconds(1));
  Turn();
  ASSERT_TRUE(outcome.done());
  EXPECT_THAT(outcome.status(), AllOf(StatusIs(absl::StatusCode::kDeadlineExceeded), HasReason("CONNECT_TIMEOUT")));
  ASSERT_THAT(ToTransportError(outcome.status()).causes, SizeIs(1));
  EXPECT_EQ(ToTransportError(outcome.status()).causes[0].reason, "EAGAIN");
  EXPECT_EQ(ToTransportError(outcome.status()).address, path_);
}

TEST_F(CreateUnixTest, CancelledAtEachStepLeavesNothing) {
  RawListener listener(UnixAddress(path_), /*backlog=*/0);
  const auto fds = OpenFds();
  Outcome<Connection> connected, waiting;
  Record& unheard = NewRecord();
  Connect(connected, unheard, {.path = path_});
  loop_->CancelOperation(connected.id);
  Turn();
  EXPECT_THAT(connected.status(), HasReason("CANCELLED"));
  EXPECT_THAT(unheard.events, ElementsAre("done"));
  listener.Accept();
  EXPECT_EQ(OpenFds(), fds);

  RawPeer filler = RawPeer::Connect(UnixAddress(path_));
  Record& record = NewRecord();
  Connect(waiting, record, {.path = path_});
  Turn();
  loop_->CancelOperation(waiting.id);
  Turn();
  EXPECT_EQ(waiting.done_count, 1);
  EXPECT_THAT(waiting.status(), HasReason("CANCELLED"));
  EXPECT_EQ(loop_->reactor().GetCounts().timers, 0u);
}

TEST_F(CreateUnixTest, StalePathIsTakenAndSoIsALivingOne) {
  { RawListener closed((UnixAddress(path_))); }
  const auto first = Listen({.path = path_});
  const auto second = Listen({.path = path_});
  Record& record = NewRecord();
  ASSERT_NE(Open(record, path_), nullptr);
  ASSERT_TRUE(RunUntil([&] { return accepted_.size() == 1; }));
  first->Close();
  EXPECT_TRUE(directory_.Exists("s")) << "the second one's";
  EXPECT_TRUE(RawPeer::Connect(UnixAddress(path_)).valid());
  second->Close();
  EXPECT_FALSE(directory_.Exists("s"));
}

TEST_F(CreateUnixTest, SomethingElseAtThePathIsInUse) {
  directory_.WriteFile("s", "precious");
  const auto fds = OpenFds();
  Outcome<std::shared_ptr<Server>> outcome;
  Serve(outcome, {.path = path_});
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("EADDRINUSE"));
  EXPECT_EQ(ToTransportError(outcome.status()).address, path_);
  EXPECT_TRUE(directory_.Exists("s"));
  EXPECT_EQ(OpenFds(), fds);
}

TEST_F(CreateUnixTest, CloseRemovesTheFileBeforeItReturns) {
  const auto server = Listen({.path = path_});
  EXPECT_TRUE(directory_.Exists("s"));
  RawPeer peer = RawPeer::Connect(UnixAddress(path_));
  ASSERT_TRUE(RunUntil([&] { return accepted_.size() == 1; }));
  server->Close();
  EXPECT_FALSE(directory_.Exists("s"));
  EXPECT_THAT(server->Sockets(), IsEmpty());
  EXPECT_TRUE(peer.Send("still"));
  EXPECT_TRUE(RunUntil([&] { return accepted_[0]->received == "still"; })) << "accepted transports live on";
}

TEST_F(CreateUnixTest, WithoutCleanupTheFileStays) {
  const auto server = Listen({.path = path_, .cleanup_socket = false});
  server->Close();
  EXPECT_TRUE(directory_.Exists("s"));
}

TEST_F(CreateUnixTest, EndOfTheLoopRemovesTheFile) {
  Listen({.path = path_});
  CloseLoop();
  EXPECT_FALSE(directory_.Exists("s"));
}

TEST_F(CreateUnixTest, CancelledServerLeavesNoFile) {
  Outcome<std::shared_ptr<Server>> outcome;
  Serve(outcome, {.path = path_});
  EXPECT_TRUE(directory_.Exists("s"));
  loop_->CancelOperation(outcome.id);
  EXPECT_FALSE(directory_.Exists("s"));
  Turn();
  EXPECT_THAT(outcome.status(), HasReason("CANCELLED"));
}

TEST_F(CreateUnixTest, ModeOfTheFile) {
  Listen({.path = path_, .mode = 0606});
  struct stat status {};
  ASSERT_EQ(::lstat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0606u);
}

TEST_F(CreateUnixTest, StartServingFalseRefusesUntilStarted) {
  const auto server = Listen({.path = path_, .start_serving = false});
  EXPECT_FALSE(server->IsServing());
  EXPECT_THAT(FailToConnect(path_), HasReason("ECONNREFUSED"));
  server->StartServing([](const absl::Status& status) { EXPECT_THAT(status, IsOk()); });
  Record& record = NewRecord();
  EXPECT_NE(Open(record, path_), nullptr);
  EXPECT_TRUE(RunUntil([&] { return accepted_.size() == 1; }));
}

TEST_F(CreateUnixTest, TenMegabytesBothWaysAndHalfClose) {
  const auto server = Listen({.path = path_});
  Record& record = NewRecord();
  record.keep_open = true;
  const auto client = Open(record, path_);
  ASSERT_TRUE(RunUntil([&] { return accepted_.size() == 1; }));
  accepted_[0]->keep_open = true;
  std::string there(10'000'000, '\0'), back(10'000'000, '\0');
  for (size_t i = 0; i < there.size(); ++i) {
    there[i] = static_cast<char>(i * 31 >> 3);
    back[i] = static_cast<char>(i * 17 >> 2);
  }
  EXPECT_THAT(client->Write(there), IsOk());
  EXPECT_THAT(accepted_[0]->transport->Write(back), IsOk());
  client->WriteEof();
  accepted_[0]->transport->WriteEof();
  ASSERT_TRUE(
      RunUntil([&] { return record.received.size() == back.size() && accepted_[0]->received.size() == there.size(); }));
  EXPECT_TRUE(accepted_[0]->received == there);
  EXPECT_TRUE(record.received == back);
  ASSERT_TRUE(RunUntil([&] { return record.events.back() == "eof" && accepted_[0]->events.back() == "eof"; }));
}

TEST_F(CreateUnixTest, SocketOptionsOfTcpAreNotThere) {
  const auto server = Listen({.path = path_});
  Record& record = NewRecord();
  const auto transport = Open(record, path_);
  absl::StatusOr<int> type, nodelay;
  transport->Getsockopt(SocketOption::kSoType, [&](absl::StatusOr<int> value) { type = std::move(value); });
  transport->Getsockopt(SocketOption::kTcpNodelay, [&](absl::StatusOr<int> value) { nodelay = std::move(value); });
  EXPECT_EQ(*type, SOCK_STREAM);
  EXPECT_THAT(nodelay, HasReason("EOPNOTSUPP"));
}

TEST_F(CreateUnixTest, DescriptorLimitIsKept) {
  CloseLoop();
  NewLoop(/*descriptor_limit=*/3);
  EXPECT_THAT(FailToConnect(path_), HasReason("EMFILE"));
  Outcome<std::shared_ptr<Server>> outcome;
  Serve(outcome, {.path = path_});
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("EMFILE"));
  EXPECT_FALSE(directory_.Exists("s"));
}

}  // namespace
}  // namespace transportd
