#include "tests/integration/echo_client.h"

#include <cstring>

#include "transports/base/str_cat.h"

namespace transportd::load {
namespace {

// splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
uint64_t NextRandom(uint64_t& state) {
  state += 0x9e3779b97f4a7c15u;
  uint64_t value = state;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

}  // namespace

std::string MakeMessage(uint64_t connection_index, uint64_t message_index) {
  uint64_t state = (connection_index << 32) | message_index;
  std::string message(16 + NextRandom(state) % 1024, '\0');
  for (size_t at = 0; at < message.size(); at += sizeof(uint64_t)) {
    const uint64_t value = NextRandom(state);
    std::memcpy(&message[at], &value, std::min(sizeof(value), message.size() - at));
  }
  // What PeerThread takes for a wish never begins a message.
  message.front() = static_cast<char>(message.front() & 0x7f);
  return message;
}

void EchoClient::Begin() {
  if (transport_ != nullptr) Send();
}

void EchoClient::Send() {
  message_ = MakeMessage(index_, message_index_);
  echoed_bytes_ = 0;
  total_bytes_ += message_.size();
  transport_->Write(message_).IgnoreError();
}

void EchoClient::DataReceived(std::string_view data) {
  if (is_done_ || data != std::string_view(message_).substr(echoed_bytes_, data.size())) {
    failure_ = StrCat("connection ", index_, ": wrong bytes in message ", message_index_);
    transport_->Abort();
    return;
  }
  echoed_bytes_ += data.size();
  if (echoed_bytes_ < message_.size()) return;
  ++message_index_;
  if (on_message_()) return Send();
  is_done_ = true;
  transport_->WriteEof();
}

void EchoClient::ConnectionLost(const ConnectionEnd& end) {
  if (failure_.empty() && (!is_done_ || end.cause != EndCause::kEof || end.sent_bytes != total_bytes_ ||
                           end.received_bytes != total_bytes_ || end.dropped_bytes != 0)) {
    failure_ = StrCat("connection ", index_, ": ended with ", EndCauseName(end.cause), " after ", message_index_,
                      " messages, ", end.sent_bytes, " bytes sent, ", end.received_bytes, " received");
  }
  transport_.reset();
  on_lost_(std::move(failure_));
}

}  // namespace transportd::load
