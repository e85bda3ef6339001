#include "tests/bench/load/connections.h"

#include <algorithm>
#include <utility>

namespace transportd::bench {
namespace {

constexpr int kMostUnderWay = 256;

// Held by the calls that are under way. Threading: loop thread only.
class Opening final : public std::enable_shared_from_this<Opening> {
 public:
  Opening(Course& course, int port, int count, std::function<std::shared_ptr<BaseProtocol>(int index)> make,
          std::function<void()> done)
      : course_(course), port_(port), count_(count), make_(std::move(make)), done_(std::move(done)) {}

  void Begin() {
    if (count_ == 0) return done_();
    for (int i = std::min(count_, kMostUnderWay); i > 0; --i) OpenNext();
  }

 private:
  void OpenNext() {
    if (begun_count_ == count_) return;
    course_.loop().CreateConnection([self = shared_from_this(), index = begun_count_] { return self->make_(index); },
                                    course_.settings().ConnectTo(port_),
                                    [self = shared_from_this()](const absl::StatusOr<Connection>& connection) {
                                      if (!connection.ok()) return self->course_.Fail("connect", connection.status());
                                      if (++self->open_count_ == self->count_) return self->done_();
                                      self->OpenNext();
                                    });
    ++begun_count_;
  }

  Course& course_;
  const int port_;
  const int count_;
  const std::function<std::shared_ptr<BaseProtocol>(int index)> make_;
  const std::function<void()> done_;
  int begun_count_ = 0;
  int open_count_ = 0;
};

}  // namespace

void OpenConnections(Course& course, int port, int count, std::function<std::shared_ptr<BaseProtocol>(int index)> make,
                     std::function<void()> done) {
  std::make_shared<Opening>(course, port, count, std::move(make), std::move(done))->Begin();
}

}  // namespace transportd::bench
