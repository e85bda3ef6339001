#include "tests/bench/load/echo_client.h"

#include <algorithm>
#include <utility>

namespace transportd::bench {

EchoClient::EchoClient(Course& course, int index, size_t size_bytes,
                       std::function<void(EchoClient& self, TimePoint since)> echoed)
    : course_(course), message_(size_bytes, '\0'), echoed_(std::move(echoed)) {
  // So that bytes of another connection, or of another place in this one, do not pass for the right ones.
  for (size_t i = 0; i < message_.size(); ++i) message_[i] = static_cast<char>(i * 7 + static_cast<size_t>(index));
}

void EchoClient::Send() {
  echoed_bytes_ = 0;
  sent_ = course_.Now();
  const absl::Status status = transport_->Write(message_);
  if (!status.ok()) course_.Fail("write", status);
}

void EchoClient::DataReceived(std::string_view data) {
  const size_t expected_bytes = std::min(data.size(), message_.size() - echoed_bytes_);
  if (data != std::string_view(message_).substr(echoed_bytes_, expected_bytes)) {
    return course_.Fail("an echo is not what was sent");
  }
  echoed_bytes_ += data.size();
  if (echoed_bytes_ == message_.size()) echoed_(*this, sent_);
}

void EchoClient::ConnectionLost(const ConnectionEnd& end) {
  if (!course_.is_over()) course_.Fail("a connection was lost", end.status);
}

}  // namespace transportd::bench
