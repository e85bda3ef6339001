// create_connection with TLS: what is verified, what is told, and how it fails. The peer is OpenSSL's own.
#include <chrono>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/program.h"
#include "tests/unit/tls/tls_fixture.h"
#include "transports/tls/tls_certificate.h"

namespace transportd {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class TlsConnectionTest : public TlsFixture {
 protected:
  // What becomes of a connection to a server that shows `identity`.
  absl::Status Connecting(const TestIdentity& identity, const TlsOptions& tls) {
    OpensslContext context(SSL_CTX_new(TLS_server_method()));
    UseIdentity(context.get(), identity);
    return Connecting(context.get(), tls);
  }
  absl::Status Connecting(SSL_CTX* context, const TlsOptions& tls) {
    RawListener listener;
    Record& record = NewRecord();
    Outcome<Connection> outcome;
    Connect(outcome, record, To(listener.address(), tls));
    address_ = listener.address().ToString();
    RawPeer raw;
    EXPECT_TRUE(RunUntil([&] {
      raw = listener.TryAccept();
      return raw.valid() || outcome.done();
    }));
    if (raw.valid()) {
      peer_ = std::make_unique<OpensslPeer>(context, std::move(raw), OpensslPeer::Role::kServer);
      EXPECT_TRUE(RunUntilWithPeer([&] { return outcome.done(); }));
      TurnWithPeer();
    }
    EXPECT_EQ(outcome.done_count, 1);
    if (!outcome.status().ok()) {
      EXPECT_THAT(record.events, ElementsAre("done")) << "the protocol heard something";
    }
    EXPECT_THAT(exceptions_, IsEmpty());
    return outcome.status();
  }
  // A peer that is none: `act` gets its socket when the ClientHello has come.
  absl::Status Facing(CreateConnectionOptions options, const std::function<void(RawPeer&)>& act) {
    RawListener listener;
    options.remote = {.host = listener.address().host, .port = listener.address().port};
    Record& record = NewRecord();
    Outcome<Connection> outcome;
    Connect(outcome, record, std::move(options));
    RawPeer raw;
    EXPECT_TRUE(RunUntil([&] {
      if (!raw.valid()) raw = listener.TryAccept();
      if (raw.valid()) raw.Poll();
      return !raw.received().empty();
    }));
    EXPECT_EQ(raw.received()[0], 22) << "a handshake record: RFC 8446, section 5.1";
    act(raw);
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    EXPECT_THAT(record.events, ElementsAre("done"));
    return outcome.status();
  }
  static CreateConnectionOptions Options(TlsOptions tls = ClientTls()) {
    CreateConnectionOptions options;
    options.tls = std::move(tls);
    return options;
  }

  std::string address_;
};

TEST_F(TlsConnectionTest, MadeComesAfterTheHandshakeWithAllThatItTold) {
  const OpensslContext context = ServerContext();
  SSL_CTX_set_alpn_select_cb(
      context.get(),
      [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char*, unsigned int, void*) {
        *out = reinterpret_cast<const unsigned char*>("h2");
        *size = 2;
        return SSL_TLSEXT_ERR_OK;
      },
      nullptr);
  TlsOptions tls = ClientTls();
  tls.alpn_protocols = {"http/1.1", "h2"};
  Record& record = NewRecord();
  record.on_made = [&] { EXPECT_NE(record.transport->GetExtraInfo().tls, nullptr); };
  OpenToPeer(record, context.get(), tls);
  const std::shared_ptr<const TlsInfo> info = record.transport->GetExtraInfo().tls;
  ASSERT_NE(info, nullptr);
  EXPECT_EQ(info->version, "TLSv1.3");
  EXPECT_EQ(info->cipher.name, SSL_get_cipher_name(peer_->ssl()));
  EXPECT_EQ(info->cipher.protocol, "TLSv1.3");
  EXPECT_EQ(info->cipher.secret_bits, SSL_get_cipher_bits(peer_->ssl(), nullptr));
  EXPECT_EQ(info->compression, std::nullopt);
  EXPECT_EQ(info->alpn_protocol, "h2");
  EXPECT_EQ(info->server_name, "localhost");
  EXPECT_FALSE(info->session_reused);
  ASSERT_TRUE(info->peer_certificate.has_value());
  EXPECT_TRUE(info->peer_certificate_verified);
  EXPECT_EQ(ToPem(*info->peer_certificate), SharedTestIdentity().chain_pem);
  EXPECT_EQ(record.transport->GetWriteBufferLimits(), kTlsWriteBufferMarks);
  EXPECT_FALSE(record.transport->CanWriteEof());
  ASSERT_NE(SSL_get_servername(peer_->ssl(), TLSEXT_NAMETYPE_host_name), nullptr);
  EXPECT_STREQ(SSL_get_servername(peer_->ssl(), TLSEXT_NAMETYPE_host_name), "localhost");
}

TEST_F(TlsConnectionTest, DoneComesAfterMadeAndBeforeDataThatCameWithTheHandshake) {
  const OpensslContext context = ServerContext();
  RawListener listener;
  Record& record = NewRecord();
  Outcome<Connection> outcome;
  Connect(outcome, record, To(listener.address()));
  RawPeer raw;
  ASSERT_TRUE(RunUntil([&] {
    raw = listener.TryAccept();
    return raw.valid();
  }));
  OpensslPeer peer(context.get(), std::move(raw), OpensslPeer::Role::kServer);
  peer.Send("early");
  ASSERT_TRUE(RunUntil([&] {
    peer.Poll();
    return !record.received.empty();
  }));
  EXPECT_THAT(record.events, ElementsAre("made", "done", "data"));
  EXPECT_EQ(outcome.value().transport, record.transport);
}

// Verification.

TEST_F(TlsConnectionTest, UnknownRootIsRefusedWithItsReason) {
  const TestAuthority other("another root");
  const absl::Status status = Connecting(other.Issue(), ClientTls());
  EXPECT_THAT(status, HasReason("CERTIFICATE_VERIFY_FAILED"));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition));
  const TransportError error = ToTransportError(status);
  EXPECT_EQ(error.tls_verify_code, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
  EXPECT_THAT(error.message, HasSubstr("unable to get local issuer certificate"));
  EXPECT_EQ(error.operation, "handshake");
  EXPECT_EQ(error.address, address_);
  EXPECT_THAT(peer_->error(), HasSubstr("alert unknown ca")) << "the peer is told";
}

TEST_F(TlsConnectionTest, SelfSignedIsRefused) {
  const absl::Status status = Connecting(TestAuthority::SelfSigned(), ClientTls());
  EXPECT_EQ(ToTransportError(status).tls_verify_code, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
}

TEST_F(TlsConnectionTest, SelfSignedIsTakenWhenItIsTrustedItself) {
  const TestIdentity identity = TestAuthority::SelfSigned();
  TlsOptions tls = ClientTls();
  tls.trust_roots_pem = identity.chain_pem;
  EXPECT_THAT(Connecting(identity, tls), IsOk());
}

TEST_F(TlsConnectionTest, ExpiredIsRefused) {
  const absl::Status status = Connecting(SharedTestAuthority().Issue({.expired = true}), ClientTls());
  EXPECT_EQ(ToTransportError(status).tls_verify_code, X509_V_ERR_CERT_HAS_EXPIRED);
  EXPECT_THAT(ToTransportError(status).message, HasSubstr("certificate has expired"));
}

TEST_F(TlsConnectionTest, WrongNameIsRefused) {
  const TestIdentity identity = SharedTestAuthority().Issue({.alternative_names = {"DNS:other.test"}});
  EXPECT_EQ(ToTransportError(Connecting(identity, ClientTls())).tls_verify_code, X509_V_ERR_HOSTNAME_MISMATCH);
}

TEST_F(TlsConnectionTest, ChainThatEndsEarlyIsRefusedAndAWholeOneTaken) {
  const TestAuthority intermediate = SharedTestAuthority().IssueAuthority("between");
  TestIdentity identity = intermediate.Issue();
  EXPECT_THAT(Connecting(identity, ClientTls()), IsOk());
  identity.chain_pem.resize(identity.chain_pem.size() - intermediate.certificate_pem().size());
  EXPECT_EQ(ToTransportError(Connecting(identity, ClientTls())).tls_verify_code,
            X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
}

TEST_F(TlsConnectionTest, NameIsTheHostUnlessItIsNamed) {
  TlsOptions tls = ClientTls();
  tls.server_hostname.reset();
  EXPECT_THAT(Connecting(SharedTestIdentity(), tls), IsOk()) << "IP:127.0.0.1 is in the certificate";
  EXPECT_EQ(SSL_get_servername(peer_->ssl(), TLSEXT_NAMETYPE_host_name), nullptr) << "an address is no name";
  const TestIdentity named = SharedTestAuthority().Issue({.alternative_names = {"DNS:127.0.0.1"}});
  EXPECT_EQ(ToTransportError(Connecting(named, tls)).tls_verify_code, X509_V_ERR_IP_ADDRESS_MISMATCH);
}

TEST_F(TlsConnectionTest, EmptyNameIsNotCheckedButTheChainIs) {
  TlsOptions tls = ClientTls();
  tls.server_hostname = "";
  const TestIdentity identity = SharedTestAuthority().Issue({.alternative_names = {"DNS:other.test"}});
  EXPECT_THAT(Connecting(identity, tls), IsOk());
  EXPECT_THAT(Connecting(TestAuthority::SelfSigned(), tls), HasReason("CERTIFICATE_VERIFY_FAILED"));
}

TEST_F(TlsConnectionTest, NothingIsCheckedWhenNoneIsAsked) {
  TlsOptions tls = ClientTls();
  tls.verify_mode = TlsVerifyMode::kNone;
  Record& record = NewRecord();
  OpensslContext context(SSL_CTX_new(TLS_server_method()));
  UseIdentity(context.get(), TestAuthority::SelfSigned({.alternative_names = {"DNS:other.test"}, .expired = true}));
  OpenToPeer(record, context.get(), tls);
  EXPECT_TRUE(record.transport->GetExtraInfo().tls->peer_certificate.has_value());
  EXPECT_FALSE(record.transport->GetExtraInfo().tls->peer_certificate_verified);
  EXPECT_EQ(record.transport->GetExtraInfo().tls->server_name, "localhost");
}

TEST_F(TlsConnectionTest, SystemRootsAreTheDefault) {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("roots.pem", SharedTestAuthority().certificate_pem());
  CloseLoop();
  loop_ = *EpollEventLoop::Create(
      {.clock = &clock_, .resolver = &resolver_, .trust_roots = std::make_shared<SystemTrustRoots>(file, "")});
  TlsOptions tls = ClientTls();
  tls.trust_roots_pem.reset();
  EXPECT_THAT(Connecting(SharedTestIdentity(), tls), IsOk());
  EXPECT_THAT(Connecting(TestAuthority("other").Issue(), tls), HasReason("CERTIFICATE_VERIFY_FAILED"));
}

TEST_F(TlsConnectionTest, HostWithoutANameNeedsOne) {
  CreateConnectionOptions options = Options();
  options.remote.port = RefusedAddress().port;
  options.tls->server_hostname.reset();
  const absl::Status status = ConnectStatus(options);
  EXPECT_THAT(status, HasReason("INVALID_SERVER_HOSTNAME"));
  EXPECT_EQ(ToTransportError(status).field, "tls.server_hostname");
}

TEST_F(TlsConnectionTest, BadOptionsAreToldBeforeAnythingIsConnected) {
  RawListener listener;
  TlsOptions tls = ClientTls();
  tls.trust_roots_pem = "nothing";
  EXPECT_THAT(ConnectStatus(To(listener.address(), tls)), HasReason("INVALID_TRUST_ROOTS"));
  EXPECT_FALSE(listener.TryAccept().valid());
}

// Versions and ciphers.

TEST_F(TlsConnectionTest, PeerThatIsTooOldIsRefused) {
  const OpensslContext context = ServerContext();
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  TlsOptions tls = ClientTls();
  tls.minimum_version = TlsVersion::kTls13;
  EXPECT_THAT(Connecting(context.get(), tls), HasReason("TLS_ALERT_PROTOCOL_VERSION"));
}

TEST_F(TlsConnectionTest, CiphersWithoutACommonOneAreRefusedByAnAlert) {
  const OpensslContext context = ServerContext();
  SSL_CTX_set_ciphersuites(context.get(), "TLS_CHACHA20_POLY1305_SHA256");
  TlsOptions tls = ClientTls();
  tls.minimum_version = TlsVersion::kTls13;
  tls.ciphersuites = "TLS_AES_128_GCM_SHA256";
  EXPECT_THAT(Connecting(context.get(), tls), HasReason("TLS_ALERT_HANDSHAKE_FAILURE"));
  tls.ciphersuites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";
  EXPECT_THAT(Connecting(context.get(), tls), IsOk());
}

TEST_F(TlsConnectionTest, CipherListIsOfTls12) {
  const OpensslContext context = ServerContext();
  TlsOptions tls = ClientTls();
  tls.maximum_version = TlsVersion::kTls12;
  tls.cipher_list = "ECDHE-ECDSA-AES256-GCM-SHA384";
  Record& record = NewRecord();
  OpenToPeer(record, context.get(), tls);
  EXPECT_EQ(record.transport->GetExtraInfo().tls->cipher.name, "ECDHE-ECDSA-AES256-GCM-SHA384");
  EXPECT_EQ(record.transport->GetExtraInfo().tls->version, "TLSv1.2");
}

// Client certificates.

class ClientCertificateTest : public TlsConnectionTest {
 protected:
  ClientCertificateTest() : context_(ServerContext()) {
    const std::string& pem = SharedTestAuthority().certificate_pem();
    BIO* const bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    X509* const root = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), root);
    X509_free(root);
    BIO_free(bio);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }

  OpensslContext context_;
};

TEST_F(ClientCertificateTest, IsShown) {
  TlsOptions tls = ClientTls();
  const TestIdentity identity = SharedTestAuthority().Issue({.common_name = "client", .alternative_names = {}});
  tls.certificate_chain_pem = identity.chain_pem;
  tls.private_key_pem = identity.key_pem;
  Record& record = NewRecord();
  OpenToPeer(record, context_.get(), tls);
  X509* const shown = SSL_get0_peer_certificate(peer_->ssl());
  ASSERT_NE(shown, nullptr);
  EXPECT_EQ(ToTlsCertificate(shown).subject.back().front().value, "client");
}

TEST_F(ClientCertificateTest, IsMissedByTls12DuringTheHandshake) {
  TlsOptions tls = ClientTls();
  tls.maximum_version = TlsVersion::kTls12;
  EXPECT_THAT(Connecting(context_.get(), tls), HasReason("TLS_ALERT_HANDSHAKE_FAILURE"));
}

TEST_F(ClientCertificateTest, IsMissedByTls13AfterTheClientsHandshake) {
  RawListener listener;
  Record& record = NewRecord();
  Outcome<Connection> outcome;
  Connect(outcome, record, To(listener.address()));
  RawPeer raw;
  ASSERT_TRUE(RunUntil([&] {
    raw = listener.TryAccept();
    return raw.valid();
  }));
  peer_ = std::make_unique<OpensslPeer>(context_.get(), std::move(raw), OpensslPeer::Role::kServer);
  ASSERT_TRUE(RunUntilWithPeer([&] { return record.lost(); }));
  EXPECT_THAT(record.events, ElementsAre("made", "done", "lost"));
  EXPECT_EQ(record.end->cause, EndCause::kTlsAlert);
  EXPECT_THAT(record.end->status, HasReason("TLS_ALERT_CERTIFICATE_REQUIRED"));
  EXPECT_THAT(record.end->status, StatusIs(absl::StatusCode::kAborted));
}

// Peers that are none.

TEST_F(TlsConnectionTest, GarbageIsToldAsOpensslNamesIt) {
  EXPECT_THAT(Facing(Options(), [](RawPeer& peer) { peer.Send("HTTP/1.0 400 Bad Request\r\n\r\n"); }),
              HasReason("WRONG_VERSION_NUMBER"));
}

TEST_F(TlsConnectionTest, EndDuringTheHandshakeIsTold) {
  const absl::Status status = Facing(Options(), [](RawPeer& peer) { peer.Close(); });
  EXPECT_THAT(status, HasReason("HANDSHAKE_EOF"));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(TlsConnectionTest, ResetDuringTheHandshakeIsTold) {
  const absl::Status status = Facing(Options(), [](RawPeer& peer) { peer.Reset(); });
  EXPECT_THAT(status, HasReason("ECONNRESET"));
  EXPECT_EQ(ToTransportError(status).errno_number, ECONNRESET);
}

TEST_F(TlsConnectionTest, PeerThatStopsInTheHandshakeTimesOut) {
  TlsOptions tls = ClientTls();
  tls.handshake_timeout = seconds(7);
  RawPeer kept;
  const absl::Status status = Facing(Options(tls), [&](RawPeer& peer) {
    peer.Send(std::string("\x16\x03\x03", 3));  // The beginning of a record.
    Turn();
    clock_.Advance(seconds(7) - Duration(1));
    Turn();
    EXPECT_EQ(loop_->GetCounts().operations, 1u);
    clock_.Advance(Duration(1));
    kept = std::move(peer);
  });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(status, HasReason("HANDSHAKE_TIMEOUT"));
  EXPECT_EQ(loop_->GetCounts().transports, 0u);
}

TEST_F(TlsConnectionTest, HandshakeTimeoutIsAMinuteUnlessItIsNamed) {
  RawPeer kept;
  const absl::Status status = Facing(Options(), [&](RawPeer& peer) {
    kept = std::move(peer);
    clock_.Advance(seconds(60));
  });
  EXPECT_THAT(status, HasReason("HANDSHAKE_TIMEOUT"));
}

TEST_F(TlsConnectionTest, CancelInTheHandshakeLeavesNothing) {
  RawListener listener;
  Record& record = NewRecord();
  Outcome<Connection> outcome;
  Connect(outcome, record, To(listener.address()));
  RawPeer peer;
  ASSERT_TRUE(RunUntil([&] {
    if (!peer.valid()) peer = listener.TryAccept();
    if (peer.valid()) peer.Poll();
    return !peer.received().empty();
  }));
  loop_->CancelOperation(outcome.id);
  EXPECT_FALSE(outcome.done());
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("CANCELLED"));
  EXPECT_THAT(record.events, ElementsAre("done"));
  EXPECT_EQ(loop_->GetCounts().transports, 0u);
  EXPECT_TRUE(peer.RecvToEof());
}

TEST_F(TlsConnectionTest, CancelWhileTheOptionsAreReadLeavesNothing) {
  Record& record = NewRecord();
  Outcome<Connection> outcome;
  Connect(outcome, record, To(RefusedAddress()));
  loop_->CancelOperation(outcome.id);
  ASSERT_TRUE(RunUntil([&] { return outcome.done(); }));
  EXPECT_THAT(outcome.status(), HasReason("CANCELLED"));
}

TEST_F(TlsConnectionTest, DestroyedLoopCallsNobody) {
  RawListener listener;
  Record& record = NewRecord();
  Outcome<Connection> outcome;
  Connect(outcome, record, To(listener.address()));
  RawPeer peer;
  ASSERT_TRUE(RunUntil([&] {
    peer = listener.TryAccept();
    return peer.valid();
  }));
  Turn();
  CloseLoop();
  EXPECT_FALSE(outcome.done());
  EXPECT_THAT(record.events, IsEmpty());
}

// Resumption.

class TlsResumptionTest : public TlsFixture, public testing::WithParamInterface<TlsVersion> {
 protected:
  // Whether a new connection to `server` resumed a session; it exchanged a byte each way before it closed.
  bool Resumes(const Server& server, const TlsOptions& tls) {
    Record& record = NewRecord();
    Outcome<Connection> outcome;
    Connect(outcome, record, To(server.Sockets().front(), tls));
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    EXPECT_THAT(outcome.status(), IsOk());
    EXPECT_TRUE(RunUntil([&] { return accepted_.back()->transport != nullptr; }));
    const bool resumed = record.transport->GetExtraInfo().tls->session_reused;
    EXPECT_EQ(accepted_.back()->transport->GetExtraInfo().tls->session_reused, resumed);
    EXPECT_TRUE(record.transport->GetExtraInfo().tls->peer_certificate_verified);
    EXPECT_THAT(accepted_.back()->transport->Write("x"), IsOk());
    EXPECT_TRUE(RunUntil([&] { return record.received == "x"; }));
    record.transport->Close();
    EXPECT_TRUE(RunUntil([&] { return record.lost() && accepted_.back()->lost(); }));
    return resumed;
  }
  static TlsOptions Resuming() {
    TlsOptions tls = ClientTls();
    tls.maximum_version = GetParam();
    tls.session_resumption = true;
    return tls;
  }
};
INSTANTIATE_TEST_SUITE_P(, TlsResumptionTest, testing::Values(TlsVersion::kTls12, TlsVersion::kTls13),
                         [](const auto& parameter) {
                           return parameter.param == TlsVersion::kTls12 ? "Tls12" : "Tls13";
                         });

TEST_P(TlsResumptionTest, ClientThatAsksForItResumes) {
  const auto server = Listen(Serving());
  EXPECT_FALSE(Resumes(*server, Resuming()));
  EXPECT_TRUE(Resumes(*server, Resuming()));
  EXPECT_TRUE(Resumes(*server, Resuming()));
  TlsOptions other = Resuming();
  other.resumption_scope = "another session's";
  EXPECT_FALSE(Resumes(*server, other));
}

TEST_P(TlsResumptionTest, ClientThatDoesNotAskDoesNotResume) {
  const auto server = Listen(Serving());
  TlsOptions tls = Resuming();
  tls.session_resumption.reset();
  EXPECT_FALSE(Resumes(*server, tls));
  EXPECT_FALSE(Resumes(*server, tls));
}

TEST_P(TlsResumptionTest, ServerMayForbidIt) {
  TlsOptions serving = ServerTls();
  serving.session_resumption = false;
  const auto server = Listen(Serving(serving));
  EXPECT_FALSE(Resumes(*server, Resuming()));
  EXPECT_FALSE(Resumes(*server, Resuming()));
}

TEST_P(TlsResumptionTest, WithAClientCertificateToo) {
  TlsOptions serving = ServerTls();
  serving.verify_mode = TlsVerifyMode::kRequired;
  serving.trust_roots_pem = SharedTestAuthority().certificate_pem();
  const auto server = Listen(Serving(serving));
  TlsOptions tls = Resuming();
  const TestIdentity identity = SharedTestAuthority().Issue({.common_name = "client", .alternative_names = {}});
  tls.certificate_chain_pem = identity.chain_pem;
  tls.private_key_pem = identity.key_pem;
  EXPECT_FALSE(Resumes(*server, tls));
  EXPECT_TRUE(Resumes(*server, tls));
  EXPECT_TRUE(accepted_.back()->transport->GetExtraInfo().tls->peer_certificate.has_value());
}

}  // namespace
}  // namespace transportd
