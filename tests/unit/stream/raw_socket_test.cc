#include "transports/stream/raw_socket.h"

#include <cerrno>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/raw_peer.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

SocketAddress Peer() {
  SocketAddress peer;
  peer.family = AddressFamily::kInet;
  peer.host = "192.0.2.1";
  peer.port = 7;
  return peer;
}

class RawSocketTest : public testing::Test {
 protected:
  RawSocketTest() {
    TcpPair pair = MakeTcpPair();
    peer_ = RawPeer(std::move(pair.second));
    socket_.emplace(std::move(pair.first), Peer());
  }

  IoResult Write(std::string data) {
    const iovec piece{.iov_base = data.data(), .iov_len = data.size()};
    return socket_->DoWrite({&piece, 1});
  }
  // Reads until there is something else than "would block".
  IoResult Read() {
    while (true) {
      IoResult result = socket_->DoRead(buffer_);
      if (result.kind != IoResult::Kind::kWouldBlock) return result;
    }
  }

  char buffer_[64];
  RawPeer peer_;
  std::optional<RawSocket> socket_;
};

TEST_F(RawSocketTest, MovesBytesBothWays) {
  EXPECT_EQ(socket_->DoRead(buffer_).kind, IoResult::Kind::kWouldBlock);
  ASSERT_TRUE(peer_.Send("hello"));
  IoResult result = Read();
  ASSERT_EQ(result.kind, IoResult::Kind::kBytes);
  EXPECT_EQ(std::string(buffer_, result.size_bytes), "hello");
  std::string a = "ab", b = "cd";
  const iovec pieces[] = {{.iov_base = a.data(), .iov_len = 2}, {.iov_base = b.data(), .iov_len = 2}};
  EXPECT_EQ(socket_->DoWrite(pieces).size_bytes, 4u);
  ASSERT_TRUE(peer_.RecvAtLeast(4));
  EXPECT_EQ(peer_.received(), "abcd");
}

TEST_F(RawSocketTest, FullKernelWouldBlock) {
  IoResult result;
  do {
    result = Write(std::string(1 << 20, 'x'));
  } while (result.kind == IoResult::Kind::kBytes);
  EXPECT_EQ(result.kind, IoResult::Kind::kWouldBlock);
}

TEST_F(RawSocketTest, PeersFinIsEof) {
  peer_.ShutdownWrite();
  EXPECT_EQ(Read().kind, IoResult::Kind::kEof);
}

TEST_F(RawSocketTest, PeersRstIsAnErrorThatNamesThePeer) {
  peer_.Reset();
  const IoResult result = Read();
  ASSERT_EQ(result.kind, IoResult::Kind::kFailed);
  EXPECT_EQ(result.cause, EndCause::kReset);
  const TransportError error = ToTransportError(result.status);
  EXPECT_EQ(error.errno_number, ECONNRESET);
  EXPECT_EQ(error.operation, "recv");
  EXPECT_EQ(error.address, "192.0.2.1:7");
}

TEST_F(RawSocketTest, WriteAfterShutdownIsEpipeWithoutASignal) {
  EXPECT_EQ(socket_->ShutdownWrite().kind, IoResult::Kind::kBytes);
  EXPECT_TRUE(peer_.RecvToEof());
  const IoResult result = Write("x");
  ASSERT_EQ(result.kind, IoResult::Kind::kFailed);
  EXPECT_EQ(result.cause, EndCause::kBrokenPipe);
  EXPECT_THAT(result.status, HasReason("EPIPE"));
}

TEST_F(RawSocketTest, ShutdownOfAResetConnectionTellsWhatResetIt) {
  peer_.Reset();
  IoResult result;
  do {
    // Until the RST is here.
    result = socket_->ShutdownWrite();
  } while (result.kind == IoResult::Kind::kBytes);
  EXPECT_EQ(result.cause, EndCause::kReset) << result.status;
}

TEST_F(RawSocketTest, ResetOnCloseSendsRst) {
  socket_->ResetOnClose();
  socket_.reset();
  EXPECT_FALSE(peer_.RecvToEof());
  EXPECT_EQ(peer_.error_number(), ECONNRESET);
}

TEST_F(RawSocketTest, CloseSendsFin) {
  socket_.reset();
  EXPECT_TRUE(peer_.RecvToEof());
}

}  // namespace
}  // namespace transportd
