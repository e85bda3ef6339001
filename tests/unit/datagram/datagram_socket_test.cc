#include "transports/datagram/datagram_socket.h"

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/raw_datagram_peer.h"
#include "transports/api/datagram.h"
#include "transports/base/sockaddr.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using Outgoing = DatagramSocket::Outgoing;

UniqueFd MakeSocket(AddressFamily family) {
  return UniqueFd(::socket(AddressFamilyToNumber(family), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

std::string Bytes(const RawAddress& raw) { return {reinterpret_cast<const char*>(&raw.storage), raw.length}; }

class DatagramSocketTest : public testing::TestWithParam<AddressFamily> {
 protected:
  DatagramSocket::SendResult Send(const std::vector<std::string>& datagrams) {
    std::vector<Outgoing> outgoing;
    for (const std::string& data : datagrams) outgoing.push_back({.data = data, .address = peer_address_});
    return socket_.Send(outgoing);
  }
  std::vector<std::string> Received(size_t count) {
    std::vector<std::string> received;
    while (received.size() < count) {
      const auto datagram = peer_.Receive();
      if (!datagram) break;
      received.push_back(datagram->data);
    }
    EXPECT_FALSE(peer_.TryReceive().has_value()) << "one too many";
    return received;
  }

  RawDatagramPeer peer_ = RawDatagramPeer::OnLoopback(GetParam());
  DatagramSocket socket_{MakeSocket(GetParam()), GetParam()};
  std::string peer_address_ = Bytes(*ToRawAddress(peer_.address()));
};

INSTANTIATE_TEST_SUITE_P(, DatagramSocketTest, testing::Values(AddressFamily::kInet, AddressFamily::kInet6),
                         [](const auto& parameter) {
                           return parameter.param == AddressFamily::kInet ? "Inet" : "Inet6";
                         });

TEST_P(DatagramSocketTest, BoundariesAreKeptInRunsOfEqualSize) {
  // Runs that the kernel is given as one, and what ends them: a shorter one, a longer one, an empty one.
  std::vector<std::string> datagrams;
  for (const char c : std::string("abcdefgh")) datagrams.push_back(std::string(100, c));
  datagrams.push_back("shorter");
  datagrams.push_back(std::string(100, 'x'));
  datagrams.push_back(std::string(200, 'y'));
  datagrams.push_back("");
  datagrams.push_back("");
  datagrams.push_back("z");
  const auto [sent_count, error_number] = Send(datagrams);
  EXPECT_EQ(sent_count, datagrams.size());
  EXPECT_EQ(error_number, 0);
  EXPECT_THAT(Received(datagrams.size()), ElementsAreArray(datagrams));
}

TEST_P(DatagramSocketTest, RunsAreNoLongerThanADatagram) {
  // 64 times 1100 bytes are more than the 65507 of one message.
  const std::vector<std::string> datagrams(DatagramSocket::kMaxSendCount, std::string(1100, 'r'));
  EXPECT_EQ(Send(datagrams).sent_count, datagrams.size());
  EXPECT_THAT(Received(datagrams.size()), ElementsAreArray(datagrams));
}

TEST_P(DatagramSocketTest, LongestDatagramArrivesWhole) {
  const std::string longest(65507, 'l');
  EXPECT_EQ(Send({longest, longest}).sent_count, 2u);
  EXPECT_THAT(Received(2), ElementsAre(longest, longest));
}

TEST_P(DatagramSocketTest, TooLongOneIsTheOneThatFails) {
  const std::string too_long(65536, 't');
  const auto [sent_count, error_number] = Send({"a", too_long, "c"});
  EXPECT_EQ(sent_count, 1u);
  EXPECT_EQ(error_number, EMSGSIZE);
  EXPECT_EQ(Send({"c"}).sent_count, 1u) << "what follows it still can be sent";
  EXPECT_THAT(Received(2), ElementsAre("a", "c"));
}

TEST_P(DatagramSocketTest, RefusalOfAnEarlierOneIsTold) {
  const RawAddress raw = *ToRawAddress(RefusedDatagramAddress(GetParam()));
  ASSERT_EQ(::connect(socket_.fd(), raw.get(), raw.length), 0);
  const std::string data = "x";
  const Outgoing outgoing{.data = data, .address = {}};
  EXPECT_EQ(socket_.Send({&outgoing, 1}).error_number, 0);
  EXPECT_EQ(socket_.Send({&outgoing, 1}).error_number, ECONNREFUSED);
  EXPECT_EQ(socket_.Send({&outgoing, 1}).error_number, 0);
}

class DatagramSocketReceiveTest : public DatagramSocketTest {
 protected:
  void SetUp() override {
    SocketAddress local = peer_.address();
    local.port = 0;
    const RawAddress raw = *ToRawAddress(local);
    ASSERT_EQ(::bind(socket_.fd(), raw.get(), raw.length), 0);
    address_ = *GetSockname(socket_.fd());
  }
  std::vector<std::string> Receive(size_t max_count) {
    DatagramSocket::ReceiveBatch batch;
    socket_.Receive({buffer_.get(), kBufferBytes}, max_count, batch);
    error_number_ = batch.error_number;
    std::vector<std::string> received;
    for (size_t i = 0; i < batch.count; ++i) {
      EXPECT_FALSE(batch.items[i].truncated);
      EXPECT_EQ(FromRawAddress(batch.address(i), batch.items[i].address_length), peer_.address());
      received.emplace_back(batch.items[i].data);
    }
    return received;
  }

  static constexpr size_t kBufferBytes = 4 * 64 * 1024;
  const std::unique_ptr<char[]> buffer_ = std::make_unique<char[]>(kBufferBytes);
  SocketAddress address_;
  int error_number_ = 0;
};

INSTANTIATE_TEST_SUITE_P(, DatagramSocketReceiveTest, testing::Values(AddressFamily::kInet, AddressFamily::kInet6),
                         [](const auto& parameter) {
                           return parameter.param == AddressFamily::kInet ? "Inet" : "Inet6";
                         });

TEST_P(DatagramSocketReceiveTest, AsManyAsAreAskedForAndThereIsRoomFor) {
  for (const char* data : {"1", "", "3", "4", "5", "6", "7"}) ASSERT_TRUE(peer_.SendTo(address_, data));
  EXPECT_THAT(Receive(2), ElementsAre("1", ""));
  EXPECT_THAT(Receive(32), ElementsAre("3", "4", "5", "6")) << "the buffer has room for four";
  EXPECT_THAT(Receive(32), ElementsAre("7"));
  EXPECT_THAT(Receive(32), ElementsAre());
  EXPECT_EQ(error_number_, EAGAIN);
}

TEST_P(DatagramSocketReceiveTest, LongestDatagramIsReceivedWhole) {
  const std::string longest(65507, 'l');
  ASSERT_TRUE(peer_.SendTo(address_, longest));
  EXPECT_THAT(Receive(1), ElementsAre(longest));
}

TEST_P(DatagramSocketReceiveTest, DroppedCountIsTheKernels) {
  const int small = 4096;
  ASSERT_EQ(::setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
  EXPECT_EQ(socket_.DroppedCount(), 0u);
  const std::string data(1000, 'd');
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(peer_.SendTo(address_, data));
  size_t received_count = 0;
  for (size_t count = 1; count > 0; received_count += count) count = Receive(32).size();
  EXPECT_GT(received_count, 0u);
  EXPECT_LT(received_count, 100u);
  EXPECT_EQ(socket_.DroppedCount() + received_count, 100u);
}

TEST(DatagramSocketUnix, DatagramLongerThanAsyncioTakesIsToldAsTruncated) {
  RawDatagramPeer peer = RawDatagramPeer::OnPath("");
  DatagramSocket sender(MakeSocket(AddressFamily::kUnix), AddressFamily::kUnix);
  // The kernel picks an abstract name (unix(7), autobind).
  const sa_family_t family = AF_UNIX;
  ASSERT_EQ(::bind(sender.fd(), reinterpret_cast<const sockaddr*>(&family), sizeof(family)), 0);
  const SocketAddress address = *GetSockname(sender.fd());
  const int large = 200'000;  // Doubled by the kernel.
  ASSERT_EQ(::setsockopt(peer.fd(), SOL_SOCKET, SO_SNDBUF, &large, sizeof(large)), 0);
  ASSERT_TRUE(peer.SendTo(address, std::string(kMaxDatagramBytes, 'm')));
  ASSERT_TRUE(peer.SendTo(address, std::string(kMaxDatagramBytes + 1, 'n')));
  std::vector<char> buffer(2 * kMaxDatagramBytes);
  DatagramSocket::ReceiveBatch batch;
  sender.Receive(buffer, 2, batch);
  ASSERT_EQ(batch.count, 2u);
  EXPECT_FALSE(batch.items[0].truncated);
  EXPECT_EQ(batch.items[0].data, std::string(kMaxDatagramBytes, 'm'));
  EXPECT_EQ(batch.items[0].address_length, 0u) << "the sender has no name";
  EXPECT_TRUE(batch.items[1].truncated);
}

TEST(DatagramSocketUnix, FullReceiverIsToldAsAgain) {
  RawDatagramPeer peer = RawDatagramPeer::OnPath(std::string("\0transportd-full-", 17) + std::to_string(::getpid()));
  ASSERT_TRUE(peer.valid());
  DatagramSocket sender(MakeSocket(AddressFamily::kUnix), AddressFamily::kUnix);
  const std::string address = Bytes(*ToRawAddress(peer.address()));
  const std::string data = "f";
  const std::vector<Outgoing> outgoing(DatagramSocket::kMaxSendCount, {.data = data, .address = address});
  size_t sent_count = 0;
  DatagramSocket::SendResult result;
  while (result.error_number == 0) {
    result = sender.Send(outgoing);
    sent_count += result.sent_count;
  }
  EXPECT_EQ(result.error_number, EAGAIN);
  size_t received_count = 0;
  while (peer.TryReceive()) ++received_count;
  EXPECT_EQ(received_count, sent_count);
}

}  // namespace
}  // namespace transportd
