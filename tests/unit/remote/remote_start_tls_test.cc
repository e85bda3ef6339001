// start_tls of a remote transport: what is sent and delivered before, meanwhile and after.
#include <optional>
#include <string>
#include <utility>

#include "clients/cpp/remote_transport.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/remote/scripted_service.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class RemoteStartTlsTest : public ScriptedService {
 protected:
  OperationId StartTls(const Recorder& protocol, StartTlsOptions options = {}) {
    return loop->StartTls(protocol.transport, std::move(options), [this](const absl::Status& status) {
      events.push_back(status.ok() ? "tls" : StrCat("no tls ", ToTransportError(status).reason));
    });
  }
  // Answers what was sent since the last call; start_tls itself is kept, for AnswerTls.
  std::vector<std::string> AnswerPauses() {
    const std::vector<v1::Command> commands = TakeCommands();
    std::vector<v1::Callback> replies;
    std::vector<std::string> all;
    for (const v1::Command& command : commands) {
      if (command.has_pause_reading()) {
        replies.push_back(ReplyTo(command.request_id()));
        replies.back().mutable_reply()->mutable_pause_reading();
      }
      if (command.has_start_tls()) start_tls_ = command;
    }
    if (!replies.empty()) Send(replies);
    for (const std::string& text : Describe(commands)) {
      all.push_back(text == StrCat("command ", static_cast<int>(v1::Command::kStartTls)) ? "start_tls" : text);
    }
    return all;
  }
  void AnswerTls() {
    v1::Callback reply = ReplyTo(start_tls_->request_id());
    v1::TlsInfo& info = *reply.mutable_reply()->mutable_start_tls()->mutable_tls();
    info.set_version("TLSv1.3");
    info.set_alpn_protocol("h2");
    Send({reply});
  }
  void RefuseTls(absl::StatusCode code, const std::string& reason) {
    v1::Callback reply = ReplyTo(start_tls_->request_id());
    reply.mutable_reply()->mutable_error()->set_code(static_cast<int>(code));
    reply.mutable_reply()->mutable_error()->set_reason(reason);
    Send({reply});
  }

  std::optional<v1::Command> start_tls_;
};

TEST_F(RemoteStartTlsTest, BytesKeepTheirOrder) {
  auto protocol = Connect(1);
  ASSERT_TRUE(protocol->transport->Write("before").ok());
  StartTls(*protocol);
  ASSERT_TRUE(protocol->transport->Write("after it").ok());
  Turn();
  EXPECT_THAT(AnswerPauses(), ElementsAre("write 1 6", "pause_reading 1"));
  ASSERT_TRUE(protocol->transport->Write("!").ok());
  Turn();
  EXPECT_THAT(AnswerPauses(), ElementsAre("start_tls", "write 1 8", "write 1 1"));
  AnswerTls();
  EXPECT_THAT(events, ElementsAre("tls"));
  EXPECT_THAT(AnswerPauses(), ElementsAre("resume_reading 1"));
  Send({Data(1, "secret")});
  EXPECT_THAT(events, ElementsAre("tls", "data secret"));
}

TEST_F(RemoteStartTlsTest, WaitsForTheWindowThatWhatWasWrittenBeforeNeeds) {
  auto protocol = Connect(1);
  ASSERT_TRUE(protocol->transport->Write(std::string(kSendWindow + 5, 'x')).ok());
  StartTls(*protocol);
  ASSERT_TRUE(protocol->transport->Write("after").ok());
  Turn();
  EXPECT_THAT(AnswerPauses(), ElementsAre("write 1 1000", "pause_reading 1"));
  Turn();
  EXPECT_THAT(AnswerPauses(), IsEmpty());
  Send({Progress(1, 500)});
  EXPECT_THAT(AnswerPauses(), ElementsAre("write 1 5", "start_tls", "write 1 5"));
  EXPECT_EQ(protocol->transport->GetWriteBufferSize(), kSendWindow + 10 - 500);
}

TEST_F(RemoteStartTlsTest, DataThatComesMeanwhileIsTls) {
  auto protocol = Connect(1);
  StartTls(*protocol, {.server_side = true, .tls = {}, .incoming = "known "});
  Send({Data(1, "hello")});
  Send({Data(1, " again")});
  EXPECT_THAT(events, IsEmpty());
  AnswerPauses();
  AnswerPauses();
  ASSERT_TRUE(start_tls_.has_value());
  EXPECT_TRUE(start_tls_->start_tls().server_side());
  EXPECT_EQ(start_tls_->start_tls().incoming(), "known hello again");
  AnswerTls();
  EXPECT_THAT(events, ElementsAre("tls"));
  EXPECT_EQ(protocol->transport->ReceivedBytes(), 0u);
}

TEST_F(RemoteStartTlsTest, TransportKnowsItsTlsAfterwards) {
  auto protocol = Connect(1);
  EXPECT_TRUE(protocol->transport->CanWriteEof());
  StartTls(*protocol);
  Turn();
  AnswerPauses();
  AnswerPauses();
  AnswerTls();
  ASSERT_NE(protocol->transport->GetExtraInfo().tls, nullptr);
  EXPECT_EQ(protocol->transport->GetExtraInfo().tls->alpn_protocol, "h2");
  EXPECT_FALSE(protocol->transport->CanWriteEof());
  EXPECT_EQ(protocol->transport->GetWriteBufferLimits(), kTlsWriteBufferMarks);
  // The peer's leave is waited for, although nothing is buffered.
  protocol->transport->Close();
  Turn();
  EXPECT_THAT(events, ElementsAre("tls"));
  Send({Eof(1), Lost(1, v1::END_CAUSE_LOCAL_CLOSE)});
  EXPECT_THAT(events, ElementsAre("tls", "eof", "lost LOCAL_CLOSE"));
}

TEST_F(RemoteStartTlsTest, RefusedTermsGiveTheDataBack) {
  auto protocol = Connect(1);
  StartTls(*protocol);
  Send({Data(1, "not TLS")});
  ASSERT_TRUE(protocol->transport->Write("plain").ok());
  AnswerPauses();
  EXPECT_THAT(AnswerPauses(), ElementsAre("start_tls", "write 1 5"));
  RefuseTls(absl::StatusCode::kInvalidArgument, "INVALID_CIPHERS");
  EXPECT_THAT(events, ElementsAre("no tls INVALID_CIPHERS", "data not TLS"));
  EXPECT_THAT(AnswerPauses(), ElementsAre("resume_reading 1"));
  EXPECT_TRUE(protocol->transport->CanWriteEof());
  Send({Data(1, "more")});
  EXPECT_EQ(events.back(), "data more");
  // And another one may follow.
  StartTls(*protocol);
  Turn();
  AnswerPauses();
  EXPECT_THAT(AnswerPauses(), ElementsAre("start_tls"));
  AnswerTls();
  EXPECT_EQ(events.back(), "tls");
}

TEST_F(RemoteStartTlsTest, BadTextIsRefusedByFieldAndChangesNothing) {
  auto protocol = Connect(1);
  StartTlsOptions options;
  options.tls.server_hostname = "bücher.example";
  absl::Status refused;
  loop->StartTls(protocol->transport, options, [&](const absl::Status& status) { refused = status; });
  EXPECT_TRUE(refused.ok()) << "in a later turn";
  Turn();
  EXPECT_THAT(refused, HasReason("INVALID_SERVER_HOSTNAME"));
  EXPECT_EQ(ToTransportError(refused).field, "tls.server_hostname");
  EXPECT_THAT(AnswerPauses(), IsEmpty());
  Send({Data(1, "plain")});
  EXPECT_THAT(events, ElementsAre("data plain"));
}

TEST_F(RemoteStartTlsTest, FailedHandshakeIsToldBeforeTheLoss) {
  auto protocol = Connect(1);
  StartTls(*protocol);
  Turn();
  AnswerPauses();
  AnswerPauses();
  RefuseTls(absl::StatusCode::kFailedPrecondition, "CERTIFICATE_VERIFY_FAILED");
  Send({Lost(1, v1::END_CAUSE_TLS_ERROR)});
  EXPECT_THAT(events, ElementsAre("no tls CERTIFICATE_VERIFY_FAILED", "lost TLS_ERROR"));
}

TEST_F(RemoteStartTlsTest, EndBeforeItIsIssuedIsToldInOrder) {
  auto protocol = Connect(1);
  StartTls(*protocol);
  Send({Data(1, "half a hello"), Lost(1, v1::END_CAUSE_RESET)});
  Turn();
  EXPECT_THAT(events, ElementsAre("no tls HANDSHAKE_EOF", "lost RESET"));
}

TEST_F(RemoteStartTlsTest, SecondOneIsRefusedAndTheFirstGoesOn) {
  auto protocol = Connect(1);
  StartTls(*protocol);
  StartTls(*protocol);
  Turn();
  EXPECT_THAT(events, ElementsAre("no tls START_TLS_IMPOSSIBLE"));
  AnswerPauses();
  EXPECT_THAT(AnswerPauses(), ElementsAre("start_tls"));
  AnswerTls();
  EXPECT_EQ(events.back(), "tls");
}

TEST_F(RemoteStartTlsTest, IsImpossibleWhenHalfClosedOrClosing) {
  auto half_closed = Connect(1);
  half_closed->transport->WriteEof();
  StartTls(*half_closed);
  Turn();
  EXPECT_THAT(events, ElementsAre("no tls START_TLS_IMPOSSIBLE"));
  events.clear();
  auto closing = Connect(2);
  closing->transport->Close();
  StartTls(*closing);
  Turn();
  EXPECT_THAT(events, ElementsAre("no tls START_TLS_IMPOSSIBLE"));
}

TEST_F(RemoteStartTlsTest, CancelledBeforeItIsIssuedEndsTheTransport) {
  auto protocol = Connect(1);
  const OperationId operation = StartTls(*protocol);
  Turn();
  TakeCommands();
  loop->CancelOperation(operation);
  Turn();
  EXPECT_THAT(events, ElementsAre("no tls CANCELLED"));
  EXPECT_THAT(AnswerPauses(), ElementsAre("abort 1"));
  Send({Lost(1, v1::END_CAUSE_LOCAL_ABORT)});
  EXPECT_THAT(events, ElementsAre("no tls CANCELLED", "lost LOCAL_ABORT"));
}

TEST_F(RemoteStartTlsTest, CancelledAfterwardsEndsTheTransport) {
  auto protocol = Connect(1);
  const OperationId operation = StartTls(*protocol);
  Turn();
  AnswerPauses();
  EXPECT_THAT(AnswerPauses(), ElementsAre("start_tls"));
  loop->CancelOperation(operation);
  Turn();
  Send({Lost(1, v1::END_CAUSE_LOCAL_ABORT)});
  RefuseTls(absl::StatusCode::kCancelled, "CANCELLED");
  EXPECT_THAT(events, ElementsAre("no tls CANCELLED", "lost LOCAL_ABORT"));
}

TEST_F(RemoteStartTlsTest, CloseMeanwhileEndsIt) {
  auto protocol = Connect(1);
  StartTls(*protocol);
  Turn();
  AnswerPauses();
  EXPECT_THAT(AnswerPauses(), ElementsAre("start_tls"));
  protocol->transport->Close();
  EXPECT_TRUE(protocol->transport->IsClosing());
  Turn();
  EXPECT_THAT(AnswerPauses(), ElementsAre("abort 1"));
  RefuseTls(absl::StatusCode::kCancelled, "CANCELLED");
  Send({Lost(1, v1::END_CAUSE_LOCAL_ABORT)});
  EXPECT_THAT(events, ElementsAre("no tls CANCELLED", "lost LOCAL_CLOSE"));
}

TEST_F(RemoteStartTlsTest, CloseBeforeItIsIssuedEndsIt) {
  auto protocol = Connect(1);
  StartTls(*protocol);
  protocol->transport->Close();
  Turn();
  EXPECT_THAT(AnswerPauses(), ElementsAre("abort 1"));
  Send({Lost(1, v1::END_CAUSE_LOCAL_ABORT)});
  EXPECT_THAT(events, ElementsAre("no tls CANCELLED", "lost LOCAL_CLOSE"));
}

TEST_F(RemoteStartTlsTest, SessionThatIsLostBeforeItIsIssuedEndsBoth) {
  auto protocol = Connect(1);
  StartTls(*protocol);
  Turn();
  CloseStream(absl::UnavailableError("gone"));
  Turn();
  EXPECT_THAT(events, ElementsAre("no tls SESSION_LOST", "lost SESSION_LOST"));
}

TEST_F(RemoteStartTlsTest, SessionThatIsLostMeanwhileEndsBoth) {
  auto protocol = Connect(1);
  StartTls(*protocol);
  Turn();
  AnswerPauses();
  EXPECT_THAT(AnswerPauses(), ElementsAre("start_tls"));
  CloseStream(absl::UnavailableError("gone"));
  Turn();
  EXPECT_THAT(events, ElementsAre("no tls SESSION_LOST", "lost SESSION_LOST"));
}

TEST_F(RemoteStartTlsTest, PausedTransportStaysPaused) {
  auto protocol = Connect(1);
  protocol->transport->PauseReading();
  Turn();
  EXPECT_THAT(AnswerPauses(), ElementsAre("pause_reading 1"));
  StartTls(*protocol);
  Turn();
  EXPECT_THAT(AnswerPauses(), ElementsAre("start_tls"));
  AnswerTls();
  EXPECT_THAT(events, ElementsAre("tls"));
  EXPECT_FALSE(protocol->transport->IsReading());
  EXPECT_THAT(AnswerPauses(), IsEmpty());
  protocol->transport->ResumeReading();
  Turn();
  EXPECT_THAT(AnswerPauses(), ElementsAre("resume_reading 1"));
}

TEST_F(RemoteStartTlsTest, LoopThatIsDestroyedMeanwhileCallsNobody) {
  auto protocol = Connect(1);
  StartTls(*protocol);
  Turn();
  loop.reset();
  EXPECT_THAT(events, IsEmpty());
}

}  // namespace
}  // namespace transportd
