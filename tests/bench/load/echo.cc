// Round trips: each connection sends a message when the one before is back.
#include <memory>
#include <vector>

#include "tests/bench/load/connections.h"
#include "tests/bench/load/echo_client.h"

namespace transportd::bench {
namespace {

class EchoWork final : public Work {
 public:
  using Work::Work;

  void Open() override {
    const Settings& settings = course().settings();
    const auto size_bytes = static_cast<size_t>(settings.Number(2));
    OpenConnections(
        course(), settings.Number(0), course().Share(settings.Number(1)),
        [this, size_bytes](int index) {
          clients_.push_back(
              std::make_shared<EchoClient>(course(), index, size_bytes, [this](EchoClient& client, TimePoint since) {
                course().AddLatency(since);
                client.Send();
              }));
          return clients_.back();
        },
        [this] {
          course().Ready(
              [this] {
                for (const auto& client : clients_) client->Send();
              },
              [this] { course().Done(); });
        });
  }

 private:
  std::vector<std::shared_ptr<EchoClient>> clients_;
};

}  // namespace

const WorkKind kEchoWork = {.name = "echo",
                            .arguments = "PORT CONNECTIONS SIZE",
                            .argument_count = 3,
                            .rate_name = "round_trips_per_s",
                            .make = MakeWork<EchoWork>};

}  // namespace transportd::bench
