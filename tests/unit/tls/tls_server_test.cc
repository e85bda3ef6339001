// create_server with TLS, and OpenSSL's own client.
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
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class TlsServerTest : public TlsFixture {
 protected:
  // A protocol was made for the connection, and is let go of without having been called.
  bool HandshakeFails() {
    return RunUntilWithPeer([&] { return loop_->GetCounts().transports == 0 && accepted_.size() == 1; });
  }
};

TEST_F(TlsServerTest, AcceptsAndTells) {
  TlsOptions tls = ServerTls();
  tls.alpn_protocols = {"h2", "http/1.1"};
  const auto server = Listen(Serving(tls));
  const OpensslContext context = ClientContext();
  AcceptPeer(context.get(), server->Sockets().front());
  SSL_set_tlsext_host_name(peer_->ssl(), "localhost");
  SSL_set_alpn_protos(peer_->ssl(), reinterpret_cast<const unsigned char*>("\x08http/1.1\x02h2"), 12);
  ASSERT_TRUE(RunUntilWithPeer([&] { return accepted_.size() == 1 && accepted_[0]->transport != nullptr; }));
  const auto info = accepted_[0]->transport->GetExtraInfo().tls;
  EXPECT_EQ(info->version, "TLSv1.3");
  EXPECT_EQ(info->alpn_protocol, "h2") << "the server's order decides";
  EXPECT_EQ(info->server_name, "localhost");
  EXPECT_FALSE(info->peer_certificate.has_value());
  EXPECT_EQ(accepted_[0]->transport->GetWriteBufferLimits(), kTlsWriteBufferMarks);
  EXPECT_EQ(accepted_[0]->transport->GetExtraInfo().peername, peer_->raw().sockname());

  peer_->Send("ping");
  ASSERT_TRUE(RunUntilWithPeer([&] { return accepted_[0]->received == "ping"; }));
  EXPECT_THAT(accepted_[0]->transport->Write("pong"), IsOk());
  ASSERT_TRUE(RunUntilWithPeer([&] { return peer_->received() == "pong"; }));
  EXPECT_THAT(accepted_[0]->events, ElementsAre("made", "data"));
}

TEST_F(TlsServerTest, AlpnWithoutACommonNameGoesOnWithout) {
  TlsOptions tls = ServerTls();
  tls.alpn_protocols = {"h2"};
  const auto server = Listen(Serving(tls));
  const OpensslContext context = ClientContext();
  AcceptPeer(context.get(), server->Sockets().front());
  SSL_set_alpn_protos(peer_->ssl(), reinterpret_cast<const unsigned char*>("\x08http/1.1"), 9);
  ASSERT_TRUE(RunUntilWithPeer([&] { return accepted_.size() == 1 && accepted_[0]->transport != nullptr; }));
  EXPECT_EQ(accepted_[0]->transport->GetExtraInfo().tls->alpn_protocol, std::nullopt);
}

TEST_F(TlsServerTest, TakesTheWatermarksAskedFor) {
  CreateServerOptions options = Serving();
  options.write_buffer_limits.high_bytes = 4096;
  const auto server = Listen(options);
  const OpensslContext context = ClientContext();
  AcceptPeer(context.get(), server->Sockets().front());
  ASSERT_TRUE(RunUntilWithPeer([&] { return accepted_.size() == 1 && accepted_[0]->transport != nullptr; }));
  EXPECT_EQ(accepted_[0]->transport->GetWriteBufferLimits(), (WriteBufferMarks{.high_bytes = 4096, .low_bytes = 1024}));
  EXPECT_THAT(accepted_[0]->transport->SetWriteBufferLimits({}), IsOk());
  EXPECT_EQ(accepted_[0]->transport->GetWriteBufferLimits(), kTlsWriteBufferMarks);
}

TEST_F(TlsServerTest, PlainClientJustEndsAndNobodyHears) {
  const auto server = Listen(Serving());
  RawPeer peer = RawPeer::Connect(server->Sockets().front());
  ASSERT_TRUE(peer.Send("GET / HTTP/1.0\r\n\r\n"));
  ASSERT_TRUE(RunUntil([&] {
    peer.Poll();
    return peer.eof() || peer.error_number() != 0;
  }));
  ASSERT_THAT(accepted_, SizeIs(1));
  EXPECT_THAT(accepted_[0]->events, IsEmpty());
  EXPECT_THAT(exceptions_, IsEmpty());
  EXPECT_EQ(loop_->GetCounts().transports, 0u);
}

TEST_F(TlsServerTest, ClientThatEndsInTheHandshakeJustEnds) {
  const auto server = Listen(Serving());
  RawPeer peer = RawPeer::Connect(server->Sockets().front());
  ASSERT_TRUE(RunUntil([&] { return loop_->GetCounts().transports == 1; }));
  peer.Close();
  ASSERT_TRUE(RunUntil([&] { return loop_->GetCounts().transports == 0; }));
  EXPECT_THAT(accepted_[0]->events, IsEmpty());
  EXPECT_THAT(exceptions_, IsEmpty());
}

TEST_F(TlsServerTest, ClientThatSaysNothingTimesOut) {
  TlsOptions tls = ServerTls();
  tls.handshake_timeout = seconds(5);
  const auto server = Listen(Serving(tls));
  RawPeer peer = RawPeer::Connect(server->Sockets().front());
  ASSERT_TRUE(RunUntil([&] { return loop_->GetCounts().transports == 1; }));
  Turn();
  clock_.Advance(seconds(5));
  ASSERT_TRUE(RunUntil([&] { return loop_->GetCounts().transports == 0; }));
  EXPECT_TRUE(peer.RecvToEof());
  EXPECT_THAT(accepted_[0]->events, IsEmpty());
  EXPECT_THAT(exceptions_, IsEmpty());
}

TEST_F(TlsServerTest, HandshakesUnderWayAreTheServersClients) {
  const auto server = Listen(Serving());
  RawPeer first = RawPeer::Connect(server->Sockets().front());
  RawPeer second = RawPeer::Connect(server->Sockets().front());
  ASSERT_TRUE(RunUntil([&] { return loop_->GetCounts().transports == 2; }));
  server->Close();
  bool closed = false;
  server->WaitClosed([&] { closed = true; });
  Turn();
  EXPECT_FALSE(closed);
  size_t count = 0;
  server->CloseClients([&](size_t closing) { count = closing; });
  EXPECT_EQ(count, 2u);
  ASSERT_TRUE(RunUntil([&] { return closed; }));
  EXPECT_TRUE(first.RecvToEof());
  EXPECT_TRUE(second.RecvToEof());
  for (const Record* record : accepted_) EXPECT_THAT(record->events, IsEmpty());
}

TEST_F(TlsServerTest, ProtocolOfAFailedHandshakeIsLetGoOf) {
  std::weak_ptr<BaseProtocol> made;
  Outcome<std::shared_ptr<Server>> outcome;
  CreateServerOptions options = Serving();
  options.hosts = {"127.0.0.1"};
  Serve(outcome, options, [&] {
    auto protocol = std::make_shared<RecordingProtocol>(NewRecord());
    made = protocol;
    return protocol;
  });
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  ASSERT_THAT(outcome.status(), IsOk());
  RawPeer peer = RawPeer::Connect(outcome.value()->Sockets().front());
  ASSERT_TRUE(RunUntil([&] { return made.lock() != nullptr; }));
  peer.Close();
  ASSERT_TRUE(RunUntil([&] { return made.expired(); }));
}

TEST_F(TlsServerTest, BadOptionsMakeNoServer) {
  TlsOptions tls = ServerTls();
  tls.private_key_pem = SharedTestAuthority().Issue().key_pem;
  Outcome<std::shared_ptr<Server>> outcome;
  Serve(outcome, Serving(tls), AcceptingFactory());
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("KEY_VALUES_MISMATCH"));
  EXPECT_EQ(loop_->GetCounts().servers, 0u);
}

// Clients that are asked for a certificate.

class ClientVerificationTest : public TlsServerTest {
 protected:
  std::shared_ptr<Server> Asking(TlsVerifyMode mode) {
    TlsOptions tls = ServerTls();
    tls.verify_mode = mode;
    tls.trust_roots_pem = SharedTestAuthority().certificate_pem();
    return Listen(Serving(tls));
  }
  bool Accepts() {
    return RunUntilWithPeer([&] { return accepted_.size() == 1 && accepted_[0]->transport != nullptr; });
  }

  OpensslContext context_ = ClientContext();
};

TEST_F(ClientVerificationTest, KnownClientIsTold) {
  const auto server = Asking(TlsVerifyMode::kRequired);
  const TestIdentity identity = SharedTestAuthority().Issue({.common_name = "client", .alternative_names = {}});
  UseIdentity(context_.get(), identity);
  AcceptPeer(context_.get(), server->Sockets().front());
  ASSERT_TRUE(Accepts());
  const auto info = accepted_[0]->transport->GetExtraInfo().tls;
  EXPECT_EQ(ToPem(*info->peer_certificate), identity.chain_pem);
  EXPECT_TRUE(info->peer_certificate_verified);
  const STACK_OF(X509_NAME)* const names = SSL_get0_peer_CA_list(peer_->ssl());
  EXPECT_EQ(sk_X509_NAME_num(names), 1) << "the client is told whose certificates are taken";
}

TEST_F(ClientVerificationTest, ClientWithoutACertificateIsRefused) {
  const auto server = Asking(TlsVerifyMode::kRequired);
  AcceptPeer(context_.get(), server->Sockets().front());
  ASSERT_TRUE(HandshakeFails());
  EXPECT_THAT(accepted_[0]->events, IsEmpty());
  ASSERT_TRUE(RunUntilWithPeer([&] { return !peer_->error().empty(); }));
  EXPECT_THAT(peer_->error(), HasSubstr("certificate required"));
}

TEST_F(ClientVerificationTest, ClientOfAnotherRootIsRefused) {
  const auto server = Asking(TlsVerifyMode::kOptional);
  UseIdentity(context_.get(), TestAuthority("other").Issue());
  AcceptPeer(context_.get(), server->Sockets().front());
  ASSERT_TRUE(HandshakeFails());
  ASSERT_TRUE(RunUntilWithPeer([&] { return !peer_->error().empty(); }));
  EXPECT_THAT(peer_->error(), HasSubstr("unknown ca"));
}

TEST_F(ClientVerificationTest, ClientMayShowNoneWhenItIsOptional) {
  const auto server = Asking(TlsVerifyMode::kOptional);
  AcceptPeer(context_.get(), server->Sockets().front());
  ASSERT_TRUE(Accepts());
  EXPECT_FALSE(accepted_[0]->transport->GetExtraInfo().tls->peer_certificate.has_value());
}

}  // namespace
}  // namespace transportd
