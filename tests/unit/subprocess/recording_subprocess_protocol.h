// A subprocess protocol that writes down what it is called with.
#ifndef TRANSPORTD_TESTS_UNIT_SUBPROCESS_RECORDING_SUBPROCESS_PROTOCOL_H_
#define TRANSPORTD_TESTS_UNIT_SUBPROCESS_RECORDING_SUBPROCESS_PROTOCOL_H_

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "transports/api/subprocess.h"

namespace transportd {

// What happened, and what to do when it happens. Threading: loop thread only.
struct SubprocessRecord {
  std::vector<std::string> events;  // "made", "data1", "lost0", "exited", "pause", …, "lost"; data only once in a row.
  std::array<std::string, 3> received;
  std::array<std::optional<ConnectionEnd>, 3> pipe_end;
  std::optional<ConnectionEnd> end;
  std::optional<int> returncode_at_exit;
  std::shared_ptr<SubprocessTransport> transport;

  std::function<void()> on_made, on_data, on_pipe_lost, on_exited, on_lost;

  bool lost() const { return end.has_value(); }
  bool exited() const { return returncode_at_exit.has_value(); }
  const std::string& out() const { return received[1]; }
  const std::string& err() const { return received[2]; }

  void Note(const std::string& event, const std::function<void()>& action = nullptr) {
    if (!event.starts_with("data") || events.empty() || events.back() != event) events.push_back(event);
    if (action) action();
  }
};

class RecordingSubprocessProtocol final : public SubprocessProtocol {
 public:
  explicit RecordingSubprocessProtocol(SubprocessRecord& record) : record_(record) {}

  void ConnectionMade(std::shared_ptr<SubprocessTransport> transport) override {
    record_.transport = std::move(transport);
    record_.Note("made", record_.on_made);
  }
  void PipeDataReceived(int fd, std::string_view data) override {
    record_.received.at(static_cast<size_t>(fd)) += data;
    record_.Note("data" + std::to_string(fd), record_.on_data);
  }
  void PipeConnectionLost(int fd, const ConnectionEnd& end) override {
    record_.pipe_end.at(static_cast<size_t>(fd)) = end;
    record_.Note("lost" + std::to_string(fd), record_.on_pipe_lost);
  }
  void ProcessExited() override {
    record_.returncode_at_exit = record_.transport->GetReturncode();
    record_.Note("exited", record_.on_exited);
  }
  void PauseWriting() override { record_.Note("pause"); }
  void ResumeWriting() override { record_.Note("resume"); }
  void ConnectionLost(const ConnectionEnd& end) override {
    record_.end = end;
    record_.Note("lost", record_.on_lost);
  }

 private:
  SubprocessRecord& record_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_UNIT_SUBPROCESS_RECORDING_SUBPROCESS_PROTOCOL_H_
