// Round trips of datagrams. One whose answer does not come in time counts as lost.
#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/bench/load/work.h"

namespace transportd::bench {
namespace {

constexpr Duration kLostAfter = std::chrono::milliseconds(200);

// Each datagram begins with its number, so that an answer that comes late is not taken for the next one's.
class Endpoint final : public DatagramProtocol {
 public:
  // `answered`: for the first time.
  Endpoint(Course& course, size_t size_bytes, std::function<void()> answered)
      : course_(course), datagram_(std::max(size_bytes, sizeof(number_)), 'x'), answered_(std::move(answered)) {}

  void Send() {
    ++number_;
    std::memcpy(datagram_.data(), &number_, sizeof(number_));
    sent_ = course_.Now();
    const absl::Status status = transport_->SendTo(datagram_);
    if (!status.ok()) course_.Fail("sendto", status);
  }
  // To be called every so often.
  void LookForLoss() {
    if (course_.Now() - sent_ < kLostAfter) return;
    course_.AddLost();
    Send();
  }

  void ConnectionMade(std::shared_ptr<DatagramTransport> transport) override { transport_ = std::move(transport); }
  void DatagramReceived(std::string_view data, const SocketAddress* /*address*/) override {
    if (data != datagram_) return;
    course_.AddLatency(sent_);
    Send();
    if (answered_) std::exchange(answered_, nullptr)();
  }
  // ECONNREFUSED of a relay that is not there any more, or not yet: LookForLoss comes to it.
  void ErrorReceived(const absl::Status& /*status*/) override {}
  void ConnectionLost(const DatagramEnd& end) override {
    if (!course_.is_over()) course_.Fail("a datagram endpoint was lost", end.status);
  }

 private:
  Course& course_;
  std::string datagram_;
  std::function<void()> answered_;
  uint64_t number_ = 0;
  std::shared_ptr<DatagramTransport> transport_;
  TimePoint sent_;
};

class UdpWork final : public Work {
 public:
  using Work::Work;

  void Open() override {
    const Settings& settings = course().settings();
    const int count = course().Share(settings.Number(1));
    for (int i = 0; i < count; ++i) {
      endpoints_.push_back(
          std::make_shared<Endpoint>(course(), static_cast<size_t>(settings.Number(2)), [this] { BeginNext(); }));
      CreateDatagramEndpointOptions options;
      options.remote = {.host = settings.host, .port = static_cast<uint32_t>(settings.Number(0))};
      course().loop().CreateDatagramEndpoint([endpoint = endpoints_.back()] { return endpoint; }, std::move(options),
                                             [this](const absl::StatusOr<DatagramEndpoint>& endpoint) {
                                               if (!endpoint.ok()) {
                                                 return course().Fail("create_datagram_endpoint", endpoint.status());
                                               }
                                               if (++open_count_ == endpoints_.size()) BeginAll();
                                             });
    }
  }

 private:
  // One after the other, each when the one before has been answered: relays that make a process for each endpoint lose
  // what comes meanwhile.
  void BeginAll() {
    LookForLossLater();
    BeginNext();
  }
  void BeginNext() {
    if (begun_count_ < endpoints_.size()) return endpoints_[begun_count_++]->Send();
    course().Ready([] {}, [this] { course().Done(); });
  }
  void LookForLossLater() {
    course().loop().CallLater(kLostAfter / 4, [this] {
      for (size_t i = 0; i < begun_count_; ++i) endpoints_[i]->LookForLoss();
      LookForLossLater();
    });
  }

  std::vector<std::shared_ptr<Endpoint>> endpoints_;
  size_t open_count_ = 0;
  size_t begun_count_ = 0;
};

}  // namespace

const WorkKind kUdpWork = {.name = "udp",
                           .arguments = "PORT ENDPOINTS SIZE",
                           .argument_count = 3,
                           .rate_name = "round_trips_per_s",
                           .make = MakeWork<UdpWork>};

}  // namespace transportd::bench
