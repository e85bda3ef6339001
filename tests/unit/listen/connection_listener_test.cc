#include "server/listen/connection_listener.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/raw_peer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "transports/base/sockaddr.h"
#include "transports/stream/loop_context.h"

namespace transportd {
namespace {

class ConnectionListenerTest : public LoopFixture {
 protected:
  void SetUp() override {
    LoopFixture::SetUp();
    context_ = std::make_unique<LoopContext>(reactor());
    context_->SetExceptionHandler([this](const ExceptionContext& context) { told_.push_back(context.message); });
  }
  void TearDown() override {
    listener_.reset();
    connections_.clear();
    context_.reset();
    LoopFixture::TearDown();
  }

  void Listen(const std::string& text) {
    const auto address = ParseListenAddress(text);
    ASSERT_THAT(address, IsOk());
    auto listener = ConnectionListener::Create(*context_, *address);
    ASSERT_THAT(listener, IsOk());
    listener_ = *std::move(listener);
  }
  void Start() {
    listener_->Start([this](UniqueFd fd, const SocketAddress& peer) {
      connections_.push_back(std::move(fd));
      peers_.push_back(peer);
    });
  }
  UniqueFd Connect() const {
    const auto raw = ToRawAddress(listener_->address());
    UniqueFd fd(::socket(AddressFamilyToNumber(listener_->address().family), SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd.get(), raw->get(), raw->length), 0);
    return fd;
  }

  const TempDir folder_;
  std::unique_ptr<LoopContext> context_;
  std::unique_ptr<ConnectionListener> listener_;
  std::vector<UniqueFd> connections_;
  std::vector<SocketAddress> peers_;
  std::vector<std::string> told_;
};

TEST_F(ConnectionListenerTest, ConnectionsWaitUntilItStarts) {
  Listen("127.0.0.1:0");
  EXPECT_THAT(listener_->target(), testing::StartsWith("127.0.0.1:"));
  EXPECT_NE(listener_->address().port, 0);
  const UniqueFd client = Connect();
  Turn(3);
  EXPECT_TRUE(connections_.empty());
  Start();
  ASSERT_TRUE(RunUntil([&] { return !connections_.empty(); }));
  EXPECT_EQ(peers_.front(), *GetSockname(client.get()));
  EXPECT_NE(::fcntl(connections_.front().get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(connections_.front().get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(ConnectionListenerTest, TheProcessItselfDoesNotEnterWhenItIsToldSo) {
  const auto address = ParseListenAddress("unix:" + folder_.Path("socket"));
  ASSERT_THAT(address, IsOk());
  auto listener = ConnectionListener::Create(*context_, *address, /*refuses_self=*/true);
  ASSERT_THAT(listener, IsOk());
  listener_ = *std::move(listener);
  Start();
  const UniqueFd client = Connect();
  char byte = 0;
  ASSERT_TRUE(RunUntil([&] { return ::recv(client.get(), &byte, 1, MSG_DONTWAIT) == 0; }));
  EXPECT_TRUE(connections_.empty());
}

TEST_F(ConnectionListenerTest, AUnixSocketIsTheUsersAloneAndGoesWithIt) {
  Listen("unix:" + folder_.Path("socket"));
  struct stat status {};
  ASSERT_EQ(::stat(folder_.Path("socket").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  Start();
  const UniqueFd client = Connect();
  ASSERT_TRUE(RunUntil([&] { return !connections_.empty(); }));
  listener_.reset();
  EXPECT_FALSE(folder_.Exists("socket"));
}

TEST_F(ConnectionListenerTest, AnAbstractNameHasNoFile) {
  Listen("unix-abstract:connection_listener_test." + std::to_string(::getpid()));
  Start();
  const UniqueFd client = Connect();
  EXPECT_TRUE(RunUntil([&] { return !connections_.empty(); }));
}

TEST_F(ConnectionListenerTest, APathThatSomebodyListensAtIsInUse) {
  Listen("unix:" + folder_.Path("socket"));
  EXPECT_THAT(ConnectionListener::Create(*context_, *ParseListenAddress("unix:" + folder_.Path("socket"))),
              HasReason("EADDRINUSE"));
  EXPECT_TRUE(folder_.Exists("socket"));
}

// gRPC 1.51's own listener never accepts again.
TEST_F(ConnectionListenerTest, ItRecoversFromAWantOfDescriptors) {
  Listen("127.0.0.1:0");
  Start();
  const UniqueFd client = Connect();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none = {.rlim_cur = 3, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const bool told = RunUntil([&] { return !told_.empty(); });
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(told);
  EXPECT_THAT(told_.front(), testing::HasSubstr("out of system resource"));
  EXPECT_TRUE(connections_.empty());
  EXPECT_TRUE(RunUntil([&] { return !connections_.empty(); }));
}

}  // namespace
}  // namespace transportd
