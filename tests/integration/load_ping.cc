#include <chrono>
#include <cstdio>
#include <memory>
#include <random>
#include <string>

#include "tests/integration/load.h"
#include "tests/integration/peer_thread.h"
#include "transports/base/clock.h"

namespace transportd::load {
namespace {

constexpr std::string_view kPing = "ping after a pause";

// Threading: loop thread only.
class PingClient final : public Protocol {
 public:
  PingClient(EventLoop& loop, int ping_count, uint32_t seed) : loop_(loop), left_(ping_count), random_(seed) {}

  void ConnectionMade(std::shared_ptr<Transport> transport) override {
    transport_ = std::move(transport);
    PingLater();
  }
  void DataReceived(std::string_view data) override {
    if (data != kPing.substr(echoed_bytes_, data.size())) return loop_.Stop();
    echoed_bytes_ += data.size();
    if (echoed_bytes_ < kPing.size()) return;
    const std::chrono::duration<double, std::micro> took = SystemClock().Now() - sent_;
    std::printf("ping_us %.0f\n", took.count());
    if (--left_ == 0) return loop_.Stop();
    PingLater();
  }
  void ConnectionLost(const ConnectionEnd&) override { loop_.Stop(); }

  bool done() const { return left_ == 0; }

 private:
  void PingLater() {
    const std::chrono::milliseconds idle(std::uniform_int_distribution(1000, 1300)(random_));
    loop_.CallLater(idle, [this] {
      echoed_bytes_ = 0;
      sent_ = SystemClock().Now();
      transport_->Write(kPing).IgnoreError();
    });
  }

  EventLoop& loop_;
  int left_;
  std::mt19937 random_;
  std::shared_ptr<Transport> transport_;
  TimePoint sent_;
  size_t echoed_bytes_ = 0;
};

}  // namespace

int RunPing(EventLoop& loop, int ping_count, uint32_t seed) {
  const PeerThread peer;
  const auto client = std::make_shared<PingClient>(loop, ping_count, seed);
  loop.CreateConnection([client] { return client; }, peer.connect_options(),
                        [&](const absl::StatusOr<Connection>& connection) {
                          if (!connection.ok()) loop.Stop();
                        });
  loop.RunForever();
  return client->done() ? 0 : 1;
}

}  // namespace transportd::load
