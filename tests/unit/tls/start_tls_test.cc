// start_tls on live transports, of either side, over TLS too, against OpenSSL's own and our other side.
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/tls/tls_fixture.h"

namespace transportd {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

struct TlsOutcome {
  int done_count = 0;
  absl::Status status = absl::UnknownError("not done");
  OperationId id = 0;

  bool done() const { return done_count > 0; }
};

class StartTlsTest : public TlsFixture {
 protected:
  void StartTls(TlsOutcome& outcome, Record& record, bool server_side, TlsOptions tls, std::string incoming = {}) {
    outcome.id = loop_->StartTls(record.transport,
                                 {.server_side = server_side, .tls = std::move(tls), .incoming = std::move(incoming)},
                                 [&outcome, &record](absl::Status status) {
                                   ++outcome.done_count;
                                   outcome.status = std::move(status);
                                   record.events.push_back("tls");
                                 });
  }
  // A plain connection to a raw peer.
  void OpenPlain() {
    RawListener listener;
    record_ = &NewRecord();
    ASSERT_NE(Open(*record_, listener.address()), nullptr);
    raw_ = listener.Accept();
  }
  // The raw peer speaks TLS from now on, as a server.
  void PeerStartsTls() {
    peer_ = std::make_unique<OpensslPeer>(context_.get(), std::move(raw_), OpensslPeer::Role::kServer);
  }
  // A connection within this loop; both records empty.
  void OpenPair() {
    server_ = Listen();
    record_ = &NewRecord();
    ASSERT_NE(Open(*record_, server_->Sockets().front()), nullptr);
    ASSERT_TRUE(RunUntil([&] { return accepted_.size() == 1 && accepted_[0]->transport != nullptr; }));
    accepted_[0]->events.clear();
  }
  void StartBoth() {
    TlsOutcome client, server;
    StartTls(client, *record_, /*server_side=*/false, ClientTls());
    StartTls(server, *accepted_[0], /*server_side=*/true, ServerTls());
    ASSERT_TRUE(RunUntil([&] { return client.done() && server.done(); }));
    ASSERT_THAT(client.status, IsOk());
    ASSERT_THAT(server.status, IsOk());
  }

  OpensslContext context_ = ServerContext();
  Record* record_ = nullptr;
  RawPeer raw_;
  std::shared_ptr<Server> server_;
};

TEST_F(StartTlsTest, SameTransportGoesOnAndMadeIsNotCalledAgain) {
  OpenPlain();
  const Transport* const before = record_->transport.get();
  EXPECT_EQ(record_->transport->GetExtraInfo().tls, nullptr);
  TlsOutcome outcome;
  StartTls(outcome, *record_, false, ClientTls());
  EXPECT_FALSE(outcome.done());
  PeerStartsTls();
  peer_->Send("first");
  ASSERT_TRUE(RunUntilWithPeer([&] { return record_->received == "first"; }));
  EXPECT_THAT(outcome.status, IsOk());
  EXPECT_THAT(record_->events, ElementsAre("tls", "data"));
  EXPECT_EQ(record_->transport.get(), before);
  EXPECT_EQ(record_->transport->GetExtraInfo().tls->version, "TLSv1.3");
  EXPECT_EQ(record_->transport->GetWriteBufferLimits(), kTlsWriteBufferMarks);
  EXPECT_FALSE(record_->transport->CanWriteEof());
  ASSERT_THAT(record_->transport->Write("second"), IsOk());
  ASSERT_TRUE(RunUntilWithPeer([&] { return peer_->received() == "second"; }));
}

TEST_F(StartTlsTest, WhatWasWrittenBeforeIsOnTheWireBeforeTheClientHello) {
  OpenPlain();
  const std::string before = Pattern(20 << 20);
  ASSERT_THAT(record_->transport->Write(before), IsOk());
  ASSERT_GT(record_->transport->GetWriteBufferSize(), 0u);
  TlsOutcome outcome;
  StartTls(outcome, *record_, false, ClientTls());
  ASSERT_THAT(record_->transport->Write("after"), IsOk());
  std::string plain;
  ASSERT_TRUE(RunUntil([&] {
    char buffer[65536];
    for (ssize_t size = 1; size > 0;) {
      size = recv(raw_.fd(), buffer, std::min(sizeof(buffer), before.size() - plain.size()), 0);
      if (size > 0) plain.append(buffer, static_cast<size_t>(size));
    }
    return plain.size() == before.size();
  }));
  EXPECT_TRUE(plain == before);
  PeerStartsTls();
  ASSERT_TRUE(RunUntilWithPeer([&] { return peer_->received() == "after"; })) << peer_->error();
  EXPECT_EQ(record_->transport->SentBytes(), before.size() + 5);
  EXPECT_THAT(outcome.status, IsOk());
}

TEST_F(StartTlsTest, WhatIsInTheKernelGoesToTls) {
  OpenPlain();
  TlsOutcome started;
  bool is_started = false;
  record_->on_data = [&] {
    if (record_->received != "go") return;
    StartTls(started, *record_, /*server_side=*/true, ServerTls());
    is_started = true;
  };
  // The ClientHello is right behind the word that asks for it.
  ASSERT_TRUE(raw_.Send("go"));
  ASSERT_TRUE(RunUntil([&] { return is_started; }));
  const OpensslContext client = ClientContext();
  peer_ = std::make_unique<OpensslPeer>(client.get(), std::move(raw_), OpensslPeer::Role::kClient);
  peer_->Send("through TLS");
  ASSERT_TRUE(RunUntilWithPeer([&] { return record_->received == "gothrough TLS"; }));
}

TEST_F(StartTlsTest, WhatTheProgramHasReadAlreadyGoesToTlsFirst) {
  OpenPlain();
  const OpensslContext client = ClientContext();
  peer_ = std::make_unique<OpensslPeer>(client.get(), std::move(raw_), OpensslPeer::Role::kClient);
  peer_->Poll();
  ASSERT_TRUE(RunUntil([&] { return record_->received.size() > 100; })) << "a ClientHello";
  TlsOutcome outcome;
  StartTls(outcome, *record_, /*server_side=*/true, ServerTls(), std::exchange(record_->received, ""));
  peer_->Send("through TLS");
  ASSERT_TRUE(RunUntilWithPeer([&] { return record_->received == "through TLS"; }));
}

TEST_F(StartTlsTest, BothSides) {
  OpenPair();
  StartBoth();
  ASSERT_THAT(record_->transport->Write("ping"), IsOk());
  ASSERT_TRUE(RunUntil([&] { return accepted_[0]->received == "ping"; }));
  record_->transport->Close();
  ASSERT_TRUE(RunUntil([&] { return record_->lost() && accepted_[0]->lost(); }));
  EXPECT_THAT(record_->events, ElementsAre("tls", "eof", "lost"));
  EXPECT_THAT(accepted_[0]->events, ElementsAre("tls", "data", "eof", "lost"));
  EXPECT_EQ(accepted_[0]->end->cause, EndCause::kEof);
}

TEST_F(StartTlsTest, OverTls) {
  OpenPair();
  for (int depth = 1; depth <= 3; ++depth) {
    record_->events.clear();
    accepted_[0]->events.clear();
    StartBoth();
    record_->received.clear();
    accepted_[0]->received.clear();
    const std::string data = Pattern(8 << 20);
    ASSERT_THAT(record_->transport->Write(data), IsOk());
    ASSERT_THAT(accepted_[0]->transport->Write(data), IsOk());
    ASSERT_TRUE(RunUntil(
        [&] { return accepted_[0]->received.size() >= data.size() && record_->received.size() >= data.size(); }));
    EXPECT_TRUE(accepted_[0]->received == data) << "depth " << depth;
    EXPECT_TRUE(record_->received == data) << "depth " << depth;
  }
  record_->transport->Close();
  ASSERT_TRUE(RunUntil([&] { return record_->lost() && accepted_[0]->lost(); }));
  EXPECT_THAT(record_->end->status, IsOk());
  EXPECT_THAT(accepted_[0]->end->status, IsOk());
}

TEST_F(StartTlsTest, OverAConnectionThatBeganWithTls) {
  server_ = Listen(Serving());
  record_ = &NewRecord();
  Outcome<Connection> outcome;
  Connect(outcome, *record_, To(server_->Sockets().front()));
  ASSERT_TRUE(RunUntil([&] { return outcome.done() && accepted_.size() == 1 && accepted_[0]->transport != nullptr; }));
  StartBoth();
  ASSERT_THAT(accepted_[0]->transport->Write("inner"), IsOk());
  ASSERT_TRUE(RunUntil([&] { return record_->received == "inner"; }));
  // The outer layer ends without leave: that is ragged for the inner one.
  accepted_[0]->transport->Abort();
  ASSERT_TRUE(RunUntil([&] { return record_->lost(); }));
  EXPECT_EQ(record_->end->cause, EndCause::kRaggedEof);
}

TEST_F(StartTlsTest, BadOptionsLeaveTheTransportAsItWas) {
  OpenPlain();
  TlsOptions tls = ClientTls();
  tls.trust_roots_pem = "nothing";
  TlsOutcome outcome;
  StartTls(outcome, *record_, false, tls);
  ASSERT_THAT(record_->transport->Write("plain"), IsOk());
  ASSERT_TRUE(raw_.Send("answer"));
  ASSERT_TRUE(RunUntil([&] { return record_->received == "answer"; }));
  EXPECT_THAT(outcome.status, HasReason("INVALID_TRUST_ROOTS"));
  EXPECT_THAT(record_->events, ElementsAre("tls", "data"));
  EXPECT_TRUE(raw_.RecvAtLeast(5));
  EXPECT_EQ(raw_.received(), "plain");
}

TEST_F(StartTlsTest, ClientMustNameItsPeer) {
  OpenPlain();
  TlsOptions tls = ClientTls();
  tls.server_hostname.reset();
  TlsOutcome outcome;
  StartTls(outcome, *record_, false, tls);
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status, HasReason("INVALID_SERVER_HOSTNAME"));
  tls.verify_mode = TlsVerifyMode::kNone;
  TlsOutcome second;
  StartTls(second, *record_, false, tls);
  PeerStartsTls();
  ASSERT_TRUE(RunUntilWithPeer([&] { return second.done(); }));
  EXPECT_THAT(second.status, IsOk());
}

TEST_F(StartTlsTest, FailedHandshakeEndsTheTransport) {
  OpenPlain();
  TlsOptions tls = ClientTls();
  tls.server_hostname = "other.test";
  TlsOutcome outcome;
  StartTls(outcome, *record_, false, tls);
  ASSERT_THAT(record_->transport->Write("never sent"), IsOk());
  PeerStartsTls();
  ASSERT_TRUE(RunUntilWithPeer([&] { return record_->lost(); }));
  EXPECT_THAT(record_->events, ElementsAre("tls", "lost"));
  EXPECT_THAT(outcome.status, HasReason("CERTIFICATE_VERIFY_FAILED"));
  EXPECT_EQ(record_->end->cause, EndCause::kTlsError);
  EXPECT_THAT(record_->end->status, HasReason("CERTIFICATE_VERIFY_FAILED"));
  EXPECT_EQ(record_->end->dropped_bytes, 10u);
}

TEST_F(StartTlsTest, PeerThatSaysNothingTimesOut) {
  OpenPlain();
  TlsOptions tls = ClientTls();
  tls.handshake_timeout = seconds(4);
  TlsOutcome outcome;
  StartTls(outcome, *record_, false, tls);
  ASSERT_TRUE(RunUntil([&] {
    raw_.Poll();
    return !raw_.received().empty();
  }));
  Turn();
  clock_.Advance(seconds(4));
  ASSERT_TRUE(RunUntil([&] { return record_->lost(); }));
  EXPECT_THAT(outcome.status, HasReason("HANDSHAKE_TIMEOUT"));
  EXPECT_EQ(record_->end->cause, EndCause::kTimedOut);
}

TEST_F(StartTlsTest, CancelEndsTheTransport) {
  for (const bool at_once : {true, false}) {
    OpenPlain();
    TlsOutcome outcome;
    StartTls(outcome, *record_, false, ClientTls());
    if (!at_once) {
      ASSERT_TRUE(RunUntil([&] {
        raw_.Poll();
        return !raw_.received().empty();
      }));
    }
    loop_->CancelOperation(outcome.id);
    EXPECT_FALSE(outcome.done());
    ASSERT_TRUE(RunUntil([&] { return record_->lost(); }));
    EXPECT_THAT(outcome.status, HasReason("CANCELLED"));
    EXPECT_EQ(outcome.done_count, 1);
    EXPECT_THAT(record_->events, ElementsAre("tls", "lost"));
    EXPECT_EQ(loop_->GetCounts().operations, 0u);
  }
}

TEST_F(StartTlsTest, CloseAndAbortMeanwhileEndIt) {
  for (const bool abort : {true, false}) {
    OpenPlain();
    TlsOutcome outcome;
    StartTls(outcome, *record_, false, ClientTls());
    ASSERT_TRUE(RunUntil([&] {
      raw_.Poll();
      return !raw_.received().empty();
    }));
    if (abort) {
      record_->transport->Abort();
    } else {
      record_->transport->Close();
    }
    ASSERT_TRUE(RunUntil([&] { return record_->lost(); }));
    EXPECT_THAT(outcome.status, HasReason("CANCELLED"));
    EXPECT_EQ(record_->end->cause, abort ? EndCause::kLocalAbort : EndCause::kLocalClose);
  }
}

TEST_F(StartTlsTest, ClosingAndLostTransportsRefuse) {
  OpenPlain();
  record_->transport->Close();
  for (int i = 0; i < 2; ++i) {
    TlsOutcome outcome;
    StartTls(outcome, *record_, false, ClientTls());
    EXPECT_FALSE(outcome.done());
    ASSERT_TRUE(RunUntil([&] { return outcome.done() && record_->lost(); }));
    EXPECT_THAT(outcome.status, HasReason("START_TLS_IMPOSSIBLE"));
  }
}

TEST_F(StartTlsTest, SecondOneMeanwhileIsRefusedAndTheFirstGoesOn) {
  OpenPlain();
  TlsOutcome first, second;
  StartTls(first, *record_, false, ClientTls());
  StartTls(second, *record_, false, ClientTls());
  ASSERT_TRUE(RunUntil([&] { return second.done(); }));
  EXPECT_THAT(second.status, HasReason("START_TLS_IMPOSSIBLE"));
  PeerStartsTls();
  ASSERT_TRUE(RunUntilWithPeer([&] { return first.done(); }));
  EXPECT_THAT(first.status, IsOk());
}

TEST_F(StartTlsTest, PausedTransportStaysPaused) {
  OpenPlain();
  record_->transport->PauseReading();
  TlsOutcome outcome;
  StartTls(outcome, *record_, false, ClientTls());
  PeerStartsTls();
  peer_->Send("held back");
  ASSERT_TRUE(RunUntilWithPeer([&] { return outcome.done() && peer_->unsent_bytes() == 0; }));
  TurnWithPeer();
  EXPECT_EQ(record_->received, "");
  record_->transport->ResumeReading();
  ASSERT_TRUE(RunUntilWithPeer([&] { return record_->received == "held back"; }));
}

TEST_F(StartTlsTest, DestroyedLoopCallsNobody) {
  for (const bool at_once : {true, false}) {
    OpenPlain();
    TlsOutcome outcome;
    StartTls(outcome, *record_, false, ClientTls());
    if (!at_once) Turn();
    Record* const record = record_;
    CloseLoop();
    EXPECT_FALSE(outcome.done());
    EXPECT_THAT(record->events, IsEmpty());
    NewLoop();
  }
}

}  // namespace
}  // namespace transportd
