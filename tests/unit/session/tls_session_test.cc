// TLS through a session: what the commands ask for, and what is answered.
#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/session/tls_convert.h"
#include "tests/support/test_certificates.h"
#include "tests/unit/session/session_fixture.h"
#include "tests/unit/tls/openssl_peer.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

v1::TlsOptions ClientTerms() {
  v1::TlsOptions tls;
  tls.set_trust_roots_pem(SharedTestAuthority().certificate_pem());
  tls.set_server_hostname("localhost");
  return tls;
}

v1::TlsOptions ServerTerms() {
  v1::TlsOptions tls;
  tls.set_certificate_chain_pem(SharedTestIdentity().chain_pem);
  tls.set_private_key_pem(SharedTestIdentity().key_pem);
  return tls;
}

class TlsSessionTest : public SessionTest {
 protected:
  // Runs with the peer, which never waits.
  bool RunWithPeer(OpensslPeer& peer, const std::function<bool()>& condition) {
    return RunUntil([&] {
      peer.Poll();
      return condition();
    });
  }
  v1::Command StartTls(uint32_t id, const v1::TlsOptions& tls) {
    v1::Command command;
    command.mutable_start_tls()->set_transport_id(id);
    *command.mutable_start_tls()->mutable_tls() = tls;
    return command;
  }
  // As Ask, without waiting for the answer.
  void Tell(v1::Command command, uint32_t request_id) {
    command.set_request_id(request_id);
    ASSERT_TRUE(RunUntil([&] { return stream_->read_asked(); }));
    stream_->Deliver(command);
  }

  // While the loop runs, which is what connects.
  RawPeer AcceptSoon() {
    RawPeer peer;
    EXPECT_TRUE(RunUntil([&] {
      peer = listener_.TryAccept();
      return peer.valid();
    }));
    return peer;
  }

  RawListener listener_;
};

struct BadTerms {
  const char* field;
  const char* reason;
  std::function<void(v1::TlsOptions&)> spoil;
};

std::vector<BadTerms> AllBadTerms() {
  return {
      {"tls.trust_roots_pem", "INVALID_TRUST_ROOTS", [](auto& tls) { tls.set_trust_roots_pem("none"); }},
      {"tls.certificate_chain_pem", "INVALID_CERTIFICATE", [](auto& tls) { tls.set_certificate_chain_pem("none"); }},
      {"tls.private_key_pem", "INVALID_PRIVATE_KEY", [](auto& tls) { tls.set_private_key_pem("none"); }},
      {"tls.private_key_pem", "KEY_VALUES_MISMATCH",
       [](auto& tls) { tls.set_private_key_pem(TestAuthority::SelfSigned().key_pem); }},
      {"tls.identity", "UNKNOWN_TLS_IDENTITY", [](auto& tls) { tls.set_identity("nobody"); }},
      {"tls.verify_mode", "INVALID_TLS_VERIFY_MODE", [](auto& tls) { tls.set_verify_mode(v1::TlsVerifyMode(99)); }},
      {"tls.verify_mode", "INVALID_TLS_VERIFY_MODE", [](auto& tls) { tls.set_verify_mode(v1::TlsVerifyMode(-1)); }},
      {"tls.server_hostname", "INVALID_SERVER_HOSTNAME", [](auto& tls) { tls.set_server_hostname("a b"); }},
      {"tls.alpn_protocols", "INVALID_ALPN", [](auto& tls) { tls.add_alpn_protocols(""); }},
      {"tls.minimum_version", "INVALID_TLS_VERSION", [](auto& tls) { tls.set_minimum_version(v1::TlsVersion(99)); }},
      {"tls.maximum_version", "INVALID_TLS_VERSION", [](auto& tls) { tls.set_maximum_version(v1::TlsVersion(99)); }},
      {"tls.maximum_version", "INVALID_TLS_VERSION", [](auto& tls) { tls.set_maximum_version(v1::TLS_VERSION_1_1); }},
      {"tls.cipher_list", "INVALID_CIPHERS", [](auto& tls) { tls.set_cipher_list("none"); }},
      {"tls.ciphersuites", "INVALID_CIPHERS", [](auto& tls) { tls.set_ciphersuites("none"); }},
      {"tls.handshake_timeout", "INVALID_TIMEOUT", [](auto& tls) { tls.mutable_handshake_timeout(); }},
      {"tls.shutdown_timeout", "INVALID_TIMEOUT", [](auto& tls) { tls.mutable_shutdown_timeout()->set_seconds(-1); }},
  };
}

TEST_F(TlsSessionTest, BadTermsAreToldByFieldAndChangeNothing) {
  StartOpen();
  const uint32_t id = Connect(listener_.address());
  RawPeer peer = listener_.Accept();
  uint32_t request_id = 1;
  for (const BadTerms& bad : AllBadTerms()) {
    v1::TlsOptions tls = ServerTerms();
    tls.set_server_hostname("localhost");
    bad.spoil(tls);

    v1::Command connect = ConnectTo(listener_.address());
    *connect.mutable_create_connection()->mutable_tls() = tls;
    v1::Command serve;
    serve.mutable_create_server()->add_hosts("127.0.0.1");
    *serve.mutable_create_server()->mutable_tls() = tls;
    for (const v1::Command& command : {connect, serve, StartTls(id, tls)}) {
      const v1::Reply& reply = *Ask(command, request_id++);
      ASSERT_TRUE(reply.has_error()) << bad.field << " of command " << command.command_case();
      EXPECT_EQ(reply.error().reason(), bad.reason) << reply.ShortDebugString();
      EXPECT_EQ(reply.error().field(), bad.field);
      EXPECT_EQ(reply.error().code(), static_cast<int>(absl::StatusCode::kInvalidArgument));
      EXPECT_THAT(reply.error().message(), HasSubstr(bad.field));
    }
  }
  EXPECT_FALSE(listener_.TryAccept().valid()) << "nothing was connected";
  Write(id, "still plain");
  ASSERT_TRUE(RunUntil([&] {
    peer.Poll();
    return peer.received() == "still plain";
  }));
  EXPECT_FALSE(stream_->finished().has_value());
}

TEST_F(TlsSessionTest, ConnectionMadeTellsTheHandshake) {
  StartOpen();
  v1::Command command = ConnectTo(listener_.address());
  *command.mutable_create_connection()->mutable_tls() = ClientTerms();
  Tell(command, 1);
  const OpensslContext context = ServerContext();
  OpensslPeer peer(context.get(), AcceptSoon(), OpensslPeer::Role::kServer);
  ASSERT_TRUE(RunWithPeer(peer, [&] { return stream_->FindReply(1) != nullptr; }));
  const v1::Callback* made = nullptr;
  for (const v1::Callback& callback : stream_->callbacks()) {
    if (callback.has_connection_made()) made = &callback;
  }
  ASSERT_NE(made, nullptr);
  const v1::TlsInfo& info = made->connection_made().extra_info().tls();
  EXPECT_EQ(info.version(), "TLSv1.3");
  EXPECT_EQ(info.cipher().name(), "TLS_AES_256_GCM_SHA384");
  EXPECT_EQ(info.cipher().secret_bits(), 256u);
  EXPECT_EQ(info.server_name(), "localhost");
  EXPECT_TRUE(info.peer_certificate_verified());
  EXPECT_FALSE(info.has_alpn_protocol());
  EXPECT_FALSE(info.has_compression());
  ASSERT_EQ(info.peer_certificate().subject().relative_names_size(), 2);
  EXPECT_EQ(info.peer_certificate().subject().relative_names(1).attributes(0).name(), "commonName");
  EXPECT_EQ(info.peer_certificate().subject().relative_names(1).attributes(0).value(), "localhost");
  EXPECT_EQ(info.peer_certificate().subject_alternative_names(0).type(), "DNS");
  EXPECT_EQ(info.peer_certificate().version(), 3u);
  EXPECT_LT(info.peer_certificate().not_before().seconds(), info.peer_certificate().not_after().seconds());
}

TEST_F(TlsSessionTest, VerifyFailureCarriesItsCode) {
  StartOpen();
  v1::Command command = ConnectTo(listener_.address());
  *command.mutable_create_connection()->mutable_tls() = ClientTerms();
  command.mutable_create_connection()->mutable_tls()->set_server_hostname("elsewhere.example");
  Tell(command, 1);
  const OpensslContext context = ServerContext();
  OpensslPeer peer(context.get(), AcceptSoon(), OpensslPeer::Role::kServer);
  ASSERT_TRUE(RunWithPeer(peer, [&] { return stream_->FindReply(1) != nullptr; }));
  EXPECT_EQ(stream_->FindReply(1)->error().reason(), "CERTIFICATE_VERIFY_FAILED");
  EXPECT_EQ(stream_->FindReply(1)->error().tls_verify_code(), X509_V_ERR_HOSTNAME_MISMATCH);
  EXPECT_EQ(stream_->FindReply(1)->error().operation(), "handshake");
}

TEST_F(TlsSessionTest, StartTlsAnswersWithWhatTheHandshakeTold) {
  StartOpen();
  const uint32_t id = Connect(listener_.address());
  RawPeer raw = listener_.Accept();
  Write(id, "STARTTLS\n");
  Tell(StartTls(id, ClientTerms()), 1);
  ASSERT_TRUE(RunUntil([&] {
    char buffer[9];
    return recv(raw.fd(), buffer, sizeof(buffer), 0) == 9;
  }));
  const OpensslContext context = ServerContext();
  OpensslPeer peer(context.get(), std::move(raw), OpensslPeer::Role::kServer);
  ASSERT_TRUE(RunWithPeer(peer, [&] { return stream_->FindReply(1) != nullptr; }));
  EXPECT_EQ(stream_->FindReply(1)->start_tls().tls().version(), "TLSv1.3");
  // TLS has no half-close: refused, and nothing is changed.
  v1::Command command;
  command.mutable_write_eof()->set_transport_id(id);
  Tell(command, 2);
  ASSERT_TRUE(RunWithPeer(peer, [&] { return stream_->FindReply(2) != nullptr; }));
  EXPECT_EQ(stream_->FindReply(2)->error().reason(), "WRONG_KIND");
  Write(id, "secret");
  ASSERT_TRUE(RunWithPeer(peer, [&] { return peer.received() == "secret"; }));
}

TEST_F(TlsSessionTest, StartTlsTakesBytesThatTheClientHasAlready) {
  StartOpen();
  const uint32_t id = Connect(listener_.address());
  RawPeer raw = listener_.Accept();
  const OpensslContext context = ClientContext();
  OpensslPeer peer(context.get(), std::move(raw), OpensslPeer::Role::kClient);
  // The ClientHello reaches the client as data.
  ASSERT_TRUE(RunWithPeer(peer, [&] { return stream_->Data(id).size() > 100; }));
  v1::Command command = StartTls(id, ServerTerms());
  command.mutable_start_tls()->set_server_side(true);
  command.mutable_start_tls()->set_incoming(stream_->Data(id));
  Tell(command, 1);
  ASSERT_TRUE(RunWithPeer(peer, [&] { return stream_->FindReply(1) != nullptr && peer.handshaken(); }));
  EXPECT_TRUE(stream_->FindReply(1)->has_start_tls()) << stream_->FindReply(1)->ShortDebugString();
}

TEST_F(TlsSessionTest, StartTlsOfWhatIsNoOpenTransportIsRefused) {
  StartOpen();
  EXPECT_EQ(Ask(StartTls(77, ClientTerms()), 1)->error().reason(), "UNKNOWN_TRANSPORT");
  const uint32_t id = Connect(listener_.address());
  RawPeer peer = listener_.Accept();
  v1::Command write_eof;
  write_eof.mutable_write_eof()->set_transport_id(id);
  Tell(write_eof, 2);
  EXPECT_EQ(Ask(StartTls(id, ClientTerms()), 3)->error().reason(), "START_TLS_IMPOSSIBLE");
  peer.Reset();
  ASSERT_TRUE(RunUntil([&] { return stream_->FindLost(id) != nullptr; }));
  EXPECT_EQ(Ask(StartTls(id, ClientTerms()), 4)->error().reason(), "TRANSPORT_LOST");
}

TEST_F(TlsSessionTest, CancelledStartTlsIsAnsweredAndEndsTheTransport) {
  StartOpen();
  const uint32_t id = Connect(listener_.address());
  RawPeer peer = listener_.Accept();
  Tell(StartTls(id, ClientTerms()), 1);
  ASSERT_TRUE(RunUntil([&] {
    peer.Poll();
    return peer.received().size() > 100;
  }));
  v1::Command cancel;
  cancel.mutable_cancel()->set_request_id(1);
  Tell(cancel, 2);
  ASSERT_TRUE(RunUntil([&] { return stream_->FindReply(1) != nullptr && stream_->FindLost(id) != nullptr; }));
  EXPECT_EQ(stream_->FindReply(1)->error().reason(), "CANCELLED");
}

// The fixture checks that nothing stays.
TEST_F(TlsSessionTest, SessionThatEndsDuringHandshakesLeavesNothing) {
  StartOpen();
  const uint32_t id = Connect(listener_.address());
  RawPeer first = listener_.Accept();
  Tell(StartTls(id, ClientTerms()), 1);
  v1::Command command = ConnectTo(listener_.address());
  *command.mutable_create_connection()->mutable_tls() = ClientTerms();
  Tell(command, 2);
  RawPeer second;
  ASSERT_TRUE(RunUntil([&] {
    if (!second.valid()) second = listener_.TryAccept();
    if (second.valid()) second.Poll();
    first.Poll();
    return first.received().size() > 100 && second.received().size() > 100;
  }));
  stream_->Lose();
  EXPECT_TRUE(RunUntil([&] { return ended_; }));
}

// Nobody has heard of a connection whose handshake is not done; it ends with its server's session all the same.
TEST_F(TlsSessionTest, SessionThatEndsEndsTheHandshakesOfItsServers) {
  for (const bool closes_first : {false, true}) {
    ended_ = false;
    StartOpen();
    v1::Command command;
    command.mutable_create_server()->add_hosts("127.0.0.1");
    *command.mutable_create_server()->mutable_tls() = ServerTerms();
    const v1::CreateServerResponse server = Ask(command, 1)->create_server();
    RawPeer peer = RawPeer::Connect(AddressOf(server));
    ASSERT_TRUE(RunUntil([&] { return loop_->GetCounts().transports == 1; }));
    if (closes_first) {
      command.mutable_server_close()->set_server_id(server.server_id());
      EXPECT_TRUE(Ask(command, 2)->has_server_close());
      EXPECT_EQ(loop_->GetCounts().transports, 1u) << "a server that is closed keeps its connections";
    }
    stream_->Lose();
    ASSERT_TRUE(RunUntil([&] { return ended_; }));
    EXPECT_EQ(loop_->GetCounts().transports, 0u);
    EXPECT_TRUE(RunUntil([&] {
      peer.Poll();
      return peer.eof();
    }));
  }
}

TEST(TlsConvert, OptionsKeepUnsetEmptyAndZeroApart) {
  const TlsOptions unset = FromProto(v1::TlsOptions(), "scope");
  EXPECT_FALSE(unset.trust_roots_pem.has_value());
  EXPECT_FALSE(unset.server_hostname.has_value());
  EXPECT_FALSE(unset.verify_mode.has_value());
  EXPECT_FALSE(unset.minimum_version.has_value());
  EXPECT_FALSE(unset.maximum_version.has_value());
  EXPECT_FALSE(unset.session_resumption.has_value());
  EXPECT_FALSE(unset.handshake_timeout.has_value());
  EXPECT_FALSE(unset.shutdown_timeout.has_value());
  EXPECT_EQ(unset.resumption_scope, "scope");

  v1::TlsOptions options;
  options.set_trust_roots_pem("");
  options.set_server_hostname("");
  options.set_session_resumption(false);
  options.mutable_handshake_timeout();
  options.mutable_shutdown_timeout()->set_nanos(7);
  options.set_verify_mode(v1::TLS_VERIFY_MODE_OPTIONAL);
  options.set_minimum_version(v1::TLS_VERSION_1_0);
  options.set_maximum_version(v1::TLS_VERSION_1_3);
  options.add_alpn_protocols(std::string("\xff\0", 2));
  options.set_identity("web");
  const TlsOptions set = FromProto(options, "scope");
  EXPECT_EQ(set.trust_roots_pem, "");
  EXPECT_EQ(set.server_hostname, "");
  EXPECT_EQ(set.session_resumption, false);
  EXPECT_EQ(set.handshake_timeout, std::chrono::nanoseconds(0));
  EXPECT_EQ(set.shutdown_timeout, std::chrono::nanoseconds(7));
  EXPECT_EQ(set.verify_mode, TlsVerifyMode::kOptional);
  EXPECT_EQ(set.minimum_version, TlsVersion::kTls10);
  EXPECT_EQ(set.maximum_version, TlsVersion::kTls13);
  EXPECT_THAT(set.alpn_protocols, ElementsAre(std::string("\xff\0", 2)));
  EXPECT_EQ(set.identity, "web");
}

TEST(TlsConvert, InfoLeavesOutWhatThereIsNot) {
  v1::TlsInfo proto;
  ToProto(TlsInfo(), proto);
  EXPECT_FALSE(proto.has_compression());
  EXPECT_FALSE(proto.has_alpn_protocol());
  EXPECT_FALSE(proto.has_peer_certificate());
  EXPECT_FALSE(proto.has_server_name());

  TlsInfo info;
  info.compression = "";
  info.alpn_protocol = "h2";
  info.server_name = std::string("\xff", 1);
  info.session_reused = true;
  ToProto(info, proto);
  EXPECT_TRUE(proto.has_compression());
  EXPECT_EQ(proto.alpn_protocol(), "h2");
  EXPECT_EQ(proto.server_name(), "\xff");
  EXPECT_TRUE(proto.session_reused());
}

}  // namespace
}  // namespace transportd
