// A protocol that has messages echoed and compares every byte.
#ifndef TRANSPORTD_TESTS_INTEGRATION_ECHO_CLIENT_H_
#define TRANSPORTD_TESTS_INTEGRATION_ECHO_CLIENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "transports/api/protocol.h"
#include "transports/api/transport.h"

namespace transportd::load {

// Message `message_index` of connection `connection_index`: 16 to 1039 bytes that no other message has.
std::string MakeMessage(uint64_t connection_index, uint64_t message_index);

// One message at a time. Threading: loop thread only.
class EchoClient final : public Protocol {
 public:
  // `on_message`: a message came back right; false: that was the last one. `on_lost`: once, last; the sentence is empty
  // when all was well.
  EchoClient(uint64_t connection_index, absl::AnyInvocable<bool()> on_message,
             absl::AnyInvocable<void(std::string)> on_lost)
      : index_(connection_index), on_message_(std::move(on_message)), on_lost_(std::move(on_lost)) {}

  // Sends the first message.
  void Begin();

  void ConnectionMade(std::shared_ptr<Transport> transport) override { transport_ = std::move(transport); }
  void DataReceived(std::string_view data) override;
  void ConnectionLost(const ConnectionEnd& end) override;

 private:
  void Send();

  const uint64_t index_;
  absl::AnyInvocable<bool()> on_message_;
  absl::AnyInvocable<void(std::string)> on_lost_;
  std::shared_ptr<Transport> transport_;
  uint64_t message_index_ = 0;
  std::string message_;
  size_t echoed_bytes_ = 0;
  uint64_t total_bytes_ = 0;
  bool is_done_ = false;
  std::string failure_;
};

}  // namespace transportd::load

#endif  // TRANSPORTD_TESTS_INTEGRATION_ECHO_CLIENT_H_
