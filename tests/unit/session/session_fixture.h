// A session for a test: on a loop of its own, with a stream in memory.
#ifndef TRANSPORTD_TESTS_UNIT_SESSION_SESSION_FIXTURE_H_
#define TRANSPORTD_TESTS_UNIT_SESSION_SESSION_FIXTURE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/session/session.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/raw_peer.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/session/memory_frame_stream.h"

namespace transportd {

inline v1::SessionRequest OpenFrame(bool acknowledged = true) {
  v1::SessionRequest frame;
  frame.mutable_open()->set_revision(1);
  frame.mutable_open()->set_acknowledged(acknowledged);
  return frame;
}

inline SocketAddress AddressOf(const v1::CreateServerResponse& server) {
  SocketAddress address;
  address.family = AddressFamily::kInet;
  address.host = server.sockets(0).host();
  address.port = static_cast<uint16_t>(server.sockets(0).port());
  return address;
}

// Refuses everything once it is told to, and remembers what it was asked. Threading: the test's.
class RefusingAuthorizer final : public Authorizer {
 public:
  absl::Status Authorize(const Caller& caller, const Access& access) const override {
    EXPECT_EQ(caller.principal, "dev");
    if (!refuses) return absl::OkStatus();
    asked.emplace_back(access.method);
    requests.push_back(access.request == nullptr ? "" : access.request->SerializeAsString());
    return MakeError(absl::StatusCode::kPermissionDenied, "POLICY_DENIED", "not allowed");
  }
  bool refuses = false;
  mutable std::vector<std::string> asked;
  mutable std::vector<std::string> requests;  // Serialized; empty for none.
};

// Threading: the test's thread is the loop's.
class SessionTest : public testing::Test {
 protected:
  void SetUp() override {
    auto loop = EpollEventLoop::Create();
    ASSERT_TRUE(loop.ok());
    loop_ = *std::move(loop);
  }

  void TearDown() override {
    if (session_ != nullptr && !ended_) session_->End(absl::OkStatus(), std::nullopt);
    EXPECT_TRUE(RunUntil([&] { return session_ == nullptr || ended_; }));
    session_ = nullptr;
    stream_ = nullptr;
    ExpectNothingLeft(loop_->reactor());
    EXPECT_EQ(loop_->GetCounts().transports, 0u);
    EXPECT_EQ(loop_->GetCounts().servers, 0u);
    EXPECT_EQ(loop_->GetCounts().operations, 0u);
    loop_ = nullptr;
    EXPECT_FALSE(budget_.OverBufferedBytes());
    EXPECT_TRUE(budget_.TakeTransport());
  }

  bool RunUntil(const std::function<bool()>& condition) { return transportd::RunUntil(loop_->reactor(), condition); }

  void Start(bool takes_frames = true) {
    Make(/*streaming=*/true);
    stream_ = std::make_shared<MemoryFrameStream>(takes_frames);
    session_->StartStreaming(stream_);
  }
  void Make(bool streaming) {
    Session::Options options;
    options.id = "0123456789abcdef0123456789abcdef";
    options.number = 1;
    options.caller = {.principal = "dev", .peer = "test"};
    options.streaming = streaming;
    options.limits = limits_;
    options.authorizer = &authorizer_;
    options.guard = std::move(guard_);
    options.budget = &budget_;
    options.on_ended = [this] { ended_ = true; };
    session_ = std::make_shared<Session>(*loop_, std::move(options));
  }
  void StartOpen(bool acknowledged = true, bool takes_frames = true) {
    Start(takes_frames);
    stream_->Deliver(OpenFrame(acknowledged));
    ASSERT_TRUE(RunUntil([&] { return stream_->opened().has_value(); }));
  }

  const v1::Reply* Ask(v1::Command command, uint32_t request_id) {
    command.set_request_id(request_id);
    EXPECT_TRUE(RunUntil([&] { return stream_->read_asked(); }));
    stream_->Deliver(command);
    EXPECT_TRUE(RunUntil([&] { return stream_->FindReply(request_id) != nullptr; }));
    return stream_->FindReply(request_id);
  }
  static v1::Command ConnectTo(const SocketAddress& address) {
    v1::Command command;
    command.mutable_create_connection()->mutable_remote()->set_host(address.host);
    command.mutable_create_connection()->mutable_remote()->set_port(address.port);
    return command;
  }
  uint32_t Connect(const SocketAddress& address) {
    const v1::Reply* reply = Ask(ConnectTo(address), ++last_request_id_);
    EXPECT_TRUE(reply->has_create_connection()) << reply->DebugString();
    return reply->create_connection().transport_id();
  }
  void Write(uint32_t id, std::string data) {
    v1::Command command;
    command.set_transport_id(id);
    command.set_write(std::move(data));
    ASSERT_TRUE(RunUntil([&] { return stream_->read_asked(); }));
    stream_->Deliver(command);
  }
  void Acknowledge(uint32_t id) {
    v1::SessionRequest request;
    v1::Acknowledgement& acknowledgement = *request.add_acknowledgements();
    acknowledgement.set_transport_id(id);
    acknowledgement.set_data_bytes(stream_->Data(id).size());
    acknowledgement.set_data_count(stream_->DataCount(id));
    stream_->Deliver(std::move(request));
  }
  void ExpectStreamEnds(absl::StatusCode code, std::string_view reason) {
    ASSERT_TRUE(RunUntil([&] { return stream_->finished().has_value(); }));
    EXPECT_EQ(stream_->finished()->code(), code);
    if (!stream_->finished()->ok()) {
      EXPECT_EQ(ToTransportError(*stream_->finished()).reason, reason);
    }
    EXPECT_TRUE(RunUntil([&] { return ended_; }));
  }

  SessionLimits limits_;
  ServiceBudget budget_{ServiceLimits{}};
  RefusingAuthorizer authorizer_;
  std::unique_ptr<SessionGuard> guard_;  // The next session's; null: none.
  std::unique_ptr<EpollEventLoop> loop_;
  std::shared_ptr<Session> session_;
  std::shared_ptr<MemoryFrameStream> stream_;
  bool ended_ = false;
  uint32_t last_request_id_ = 1000;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_UNIT_SESSION_SESSION_FIXTURE_H_
