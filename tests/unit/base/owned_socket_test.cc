#include "transports/base/owned_socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/no_descriptor_limit.h"
#include "tests/support/raw_peer.h"
#include "tests/support/status_matchers.h"
#include "transports/base/admit_socket.h"

namespace transportd {
namespace {

using testing::AllOf;

TEST(OwnedSocket, KnowsWhatItIs) {
  TcpPair pair = MakeTcpPair();
  const auto first = OwnedSocket::Make(std::move(pair.first));
  ASSERT_THAT(first, IsOk());
  EXPECT_EQ((*first)->Kind(),
            (SocketKind{.family = AddressFamily::kInet, .type = SocketType::kStream, .proto = IPPROTO_TCP}));
  RawPeer second(std::move(pair.second));
  EXPECT_EQ((*first)->Peername(), second.sockname());
  EXPECT_EQ((*first)->Sockname().host, "127.0.0.1");
  EXPECT_TRUE((*first)->IsOpen());
  (*first)->Close();
  (*first)->Close();
  EXPECT_FALSE((*first)->IsOpen());
  EXPECT_TRUE(second.RecvToEof());
  EXPECT_EQ((*first)->Sockname().host, "127.0.0.1") << "still there";
}

TEST(OwnedSocket, UnconnectedHasNoPeer) {
  const auto socket = OwnedSocket::Make(UniqueFd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
  ASSERT_THAT(socket, IsOk());
  EXPECT_EQ((*socket)->Peername(), std::nullopt);
  EXPECT_EQ((*socket)->Kind().type, SocketType::kDatagram);
  EXPECT_EQ((*socket)->Kind().proto, IPPROTO_UDP);
}

TEST(OwnedSocket, WhatIsNoSocketIsRefusedAndClosed) {
  EXPECT_THAT(OwnedSocket::Make(UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC))), HasReason("ENOTSOCK"));
}

TEST(OwnedSocket, TakenOnceAndNonBlocking) {
  const auto socket = OwnedSocket::Make(UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  ASSERT_THAT(socket, IsOk());
  const auto fd = (*socket)->Take();
  ASSERT_THAT(fd, IsOk());
  EXPECT_NE(::fcntl(fd->get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_FALSE((*socket)->IsOpen());
  EXPECT_THAT((*socket)->Take(), HasReason("EBADF"));
}

TEST(MakeSocketpair, EndsAreConnected) {
  for (const SocketType type : {SocketType::kStream, SocketType::kDatagram, SocketType::kSeqpacket}) {
    const auto pair = MakeSocketpair(AddressFamily::kUnspecified, type, kNoDescriptorLimit);
    ASSERT_THAT(pair, IsOk());
    EXPECT_EQ(pair->first->Kind(), (SocketKind{.family = AddressFamily::kUnix, .type = type}));
    const auto first = TakeSocket(*pair->first);
    const auto second = TakeSocket(*pair->second);
    EXPECT_NE(::fcntl(first->get(), F_GETFD) & FD_CLOEXEC, 0);
    ASSERT_EQ(::send(first->get(), "x", 1, 0), 1);
    char byte = 0;
    EXPECT_EQ(::recv(second->get(), &byte, 1, 0), 1);
    EXPECT_EQ(byte, 'x');
  }
}

TEST(MakeSocketpair, BadArguments) {
  EXPECT_THAT(MakeSocketpair(AddressFamily::kInet, SocketType::kStream, kNoDescriptorLimit),
              AllOf(HasReason("INVALID_FAMILY"), HasField("family")));
  EXPECT_THAT(MakeSocketpair(AddressFamily(99), SocketType::kStream, kNoDescriptorLimit), HasReason("INVALID_FAMILY"));
  EXPECT_THAT(MakeSocketpair(AddressFamily::kUnix, SocketType::kRaw, kNoDescriptorLimit),
              AllOf(HasReason("INVALID_SOCKET_TYPE"), HasField("type")));
  EXPECT_THAT(MakeSocketpair(AddressFamily::kUnix, SocketType::kUnspecified, kNoDescriptorLimit),
              HasReason("INVALID_SOCKET_TYPE"));
}

TEST(MakeSocketpair, OverTheLimitNeitherStays) {
  const UniqueFd next(::fcntl(0, F_DUPFD_CLOEXEC, 0));
  // The first end would have room, the second would not.
  EXPECT_THAT(MakeSocketpair(AddressFamily::kUnix, SocketType::kStream, next.get() + 2), HasReason("EMFILE"));
}

TEST(DuplicateSocket, LeavesTheOriginalOpen) {
  TcpPair pair = MakeTcpPair();
  {
    const auto duplicate = DuplicateSocket(pair.first.get(), kNoDescriptorLimit);
    ASSERT_THAT(duplicate, IsOk());
    const auto fd = (*duplicate)->Take();
    EXPECT_NE(::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC, 0);
  }
  RawPeer original(std::move(pair.first));
  EXPECT_TRUE(original.Send("x"));
}

TEST(DuplicateSocket, Failures) {
  EXPECT_THAT(DuplicateSocket(-1, kNoDescriptorLimit), HasReason("EBADF"));
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_THAT(DuplicateSocket(null.get(), kNoDescriptorLimit), HasReason("ENOTSOCK"));
  EXPECT_THAT(DuplicateSocket(null.get(), 1), HasReason("EMFILE"));
}

// Of another loop's making.
class ForeignSocket final : public ExistingSocket {
 public:
  bool IsOpen() const override { return true; }
  void Close() override {}
  const SocketKind& Kind() const override { return kind_; }
  const SocketAddress& Sockname() const override { return sockname_; }
  const std::optional<SocketAddress>& Peername() const override { return peername_; }

 private:
  SocketKind kind_{.family = AddressFamily::kUnix, .type = SocketType::kStream};
  SocketAddress sockname_;
  std::optional<SocketAddress> peername_;
};

TEST(ValidateSocket, TypeFamilyAndMaker) {
  const auto stream = MakeSocketpair(AddressFamily::kUnix, SocketType::kStream, kNoDescriptorLimit)->first;
  const auto datagram = MakeSocketpair(AddressFamily::kUnix, SocketType::kDatagram, kNoDescriptorLimit)->first;
  EXPECT_THAT(ValidateSocket(nullptr, {}), IsOk());
  EXPECT_THAT(ValidateSocket(stream.get(), {}), IsOk());
  EXPECT_THAT(ValidateSocket(stream.get(), {.family = AddressFamily::kUnix}), IsOk());
  EXPECT_THAT(ValidateSocket(stream.get(), {.family = AddressFamily::kInet}),
              AllOf(HasReason("INVALID_SOCKET"), HasField("sock")));
  EXPECT_THAT(ValidateSocket(datagram.get(), {}), AllOf(HasReason("INVALID_SOCKET"), HasField("sock")));
  EXPECT_THAT(ValidateSocket(datagram.get(), {.type = SocketType::kDatagram}), IsOk());
  EXPECT_THAT(ValidateSocket(stream.get(), {.type = SocketType::kDatagram}), HasReason("INVALID_SOCKET"));
  const ForeignSocket foreign;
  EXPECT_THAT(ValidateSocket(&foreign, {}), AllOf(HasReason("INVALID_SOCKET"), HasField("sock")));
  EXPECT_TRUE(stream->IsOpen()) << "only looked at";
}

}  // namespace
}  // namespace transportd
