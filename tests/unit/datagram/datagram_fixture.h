// A loop for datagram transports, and sockets to make them of.
#ifndef TRANSPORTD_TESTS_UNIT_DATAGRAM_DATAGRAM_FIXTURE_H_
#define TRANSPORTD_TESTS_UNIT_DATAGRAM_DATAGRAM_FIXTURE_H_

#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/raw_datagram_peer.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/datagram/recording_datagram_protocol.h"
#include "transports/base/sockaddr.h"
#include "transports/datagram/socket_datagram_transport.h"

namespace transportd {

// An abstract name of this process, with `suffix`.
inline std::string AbstractName(const std::string& suffix) {
  return std::string(1, '\0') + "transportd-test-" + std::to_string(::getpid()) + "-" + suffix;
}

// What a transport is made of.
struct EndpointEnds {
  std::optional<SocketAddress> local = {};
  std::optional<SocketAddress> remote = {};
  bool connected = true;  // To the remote end, when there is one.
  WriteBufferMarks marks = {};
  std::shared_ptr<SocketGate> gate = {};
};

// Threading: the test's thread is the loop's.
class DatagramFixture : public LoopFixture {
 protected:
  void SetUp() override {
    LoopFixture::SetUp();
    context_ = std::make_unique<LoopContext>(reactor());
    context_->SetExceptionHandler([this](const ExceptionContext& context) { exceptions_.push_back(context); });
  }
  void TearDown() override {
    if (transport_ != nullptr) transport_->Abort();
    record_.transport.reset();
    other_record_.transport.reset();
    transport_.reset();
    if (context_ != nullptr) {
      Turn(3);
      EXPECT_EQ(context_->transports().size(), 0u);
      context_.reset();
    }
    LoopFixture::TearDown();
  }

  // Made, and not started.
  void Make(AddressFamily family, EndpointEnds ends) {
    UniqueFd fd(::socket(AddressFamilyToNumber(family), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (ends.local) {
      const RawAddress raw = *ToRawAddress(*ends.local);
      ASSERT_EQ(::bind(fd.get(), raw.get(), raw.length), 0) << ends.local->ToString();
    }
    if (ends.remote && ends.connected) {
      const RawAddress raw = *ToRawAddress(*ends.remote);
      ASSERT_EQ(::connect(fd.get(), raw.get(), raw.length), 0) << ends.remote->ToString();
    }
    transport_ = SocketDatagramTransport::Create(
        *context_, std::move(fd), family, std::make_shared<RecordingDatagramProtocol>(record_),
        {.local = ends.local, .remote = ends.remote, .write_buffer_marks = ends.marks, .gate = std::move(ends.gate)});
  }
  // Open, and nothing recorded yet.
  void Open(AddressFamily family, EndpointEnds ends) {
    Make(family, std::move(ends));
    transport_->Start();
    Turn(2);
    record_.events.clear();
  }
  // Connected to a Unix peer that does not read, and full: what is sent now is queued.
  void OpenFull(EndpointEnds ends = {}) {
    peer_ = RawDatagramPeer::OnPath(AbstractName("full"));
    ASSERT_TRUE(peer_->valid());
    ends.remote = peer_->address();
    Open(AddressFamily::kUnix, std::move(ends));
    while (transport_->GetWriteBufferSize() == 0) {
      ASSERT_THAT(transport_->SendTo("f"), IsOk());
      ++full_count_;
    }
    transport_->SetWriteBufferLimits({}).IgnoreError();
    record_.events.clear();
  }

  static SocketAddress Loopback(AddressFamily family, uint16_t port = 0) {
    SocketAddress address;
    address.family = family;
    address.host = family == AddressFamily::kInet6 ? "::1" : "127.0.0.1";
    address.port = port;
    return address;
  }
  static SocketAddress UnixAddress(const std::string& path) {
    SocketAddress address;
    address.family = AddressFamily::kUnix;
    address.path = path;
    return address;
  }
  SocketAddress Sockname() const { return *transport_->GetExtraInfo().sockname; }

  DatagramRecord record_;
  DatagramRecord other_record_;
  std::vector<ExceptionContext> exceptions_;
  std::unique_ptr<LoopContext> context_;
  std::shared_ptr<SocketDatagramTransport> transport_;
  std::optional<RawDatagramPeer> peer_;
  size_t full_count_ = 0;  // What OpenFull has sent; the last one is queued.
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_UNIT_DATAGRAM_DATAGRAM_FIXTURE_H_
