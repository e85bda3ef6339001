// A session under a hostile client: whatever frames come, in whatever order, it neither crashes nor leaks nor goes
// beyond its bounds.
//
// The session's sockets are real, and go to one listening socket of this program or nowhere: see LoopbackOnly.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/policy/authorizer.h"
#include "server/session/session.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/session_steps.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/frame_pieces.h"
#include "tests/support/raw_peer.h"
#include "transportd/v1/event_loop.pb.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/loop/epoll_event_loop.h"

namespace transportd::fuzz {
namespace {

constexpr char kHost[] = "127.0.0.1";

// Refuses every connection but those to `port` on loopback, and every server that listens elsewhere.
// Threading: immutable after construction.
class LoopbackOnly final : public Authorizer {
 public:
  explicit LoopbackOnly(uint16_t port) : port_(port) {}

  absl::Status Authorize(const Caller&, const Access& access) const override {
    bool allowed = true;
    if (access.request == nullptr) return absl::OkStatus();
    if (access.request->GetDescriptor() == v1::CreateConnectionRequest::descriptor()) {
      const auto& request = static_cast<const v1::CreateConnectionRequest&>(*access.request);
      allowed = request.remote().host() == kHost && request.remote().port() == port_ && !request.has_local();
    } else if (access.request->GetDescriptor() == v1::CreateServerRequest::descriptor()) {
      const auto& request = static_cast<const v1::CreateServerRequest&>(*access.request);
      allowed =
          request.hosts_size() > 0 && request.port() == 0 &&
          std::all_of(request.hosts().begin(), request.hosts().end(), [](const auto& host) { return host == kHost; });
    }
    if (allowed) return absl::OkStatus();
    return MakeError(absl::StatusCode::kPermissionDenied, "POLICY_DENIED", "not on loopback");
  }

 private:
  const uint16_t port_;
};

// The client's end, worked by the input. Threading: the fuzzer's thread.
class InputStream final : public FrameStream {
 public:
  explicit InputStream(uint64_t max_frame_bytes) : max_frame_bytes_(max_frame_bytes) {}

  void Start(Reactor&, std::weak_ptr<Handler> handler) override { handler_ = std::move(handler); }
  void ReadFrame() override {
    CHECK(!read_asked_ && !finished_);
    read_asked_ = true;
  }
  void SendFrame(FrameBuffer frame) override {
    CHECK(!sending_ && !finished_);
    sending_ = true;
    CHECK(frame.size() <= max_frame_bytes_);
    v1::SessionResponse response;
    CHECK(response.ParseFromArray(frame.data(), static_cast<int>(frame.size())));
    CHECK(response.sequence() == ++sequence_);
    for (const v1::Callback& callback : response.callbacks()) {
      if (!callback.has_reply() || !callback.reply().has_create_server()) continue;
      server_port_ = static_cast<uint16_t>(callback.reply().create_server().sockets(0).port());
    }
  }
  void Finish(absl::Status) override {
    CHECK(!finished_);
    finished_ = true;
  }

  void Deliver(const std::string& bytes) {
    const auto handler = handler_.lock();
    if (!read_asked_ || handler == nullptr || finished_ || ended_) return;
    read_asked_ = false;
    handler->OnFrame(cutter_.Cut(bytes));
  }
  void FrameSent() {
    const auto handler = handler_.lock();
    if (!sending_ || handler == nullptr || finished_ || ended_) return;
    sending_ = false;
    handler->OnFrameSent();
  }
  void HalfClose() {
    const auto handler = handler_.lock();
    if (!read_asked_ || handler == nullptr || finished_ || ended_) return;
    read_asked_ = false;
    half_closed_ = true;
    handler->OnHalfClosed();
  }
  void Lose() {
    const auto handler = handler_.lock();
    if (handler == nullptr || finished_ || ended_) return;
    ended_ = true;
    handler->OnLost();
  }

  // The port of the server that was made last; 0: none.
  uint16_t server_port() const { return server_port_; }

 private:
  const uint64_t max_frame_bytes_;
  std::weak_ptr<Handler> handler_;
  bool read_asked_ = false;
  bool sending_ = false;
  bool finished_ = false;
  bool half_closed_ = false;
  bool ended_ = false;
  uint64_t sequence_ = 0;
  FrameCutter cutter_;
  uint16_t server_port_ = 0;
};

SessionLimits SmallLimits() {
  SessionLimits limits;
  limits.max_client_frame_bytes = 65536;
  limits.max_server_frame_bytes = 65536;
  limits.max_transport_count = 4;
  limits.max_request_count = 4;
  limits.receive_window_bytes = 8192;
  limits.session_receive_window_bytes = 16384;
  limits.send_window_bytes = 8192;
  limits.session_send_window_bytes = 16384;
  return limits;
}

// What is made once: sockets and loops are dear. Threading: the fuzzer's thread.
struct World {
  World() {
    resolver.SetHosts(kHost, {kHost});
    EpollEventLoop::Options options;
    options.resolver = &resolver;
    auto made = EpollEventLoop::Create(options);
    CHECK(made.ok());
    loop = *std::move(made);
    // What servers and operations report is no news here.
    loop->SetExceptionHandler([](const ExceptionContext&) {});
    CHECK(listener.valid());
  }

  FakeResolver resolver;
  std::unique_ptr<EpollEventLoop> loop;
  RawListener listener;
  LoopbackOnly authorizer{listener.address().port};
};

class Run final {
 public:
  explicit Run(World& world) : world_(world), stream_(std::make_shared<InputStream>(limits_.max_server_frame_bytes)) {
    Session::Options options;
    options.id = "0123456789abcdef0123456789abcdef";
    options.number = 1;
    options.caller = {.principal = "dev", .peer = "fuzz"};
    options.streaming = true;
    options.limits = limits_;
    options.authorizer = &world.authorizer;
    options.budget = &budget_;
    options.on_ended = [this] { ended_ = true; };
    session_ = std::make_shared<Session>(*world.loop, std::move(options));
    session_->StartStreaming(stream_);
  }

  ~Run() {
    if (!ended_) session_->End(absl::OkStatus(), std::nullopt);
    for (int turn = 0; !ended_; ++turn) {
      CHECK(turn < 10'000);
      // A client that takes nothing any more is the carrier's to end.
      stream_->FrameSent();
      Turn();
    }
    session_ = nullptr;
    Turn();
    Turn();
    const EpollEventLoop::Counts counts = world_.loop->GetCounts();
    CHECK(counts.operations == 0 && counts.transports == 0 && counts.servers == 0);
    CHECK(world_.loop->reactor().GetCounts().timers == 0);
  }

  void Do(uint8_t what, std::string_view bytes) {
    switch (static_cast<SessionStep>(what % kSessionStepCount)) {
      case SessionStep::kRawFrame:
        stream_->Deliver(std::string(bytes));
        break;
      case SessionStep::kFrame:
        DeliverFitted(bytes);
        break;
      case SessionStep::kTurn:
        break;
      case SessionStep::kFrameSent:
        stream_->FrameSent();
        break;
      case SessionStep::kHalfClose:
        stream_->HalfClose();
        break;
      case SessionStep::kLose:
        stream_->Lose();
        break;
      case SessionStep::kPeerSends:
        if (RawPeer* peer = AnyPeer(bytes)) peer->TrySend(std::string(size_t{64} * Small(bytes), 'x'));
        break;
      case SessionStep::kPeerReads:
        if (RawPeer* peer = AnyPeer(bytes)) peer->Poll();
        break;
      case SessionStep::kPeerShutsDown:
        if (RawPeer* peer = AnyPeer(bytes)) peer->ShutdownWrite();
        break;
      case SessionStep::kPeerResets:
        if (RawPeer* peer = AnyPeer(bytes)) peer->Reset();
        break;
      case SessionStep::kDial:
        if (stream_->server_port() != 0 && peers_.size() < 8) {
          SocketAddress address = world_.listener.address();
          address.port = stream_->server_port();
          peers_.push_back(RawPeer::Connect(address));
        }
        break;
    }
    Turn();
  }

 private:
  // Numbers a frame rightly, and sends its connections to our own socket.
  void DeliverFitted(std::string_view bytes) {
    v1::SessionRequest frame;
    if (!frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
    frame.set_sequence(++client_sequence_);
    for (v1::Command& command : *frame.mutable_commands()) {
      if (!command.has_create_connection()) continue;
      command.mutable_create_connection()->mutable_remote()->set_host(kHost);
      command.mutable_create_connection()->mutable_remote()->set_port(world_.listener.address().port);
    }
    stream_->Deliver(frame.SerializeAsString());
  }

  void Turn() {
    world_.loop->reactor().RunOnce(Duration(0));
    if (RawPeer peer = world_.listener.TryAccept(); peer.valid() && peers_.size() < 8)
      peers_.push_back(std::move(peer));
    if (ended_) return;
    v1::SessionInfo info;
    session_->Describe(info);
    CHECK(info.transport_count() <= limits_.max_transport_count);
    // One socket read, and one frame, may be under way when the bound is met.
    CHECK(info.unacknowledged_bytes() <= limits_.session_receive_window_bytes + 262144 + limits_.callback_charge_bytes);
    CHECK(info.write_buffer_size_bytes() <= limits_.session_send_window_bytes + 2 * limits_.max_client_frame_bytes);
  }

  RawPeer* AnyPeer(std::string_view bytes) {
    if (peers_.empty()) return nullptr;
    RawPeer& peer = peers_[(bytes.size() > 1 ? static_cast<uint8_t>(bytes[1]) : 0) % peers_.size()];
    return peer.valid() ? &peer : nullptr;
  }

  World& world_;
  const SessionLimits limits_ = SmallLimits();
  ServiceBudget budget_{ServiceLimits{}};
  std::shared_ptr<InputStream> stream_;
  std::shared_ptr<Session> session_;
  std::vector<RawPeer> peers_;
  uint64_t client_sequence_ = 0;
  bool ended_ = false;
};

}  // namespace

static void TestOneInput(const uint8_t* data, size_t size) {
  static auto& world = *new World;
  Run run(world);
  Steps steps(data, size);
  uint8_t what = 0;
  std::string_view bytes;
  for (int i = 0; i < 200 && steps.Next(what, bytes); ++i) run.Do(what, bytes);
}

}  // namespace transportd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  transportd::fuzz::TestOneInput(data, size);
  return 0;
}
