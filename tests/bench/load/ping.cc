// One connection that pings: among others in bulk transfer, or after times of idleness.
#include <memory>
#include <random>

#include "tests/bench/load/connections.h"
#include "tests/bench/load/echo_client.h"

namespace transportd::bench {
namespace {

constexpr size_t kPingBytes = 64;

class PingAmongBulkWork final : public Work {
 public:
  using Work::Work;

  void Open() override {
    const Settings& settings = course().settings();
    OpenConnections(
        course(), settings.Number(0), 1,
        [this](int index) {
          ping_ =
              std::make_shared<EchoClient>(course(), index, kPingBytes, [this](EchoClient& client, TimePoint since) {
                course().AddLatency(since);
                client.Send();
              });
          return ping_;
        },
        [this, &settings] {
          OpenConnections(
              course(), settings.Number(1), settings.Number(2),
              [this](int) { return std::make_shared<Receiver>(course()); },
              [this] { course().Ready([this] { ping_->Send(); }, [this] { course().Done(); }); });
        });
  }

 private:
  class Receiver final : public Protocol {
   public:
    explicit Receiver(Course& course) : course_(course) {}
    void DataReceived(std::string_view data) override { course_.AddBytes(data.size()); }

   private:
    Course& course_;
  };

  std::shared_ptr<EchoClient> ping_;
};

// As many pings as are asked for, however long it takes.
class IdlePingWork final : public Work {
 public:
  using Work::Work;

  void Open() override {
    const Settings& settings = course().settings();
    left_count_ = settings.Number(1);
    OpenConnections(
        course(), settings.Number(0), 1,
        [this](int index) {
          ping_ = std::make_shared<EchoClient>(course(), index, kPingBytes, [this](EchoClient&, TimePoint since) {
            course().AddLatency(since);
            PingLater();
          });
          return ping_;
        },
        [this] {
          course().MeasureFromNow();
          PingLater();
        });
  }

 private:
  void PingLater() {
    if (left_count_-- == 0) return course().Done();
    const std::chrono::milliseconds idle(std::uniform_int_distribution(950, 1350)(random_));
    course().loop().CallLater(idle, [this] { ping_->Send(); });
  }

  int left_count_ = 0;
  std::mt19937 random_;
  std::shared_ptr<EchoClient> ping_;
};

}  // namespace

const WorkKind kPingAmongBulkWork = {.name = "ping-among-bulk",
                                     .arguments = "ECHO_PORT CHARGEN_PORT CONNECTIONS",
                                     .argument_count = 3,
                                     .rate_name = "round_trips_per_s",
                                     .make = MakeWork<PingAmongBulkWork>};
const WorkKind kIdlePingWork = {.name = "idle-ping",
                                .arguments = "PORT COUNT",
                                .argument_count = 2,
                                .rate_name = "",
                                .make = MakeWork<IdlePingWork>};

}  // namespace transportd::bench
