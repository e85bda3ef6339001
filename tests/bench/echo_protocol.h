// What an echo server does, at either end of a benchmark.
#ifndef TRANSPORTD_TESTS_BENCH_ECHO_PROTOCOL_H_
#define TRANSPORTD_TESTS_BENCH_ECHO_PROTOCOL_H_

#include <memory>
#include <string_view>
#include <utility>

#include "transports/api/protocol.h"
#include "transports/api/transport.h"

namespace transportd::bench {

// Sends back what it receives, and reads no faster than that goes. Threading: loop thread only.
class EchoProtocol final : public Protocol {
 public:
  void ConnectionMade(std::shared_ptr<Transport> transport) override { transport_ = std::move(transport); }
  void DataReceived(std::string_view data) override { transport_->Write(data).IgnoreError(); }
  void PauseWriting() override { transport_->PauseReading(); }
  void ResumeWriting() override { transport_->ResumeReading(); }
  void ConnectionLost(const ConnectionEnd& /*end*/) override { transport_.reset(); }

 private:
  std::shared_ptr<Transport> transport_;
};

}  // namespace transportd::bench

#endif  // TRANSPORTD_TESTS_BENCH_ECHO_PROTOCOL_H_
