#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/integration/echo_client.h"
#include "tests/integration/load.h"
#include "tests/integration/peer_thread.h"

namespace transportd::load {
namespace {

// Is sent bytes without end, reads the first of them, then stops. Threading: loop thread only.
class StoppedClient final : public Protocol {
 public:
  void AskForFlood() { transport_->Write(std::string(1, kFloodRequest)).IgnoreError(); }
  void GoOn() {
    paused_ = false;
    transport_->ResumeReading();
  }
  void End() { transport_->Abort(); }

  void ConnectionMade(std::shared_ptr<Transport> transport) override { transport_ = std::move(transport); }
  void DataReceived(std::string_view data) override {
    for (const char byte : data) right_ = byte == FloodByte(received_bytes_++) && right_;
    if (paused_) right_ = false;  // Nothing may come after PauseReading.
    if (stops_) {
      stops_ = false;
      paused_ = true;
      transport_->PauseReading();
    }
  }
  void ConnectionLost(const ConnectionEnd& end) override { right_ = right_ && end.cause == EndCause::kLocalAbort; }

  uint64_t received_bytes() const { return received_bytes_; }
  bool paused() const { return paused_; }
  bool right() const { return right_; }

 private:
  std::shared_ptr<Transport> transport_;
  bool stops_ = true;
  bool paused_ = false;
  bool right_ = true;
  uint64_t received_bytes_ = 0;
};

void BeginPhase(const char* name) {
  std::printf("phase %s\n", name);
  std::fflush(stdout);
}

}  // namespace

int RunStalled(EventLoop& loop, int connection_count, Duration phase) {
  const PeerThread peer;
  const auto stopped = std::make_shared<StoppedClient>();
  std::vector<std::shared_ptr<EchoClient>> clients;
  int connected_count = 0;
  int lost_count = 0;
  bool ending = false;
  bool failed = false;
  int64_t message_count = 0;
  int64_t alone_count = 0;
  int64_t stopped_count = 0;
  uint64_t received_while_stopped = 0;

  const auto fail = [&](const std::string& why) {
    std::printf("%s\n", why.c_str());
    failed = true;
    loop.Stop();
  };
  const auto end = [&] {
    ending = true;  // Each client ends after the message that is on its way.
    if (stopped->received_bytes() <= received_while_stopped) fail("the stopped connection does not go on");
    stopped->End();
  };
  const auto end_stopped_phase = [&] {
    stopped_count = message_count;
    if (!stopped->paused()) fail("the flood never came");
    received_while_stopped = stopped->received_bytes();
    BeginPhase("resumed");
    stopped->GoOn();
    loop.CallLater(phase / 4, end);
  };
  const auto end_alone_phase = [&] {
    alone_count = message_count;
    BeginPhase("stopped");
    stopped->AskForFlood();
    // The windows fill; only then it is measured.
    loop.CallLater(phase / 4, [&] {
      message_count = 0;
      loop.CallLater(phase, end_stopped_phase);
    });
  };
  const auto begin = [&] {
    for (const auto& client : clients) client->Begin();
    loop.CallLater(phase / 4, [&] {
      BeginPhase("alone");
      message_count = 0;
      loop.CallLater(phase, end_alone_phase);
    });
  };
  const auto on_connected = [&](const absl::StatusOr<Connection>& connection) {
    if (!connection.ok()) return fail(connection.status().ToString());
    if (++connected_count < connection_count) return;
    BeginPhase("open");
    begin();
  };

  for (int index = 1; index < connection_count; ++index) {
    clients.push_back(std::make_shared<EchoClient>(
        static_cast<uint64_t>(index),
        [&] {
          ++message_count;
          return !ending;
        },
        [&](const std::string& why) {
          if (!why.empty()) fail(why);
          if (++lost_count == connection_count - 1) loop.Stop();
        }));
    loop.CreateConnection([client = clients.back()] { return client; }, peer.connect_options(), on_connected);
  }
  loop.CreateConnection([stopped] { return stopped; }, peer.connect_options(), on_connected);
  loop.RunForever();

  const double seconds = std::chrono::duration<double>(phase).count();
  const double alone_rate = static_cast<double>(alone_count) / seconds;
  const double stopped_rate = static_cast<double>(stopped_count) / seconds;
  std::printf("stalled: %d connections, %.0f messages/s alone, %.0f messages/s beside a stopped one, ratio %.2f\n",
              connection_count - 1, alone_rate, stopped_rate, stopped_rate / alone_rate);
  return !failed && stopped->right() ? 0 : 1;
}

}  // namespace transportd::load
