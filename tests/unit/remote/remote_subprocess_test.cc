// A subprocess whose service is the test: what is told when, whatever comes together.
#include "clients/cpp/remote_subprocess.h"

#include "tests/unit/remote/scripted_service.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint32_t kProcess = 7;
constexpr uint32_t kStdout = 8;

// Threading: the test's.
class ProcessRecorder final : public SubprocessProtocol {
 public:
  explicit ProcessRecorder(std::vector<std::string>& events) : events_(events) {}
  void ConnectionMade(std::shared_ptr<SubprocessTransport> made) override {
    transport = std::move(made);
    events_.push_back("made");
  }
  void PipeDataReceived(int fd, std::string_view data) override { events_.push_back(StrCat("data ", fd, " ", data)); }
  void PipeConnectionLost(int fd, const ConnectionEnd& /*end*/) override { events_.push_back(StrCat("lost ", fd)); }
  void ProcessExited() override { events_.push_back(StrCat("exited ", *transport->GetReturncode())); }
  void ConnectionLost(const ConnectionEnd& /*end*/) override { events_.push_back("lost"); }

  std::shared_ptr<SubprocessTransport> transport;

 private:
  std::vector<std::string>& events_;
};

class RemoteSubprocessTest : public ScriptedService {
 protected:
  uint32_t AskForProcess() {
    loop->SubprocessExec([this] { return protocol_; }, "/bin/true", {}, {},
                         [this](const auto& subprocess) { events.push_back(subprocess.ok() ? "done" : "failed"); });
    Turn();
    return TakeCommands().back().request_id();
  }
  static v1::Callback ProcessMade(uint32_t request_id) {
    v1::Callback callback;
    callback.set_transport_id(kProcess);
    v1::ConnectionMade& made = *callback.mutable_connection_made();
    made.set_request_id(request_id);
    made.mutable_extra_info()->set_pid(4711);
    v1::SubprocessPipe& pipe = *made.add_pipes();
    pipe.set_fd(1);
    pipe.set_transport_id(kStdout);
    return callback;
  }
  static v1::Callback Started(uint32_t request_id) {
    v1::Callback callback = ReplyTo(request_id);
    callback.mutable_reply()->mutable_subprocess_exec()->set_transport_id(kProcess);
    return callback;
  }
  static v1::Callback Exited(int returncode) {
    v1::Callback callback;
    callback.set_transport_id(kProcess);
    callback.mutable_process_exited()->set_returncode(returncode);
    return callback;
  }

  std::shared_ptr<ProcessRecorder> protocol_ = std::make_shared<ProcessRecorder>(events);
};

TEST_F(RemoteSubprocessTest, EverythingInOneFrameIsToldInOrder) {
  const uint32_t request_id = AskForProcess();
  Send({ProcessMade(request_id), Started(request_id), Data(kStdout, "abc"), Lost(kStdout, v1::END_CAUSE_EOF), Exited(3),
        Lost(kProcess, v1::END_CAUSE_LOCAL_CLOSE)});
  EXPECT_THAT(events, ElementsAre("made", "done", "data 1 abc", "lost 1", "exited 3", "lost"));
  EXPECT_EQ(loop->GetCounts().transports, 0u);
}

TEST_F(RemoteSubprocessTest, ExitMayComeBeforeTheEndOfAPipe) {
  const uint32_t request_id = AskForProcess();
  Send({ProcessMade(request_id), Started(request_id), Exited(0)});
  EXPECT_THAT(events, ElementsAre("made", "done", "exited 0"));
  events.clear();
  Send({Data(kStdout, "abc"), Lost(kProcess, v1::END_CAUSE_LOCAL_CLOSE)});
  EXPECT_THAT(events, ElementsAre("data 1 abc"));
  events.clear();
  Send({Lost(kStdout, v1::END_CAUSE_EOF)});
  EXPECT_THAT(events, ElementsAre("lost 1", "lost"));
}

TEST_F(RemoteSubprocessTest, LostSessionTellsTheExitThatWasHeldFirst) {
  const uint32_t request_id = AskForProcess();
  Send({ProcessMade(request_id), Exited(-9)});
  EXPECT_THAT(events, ElementsAre("made"));
  CloseStream(absl::UnavailableError("gone"));
  EXPECT_THAT(events, testing::IsSupersetOf({"exited -9", "lost 1", "failed"}));
  EXPECT_THAT(events, testing::Contains("lost").Times(1));
  EXPECT_THAT(TakeCommands(), IsEmpty());
}

}  // namespace
}  // namespace transportd
