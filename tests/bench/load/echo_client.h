// One connection of the load generator to an echo server.
#ifndef TRANSPORTD_TESTS_BENCH_LOAD_ECHO_CLIENT_H_
#define TRANSPORTD_TESTS_BENCH_LOAD_ECHO_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "tests/bench/load/work.h"

namespace transportd::bench {

// Sends a message when told to, checks what comes back, and tells when all of it is there.
// Threading: loop thread only.
class EchoClient final : public Protocol {
 public:
  // `echoed`: the whole message is back; it was sent at `since`.
  EchoClient(Course& course, int index, size_t size_bytes,
             std::function<void(EchoClient& self, TimePoint since)> echoed);

  void Send();
  const std::shared_ptr<Transport>& transport() const { return transport_; }

  // Protocol
  void ConnectionMade(std::shared_ptr<Transport> transport) override { transport_ = std::move(transport); }
  void DataReceived(std::string_view data) override;
  void ConnectionLost(const ConnectionEnd& end) override;

 private:
  Course& course_;
  std::string message_;
  const std::function<void(EchoClient& self, TimePoint since)> echoed_;
  std::shared_ptr<Transport> transport_;
  TimePoint sent_;
  size_t echoed_bytes_ = 0;
};

}  // namespace transportd::bench

#endif  // TRANSPORTD_TESTS_BENCH_LOAD_ECHO_CLIENT_H_
