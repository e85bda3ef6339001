// The remote event loop under a hostile service: whatever frames come, it neither crashes nor leaks, and every protocol
// hears its callbacks in the order that protocol.h promises.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clients/cpp/remote_event_loop.h"
#include "tests/fuzz/client_steps.h"
#include "tests/fuzz/input.h"
#include "tests/support/frame_pieces.h"
#include "transportd/v1/event_loop.pb.h"
#include "transports/base/check.h"

namespace transportd::fuzz {
namespace {

// The service's end, worked by the input. Threading: the fuzzer's thread.
struct Wire {
  std::weak_ptr<FrameChannel::Handler> handler;
  bool sending = false;
  bool closed = false;
  uint64_t sequence = 0;
};

class InputChannel final : public FrameChannel {
 public:
  explicit InputChannel(std::shared_ptr<Wire> wire) : wire_(std::move(wire)) {}
  void Start(Reactor&, std::weak_ptr<Handler> handler) override { wire_->handler = std::move(handler); }
  void SendFrame(FrameBuffer frame) override {
    CHECK(!wire_->sending);
    wire_->sending = true;
    v1::SessionRequest request;
    CHECK(request.ParseFromArray(frame.data(), static_cast<int>(frame.size())));
    CHECK(request.sequence() == ++wire_->sequence);
  }
  void HalfClose() override {}

 private:
  const std::shared_ptr<Wire> wire_;
};

// Checks the order of callbacks. Threading: the fuzzer's thread.
class Grammar {
 public:
  void Made(const std::shared_ptr<Transport>& transport) {
    CHECK(transport_ == nullptr);
    transport_ = transport.get();
    if (closes_) transport_->Close();
  }
  void Data(size_t size_bytes) {
    CHECK(transport_ != nullptr && !eof_ && !lost_ && size_bytes > 0);
    CHECK(transport_->IsReading());
  }
  bool Eof() {
    CHECK(transport_ != nullptr && !eof_ && !lost_);
    // The peer's answer to TLS's leave is told while the transport closes.
    CHECK(transport_->IsReading() || (transport_->IsClosing() && transport_->GetExtraInfo().tls != nullptr));
    eof_ = true;
    return keeps_open_;
  }
  void Pause() {
    CHECK(transport_ != nullptr && !paused_ && !lost_);
    paused_ = true;
  }
  void Resume() {
    CHECK(paused_ && !lost_);
    paused_ = false;
  }
  void Lost() {
    CHECK(transport_ != nullptr && !lost_);
    lost_ = true;
  }

 protected:
  explicit Grammar(uint8_t options) : keeps_open_((options & 1) != 0), closes_((options & 4) != 0) {}

 private:
  const bool keeps_open_;
  const bool closes_;
  Transport* transport_ = nullptr;  // The loop holds it until Lost.
  bool eof_ = false;
  bool lost_ = false;
  bool paused_ = false;
};

class CheckedProtocol final : public Protocol, private Grammar {
 public:
  explicit CheckedProtocol(uint8_t options) : Grammar(options) {}
  void ConnectionMade(std::shared_ptr<Transport> transport) override { Made(transport); }
  void DataReceived(std::string_view data) override { Data(data.size()); }
  bool EofReceived() override { return Eof(); }
  void PauseWriting() override { Pause(); }
  void ResumeWriting() override { Resume(); }
  void ConnectionLost(const ConnectionEnd&) override { Lost(); }
};

class CheckedBufferedProtocol final : public BufferedProtocol, private Grammar {
 public:
  explicit CheckedBufferedProtocol(uint8_t options) : Grammar(options) {}
  void ConnectionMade(std::shared_ptr<Transport> transport) override { Made(transport); }
  std::span<char> GetBuffer(size_t) override { return buffer_; }
  void BufferUpdated(size_t size_bytes) override {
    CHECK(size_bytes <= sizeof(buffer_));
    Data(size_bytes);
  }
  bool EofReceived() override { return Eof(); }
  void PauseWriting() override { Pause(); }
  void ResumeWriting() override { Resume(); }
  void ConnectionLost(const ConnectionEnd&) override { Lost(); }

 private:
  char buffer_[5];
};

std::shared_ptr<BaseProtocol> MakeProtocol(uint8_t options) {
  if ((options & 2) != 0) return std::make_shared<CheckedBufferedProtocol>(options);
  return std::make_shared<CheckedProtocol>(options);
}

class Run final {
 public:
  Run() : wire_(std::make_shared<Wire>()) {
    auto loop = RemoteEventLoop::Create(std::make_unique<InputChannel>(wire_), {});
    CHECK(loop.ok());
    loop_ = *std::move(loop);
    loop_->SetExceptionHandler([](const ExceptionContext&) {});
    Turn();
  }

  void Do(uint8_t what, std::string_view bytes) {
    const uint8_t small = Small(bytes);
    Transport* transport = transports_.empty() ? nullptr : transports_[small % transports_.size()].get();
    Server* server = servers_.empty() ? nullptr : servers_[small % servers_.size()].get();
    switch (static_cast<ClientStep>(what % kClientStepCount)) {
      case ClientStep::kRawFrame:
        Deliver(std::string(bytes));
        break;
      case ClientStep::kFrame: {
        v1::SessionResponse frame;
        if (!frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) break;
        frame.set_sequence(++sequence_);
        Deliver(frame.SerializeAsString());
        break;
      }
      case ClientStep::kFrameSent:
        if (wire_->sending && !wire_->closed) {
          wire_->sending = false;
          if (const auto handler = wire_->handler.lock()) handler->OnFrameSent();
        }
        break;
      case ClientStep::kClosed:
        if (!std::exchange(wire_->closed, true)) {
          if (const auto handler = wire_->handler.lock())
            handler->OnClosed({static_cast<absl::StatusCode>(small % 17), ""});
        }
        break;
      case ClientStep::kCreateConnection:
        operations_.push_back(loop_->CreateConnection([small] { return MakeProtocol(small); }, {},
                                                      [this](absl::StatusOr<Connection> connection) {
                                                        if (connection.ok())
                                                          transports_.push_back(connection->transport);
                                                      }));
        break;
      case ClientStep::kCreateServer:
        operations_.push_back(loop_->CreateServer([small] { return MakeProtocol(small); }, {},
                                                  [this](absl::StatusOr<std::shared_ptr<Server>> made) {
                                                    if (made.ok()) servers_.push_back(*made);
                                                  }));
        break;
      case ClientStep::kCancel:
        if (!operations_.empty()) loop_->CancelOperation(operations_[small % operations_.size()]);
        break;
      case ClientStep::kWrite:
        if (transport != nullptr) transport->Write(bytes).IgnoreError();
        break;
      case ClientStep::kWriteEof:
        if (transport != nullptr) transport->WriteEof();
        break;
      case ClientStep::kClose:
        if (transport != nullptr) transport->Close();
        break;
      case ClientStep::kAbort:
        if (transport != nullptr) transport->Abort((small & 1) != 0);
        break;
      case ClientStep::kPauseReading:
        if (transport != nullptr) transport->PauseReading();
        break;
      case ClientStep::kResumeReading:
        if (transport != nullptr) transport->ResumeReading();
        break;
      case ClientStep::kSetLimits:
        if (transport != nullptr) {
          const uint64_t high_bytes = bytes.size() > 1 ? static_cast<uint8_t>(bytes[1]) : 0;
          transport->SetWriteBufferLimits({.high_bytes = high_bytes, .low_bytes = {}}).IgnoreError();
        }
        break;
      case ClientStep::kServerClose:
        if (server != nullptr) server->Close();
        break;
      case ClientStep::kCloseClients:
        if (server != nullptr) server->CloseClients();
        break;
      case ClientStep::kGetsockopt:
        if (transport != nullptr) transport->Getsockopt(SocketOption::kSoType, [](absl::StatusOr<int>) {});
        break;
    }
    Turn();
  }

 private:
  void Deliver(const std::string& bytes) {
    if (wire_->closed) return;
    if (const auto handler = wire_->handler.lock()) handler->OnFrame(cutter_.Cut(bytes));
  }
  void Turn() {
    for (int i = 0; i < 3; ++i) loop_->reactor().RunOnce(Duration(0));
  }

  const std::shared_ptr<Wire> wire_;
  std::unique_ptr<RemoteEventLoop> loop_;
  uint64_t sequence_ = 0;
  FrameCutter cutter_;
  std::vector<OperationId> operations_;
  std::vector<std::shared_ptr<Transport>> transports_;
  std::vector<std::shared_ptr<Server>> servers_;
};

}  // namespace

static void TestOneInput(const uint8_t* data, size_t size) {
  Run run;
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
