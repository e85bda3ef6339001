#include "tests/unit/remote/scripted_service.h"

#include <algorithm>
#include <map>
#include <utility>

#include "tests/support/frame_pieces.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

class ScriptedChannel final : public FrameChannel {
 public:
  explicit ScriptedChannel(std::shared_ptr<ChannelLog> log) : log_(std::move(log)) {}
  ~ScriptedChannel() override { log_->destroyed = true; }
  void Start(Reactor&, std::weak_ptr<Handler> handler) override { log_->handler = std::move(handler); }
  void SendFrame(FrameBuffer frame) override {
    EXPECT_EQ(log_->unsent_count, 0) << "a frame is still on its way";
    ++log_->unsent_count;
    log_->frame_sizes_bytes.push_back(frame.size());
    EXPECT_TRUE(log_->frames.emplace_back().ParseFromArray(frame.data(), static_cast<int>(frame.size())));
    EXPECT_EQ(log_->frames.back().sequence(), log_->frames.size());
  }
  void HalfClose() override { log_->half_closed = true; }

 private:
  const std::shared_ptr<ChannelLog> log_;
};

}  // namespace

void Recorder::ConnectionMade(std::shared_ptr<Transport> made) {
  transport = std::move(made);
  events_.push_back("made");
  if (on_made) on_made();
}

void Recorder::DataReceived(std::string_view data) {
  events_.push_back(StrCat("data ", data));
  if (on_data) on_data();
}

bool Recorder::EofReceived() {
  events_.push_back("eof");
  return keeps_open;
}

void Recorder::ConnectionLost(const ConnectionEnd& lost) {
  end = lost;
  events_.push_back(StrCat("lost ", EndCauseName(lost.cause)));
}

void ScriptedService::SetUp() {
  MakeLoop();
  SendOpened();
  Turn();
  ASSERT_TRUE(loop->IsConnected());
}

void ScriptedService::TearDown() {
  loop.reset();
  if (channel != nullptr) {
    EXPECT_TRUE(channel->half_closed);
    EXPECT_TRUE(channel->destroyed);
  }
}

void ScriptedService::MakeLoop() {
  loop.reset();
  channel = std::make_shared<ChannelLog>();
  sequence_ = 0;
  commands_taken_ = acknowledgements_taken_ = 0;
  auto made =
      RemoteEventLoop::Create(std::make_unique<ScriptedChannel>(channel), {.client_name = "test", .clock = nullptr});
  ASSERT_TRUE(made.ok());
  loop = *std::move(made);
}

void ScriptedService::SendOpened(uint64_t max_client_frame_bytes, uint64_t session_send_window_bytes) {
  v1::SessionResponse frame;
  frame.set_sequence(++sequence_);
  frame.mutable_opened()->set_revision(1);
  v1::Limits& limits = *frame.mutable_opened()->mutable_limits();
  limits.set_max_client_frame_bytes(max_client_frame_bytes);
  limits.set_receive_window_bytes(kReceiveWindow);
  limits.set_callback_charge_bytes(kCharge);
  limits.set_session_receive_window_bytes(1'000'000);
  limits.set_send_window_bytes(kSendWindow);
  limits.set_session_send_window_bytes(session_send_window_bytes);
  SendBytes(frame.SerializeAsString());
}

void ScriptedService::Send(const std::vector<v1::Callback>& callbacks, size_t piece_bytes) {
  v1::SessionResponse frame;
  frame.set_sequence(++sequence_);
  for (const v1::Callback& callback : callbacks) *frame.add_callbacks() = callback;
  SendBytes(frame.SerializeAsString(), piece_bytes);
}

void ScriptedService::SendBytes(const std::string& bytes, size_t piece_bytes) {
  loop->reactor().CallSoon([handler = channel->handler, bytes, piece_bytes] {
    if (const auto strong = handler.lock()) strong->OnFrame(CutFrame(bytes, std::min(piece_bytes, bytes.size() + 1)));
  });
  Turn();
}

void ScriptedService::CloseStream(absl::Status status) {
  loop->reactor().CallSoon([handler = channel->handler, status] {
    if (const auto strong = handler.lock()) strong->OnClosed(status);
  });
  Turn();
}

void ScriptedService::AnswerSent() {
  if (channel->unsent_count == 0) return;
  --channel->unsent_count;
  loop->reactor().CallSoon([handler = channel->handler] {
    if (const auto strong = handler.lock()) strong->OnFrameSent();
  });
}

void ScriptedService::Turn(int count) {
  for (int i = 0; i < count; ++i) {
    if (auto_sent) AnswerSent();
    loop->reactor().RunOnce(Duration(0));
  }
}

std::vector<v1::Command> ScriptedService::TakeCommands() {
  std::vector<v1::Command> commands;
  for (; commands_taken_ < channel->frames.size(); ++commands_taken_) {
    for (const v1::Command& command : channel->frames[commands_taken_].commands()) commands.push_back(command);
  }
  return commands;
}

std::vector<std::string> ScriptedService::TakeAcknowledgements() {
  std::map<uint32_t, std::string> last;
  for (; acknowledgements_taken_ < channel->frames.size(); ++acknowledgements_taken_) {
    for (const v1::Acknowledgement& one : channel->frames[acknowledgements_taken_].acknowledgements()) {
      last[one.transport_id()] = StrCat(one.transport_id(), ": ", one.data_bytes(), " bytes, ", one.data_count());
    }
  }
  std::vector<std::string> all;
  for (const auto& [id, text] : last) all.push_back(text);
  return all;
}

uint32_t ScriptedService::AskForConnection(std::shared_ptr<BaseProtocol> protocol, OperationId* operation) {
  const OperationId id = loop->CreateConnection(
      [protocol] { return protocol; },
      {.remote = {.host = "127.0.0.1", .port = 80},
       .local = {},
       .happy_eyeballs_delay = {},
       .interleave = {},
       .timeout = {},
       .write_buffer_limits = {}},
      [this](const absl::StatusOr<Connection>& connection) {
        events.push_back(connection.ok() ? "done" : StrCat("failed ", ToTransportError(connection.status()).reason));
      });
  if (operation != nullptr) *operation = id;
  Turn();
  const std::vector<v1::Command> commands = TakeCommands();
  return commands.empty() ? 0 : commands.back().request_id();
}

std::shared_ptr<Recorder> ScriptedService::Connect(uint32_t id) {
  auto protocol = std::make_shared<Recorder>(events);
  const uint32_t request_id = AskForConnection(protocol);
  Send({Made(id, request_id), Connected(id, request_id)});
  EXPECT_EQ(events, (std::vector<std::string>{"made", "done"}));
  events.clear();
  TakeCommands();
  return protocol;
}

v1::Callback ScriptedService::Made(uint32_t id, uint32_t request_id, uint32_t server_id) {
  v1::Callback callback;
  callback.set_transport_id(id);
  v1::ConnectionMade& made = *callback.mutable_connection_made();
  made.set_request_id(request_id);
  made.set_server_id(server_id);
  v1::SocketAddress& peername = *made.mutable_extra_info()->mutable_peername();
  peername.set_family(v1::ADDRESS_FAMILY_INET);
  peername.set_host("127.0.0.1");
  peername.set_port(80);
  return callback;
}

v1::Callback ScriptedService::Connected(uint32_t id, uint32_t request_id) {
  v1::Callback callback = ReplyTo(request_id);
  callback.mutable_reply()->mutable_create_connection()->set_transport_id(id);
  return callback;
}

v1::Callback ScriptedService::Data(uint32_t id, std::string_view data) {
  v1::Callback callback;
  callback.set_transport_id(id);
  callback.set_data_received(std::string(data));
  return callback;
}

v1::Callback ScriptedService::Eof(uint32_t id) {
  v1::Callback callback;
  callback.set_transport_id(id);
  callback.mutable_eof_received();
  return callback;
}

v1::Callback ScriptedService::Progress(uint32_t id, uint64_t sent_bytes) {
  v1::Callback callback;
  callback.set_transport_id(id);
  callback.set_write_progress(sent_bytes);
  return callback;
}

v1::Callback ScriptedService::Lost(uint32_t id, v1::EndCause cause, uint64_t sent_bytes) {
  v1::Callback callback;
  callback.set_transport_id(id);
  callback.mutable_connection_lost()->set_cause(cause);
  callback.mutable_connection_lost()->set_sent_bytes(sent_bytes);
  return callback;
}

v1::Callback ScriptedService::ReplyTo(uint32_t request_id) {
  v1::Callback callback;
  callback.mutable_reply()->set_request_id(request_id);
  return callback;
}

std::vector<std::string> ScriptedService::Describe(const std::vector<v1::Command>& commands) {
  std::vector<std::string> all;
  for (const v1::Command& command : commands) {
    switch (command.command_case()) {
      case v1::Command::kWrite:
        all.push_back(StrCat("write ", command.transport_id(), " ", command.write().size()));
        break;
      case v1::Command::kClose:
        all.push_back(StrCat("close ", command.close().transport_id()));
        break;
      case v1::Command::kAbort:
        all.push_back(StrCat("abort ", command.abort().transport_id(), command.abort().reset() ? " reset" : ""));
        break;
      case v1::Command::kWriteEof:
        all.push_back(StrCat("write_eof ", command.write_eof().transport_id()));
        break;
      case v1::Command::kPauseReading:
        all.push_back(StrCat("pause_reading ", command.pause_reading().transport_id()));
        break;
      case v1::Command::kResumeReading:
        all.push_back(StrCat("resume_reading ", command.resume_reading().transport_id()));
        break;
      case v1::Command::kCancel:
        all.push_back("cancel");
        break;
      case v1::Command::kCreateServer:
        all.push_back("create_server");
        break;
      case v1::Command::kServerClose:
        all.push_back(StrCat("server_close ", command.server_close().server_id()));
        break;
      default:
        all.push_back(StrCat("command ", static_cast<int>(command.command_case())));
    }
  }
  return all;
}

}  // namespace transportd
