// A datagram protocol that writes down what it is called with.
#ifndef TRANSPORTD_TESTS_UNIT_DATAGRAM_RECORDING_DATAGRAM_PROTOCOL_H_
#define TRANSPORTD_TESTS_UNIT_DATAGRAM_RECORDING_DATAGRAM_PROTOCOL_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "transports/api/datagram.h"

namespace transportd {

// What happened, and what to do when it happens. Threading: loop thread only.
struct DatagramRecord {
  std::vector<std::string> events;  // "made", "datagram", "error", "pause", "resume", "lost".
  std::vector<std::string> received;
  std::vector<std::optional<SocketAddress>> senders;
  std::vector<absl::Status> errors;
  uint64_t settled_bytes = 0;
  std::optional<DatagramEnd> end;
  std::shared_ptr<DatagramTransport> transport;

  std::function<void()> on_made, on_datagram, on_error, on_pause, on_resume, on_progress, on_lost;

  bool lost() const { return end.has_value(); }

  void Note(const std::string& event, const std::function<void()>& action) {
    events.push_back(event);
    if (action) action();
  }
};

class RecordingDatagramProtocol final : public DatagramProtocol {
 public:
  explicit RecordingDatagramProtocol(DatagramRecord& record) : record_(record) {}

  void ConnectionMade(std::shared_ptr<DatagramTransport> transport) override {
    record_.transport = std::move(transport);
    record_.Note("made", record_.on_made);
  }
  void DatagramReceived(std::string_view data, const SocketAddress* address) override {
    record_.received.emplace_back(data);
    record_.senders.push_back(address == nullptr ? std::nullopt : std::optional<SocketAddress>(*address));
    record_.Note("datagram", record_.on_datagram);
  }
  void ErrorReceived(const absl::Status& status) override {
    record_.errors.push_back(status);
    record_.Note("error", record_.on_error);
  }
  void PauseWriting() override { record_.Note("pause", record_.on_pause); }
  void ResumeWriting() override { record_.Note("resume", record_.on_resume); }
  void WriteProgress(uint64_t settled_bytes) override {
    record_.settled_bytes = settled_bytes;
    if (record_.on_progress) record_.on_progress();
  }
  void ConnectionLost(const DatagramEnd& end) override {
    record_.end = end;
    record_.Note("lost", record_.on_lost);
  }

 private:
  DatagramRecord& record_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_UNIT_DATAGRAM_RECORDING_DATAGRAM_PROTOCOL_H_
