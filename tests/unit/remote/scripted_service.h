// A remote event loop whose service is the test: frame by frame, byte by byte.
#ifndef TRANSPORTD_TESTS_UNIT_REMOTE_SCRIPTED_SERVICE_H_
#define TRANSPORTD_TESTS_UNIT_REMOTE_SCRIPTED_SERVICE_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "clients/cpp/remote_event_loop.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "transportd/v1/event_loop.pb.h"

namespace transportd {

// What the client did with its channel. Threading: the test's.
struct ChannelLog {
  std::vector<v1::SessionRequest> frames;
  std::vector<size_t> frame_sizes_bytes;
  std::weak_ptr<FrameChannel::Handler> handler;
  bool half_closed = false;
  bool destroyed = false;
  int unsent_count = 0;  // Frames whose OnFrameSent is still owed.
};

// Writes down what it is called with: "made", "data abc", "eof", "lost RESET", "pause", "resume". Threading: the
// test's.
class Recorder : public Protocol {
 public:
  explicit Recorder(std::vector<std::string>& events) : events_(events) {}
  void ConnectionMade(std::shared_ptr<Transport> made) override;
  void DataReceived(std::string_view data) override;
  bool EofReceived() override;
  void ConnectionLost(const ConnectionEnd& end) override;
  void PauseWriting() override { events_.push_back("pause"); }
  void ResumeWriting() override { events_.push_back("resume"); }

  std::shared_ptr<Transport> transport;
  ConnectionEnd end;
  bool keeps_open = false;  // What EofReceived answers.
  std::function<void()> on_data;
  std::function<void()> on_made;

 private:
  std::vector<std::string>& events_;
};

// The session is open when a test begins. Threading: the test's thread is the loop's.
class ScriptedService : public testing::Test {
 protected:
  static constexpr uint64_t kSendWindow = 1000;
  static constexpr uint64_t kReceiveWindow = 4000;
  static constexpr uint64_t kCharge = 10;

  void SetUp() override;
  void TearDown() override;

  // A fresh loop, whose service has not answered.
  void MakeLoop();
  // The answer to `open`, with these limits.
  void SendOpened(uint64_t max_client_frame_bytes = 100'000, uint64_t session_send_window_bytes = 100'000);
  // One frame with these callbacks, numbered as it must be; it arrives in pieces of this size.
  void Send(const std::vector<v1::Callback>& callbacks, size_t piece_bytes = SIZE_MAX);
  void SendBytes(const std::string& bytes, size_t piece_bytes = SIZE_MAX);
  void CloseStream(absl::Status status);
  // `count` turns. While `auto_sent` is set, frames count as sent at once.
  void Turn(int count = 3);
  void AnswerSent();

  // The commands that were sent since the last call, in order.
  std::vector<v1::Command> TakeCommands();
  // Those acknowledgements, the last of each transport: "1: 20 bytes, 2".
  std::vector<std::string> TakeAcknowledgements();

  // Connects transport `id`; `done` has been called when this returns.
  std::shared_ptr<Recorder> Connect(uint32_t id);
  // Asks for a connection; returns the request's id.
  uint32_t AskForConnection(std::shared_ptr<BaseProtocol> protocol, OperationId* operation = nullptr);

  static v1::Callback Made(uint32_t id, uint32_t request_id, uint32_t server_id = 0);
  static v1::Callback Connected(uint32_t id, uint32_t request_id);
  static v1::Callback Data(uint32_t id, std::string_view data);
  static v1::Callback Eof(uint32_t id);
  static v1::Callback Progress(uint32_t id, uint64_t sent_bytes);
  static v1::Callback Lost(uint32_t id, v1::EndCause cause, uint64_t sent_bytes = 0);
  static v1::Callback ReplyTo(uint32_t request_id);

  // Without the write, for comparing: "write 1 3", "close 1", "abort 1", …
  static std::vector<std::string> Describe(const std::vector<v1::Command>& commands);

  std::unique_ptr<RemoteEventLoop> loop;
  std::shared_ptr<ChannelLog> channel;
  std::vector<std::string> events;
  bool auto_sent = true;

 private:
  uint64_t sequence_ = 0;
  size_t commands_taken_ = 0;
  size_t acknowledgements_taken_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_UNIT_REMOTE_SCRIPTED_SERVICE_H_
