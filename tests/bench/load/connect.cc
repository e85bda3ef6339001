// Short connections, one after the other in each of several lanes: connect (with TLS, its handshake), one byte to an
// echo server and back, close, connection_lost.
#include <memory>

#include "tests/bench/load/work.h"

namespace transportd::bench {
namespace {

class ConnectWork final : public Work {
 public:
  using Work::Work;

  void Open() override {
    course().Ready(
        [this] {
          for (int i = course().Share(course().settings().Number(1)); i > 0; --i) ConnectNext();
        },
        [this] { course().Done(); });
  }

 private:
  class Client final : public Protocol {
   public:
    Client(ConnectWork& work, TimePoint begin) : work_(work), begin_(begin) {}

    void ConnectionMade(std::shared_ptr<Transport> transport) override {
      transport_ = std::move(transport);
      transport_->Write("x").IgnoreError();
    }
    void DataReceived(std::string_view /*data*/) override {
      is_answered_ = true;
      transport_->Close();
    }
    void ConnectionLost(const ConnectionEnd& end) override {
      transport_.reset();
      if (work_.course().is_over()) return;
      if (!is_answered_) return work_.course().Fail("lost before the answer", end.status);
      work_.course().AddLatency(begin_);
      work_.ConnectNext();
    }

   private:
    ConnectWork& work_;
    const TimePoint begin_;
    std::shared_ptr<Transport> transport_;
    bool is_answered_ = false;
  };

  void ConnectNext() {
    if (course().is_over()) return;
    const Settings& settings = course().settings();
    const TimePoint begin = course().Now();
    course().loop().CreateConnection([this, begin] { return std::make_shared<Client>(*this, begin); },
                                     settings.ConnectTo(settings.Number(0)),
                                     [this](const absl::StatusOr<Connection>& connection) {
                                       if (!connection.ok()) course().Fail("connect", connection.status());
                                     });
  }
};

}  // namespace

const WorkKind kConnectWork = {.name = "connect",
                               .arguments = "PORT CONCURRENCY",
                               .argument_count = 2,
                               .rate_name = "connections_per_s",
                               .make = MakeWork<ConnectWork>};

}  // namespace transportd::bench
