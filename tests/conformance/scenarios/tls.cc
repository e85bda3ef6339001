// TLS's own: what the handshake tells, how it fails, how connections end, start_tls.
#include <openssl/ssl.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/conformance/loop_under_test.h"
#include "tests/conformance/scenarios/scenarios.h"
#include "tests/conformance/tls_end.h"
#include "transports/api/error.h"
#include "transports/api/tls_info.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd::conformance {

namespace {

using std::chrono::milliseconds;

std::string NameText(const TlsName& name) {
  std::string text;
  for (const auto& relative_name : name) {
    for (const TlsNameAttribute& attribute : relative_name) {
      text += StrCat(text.empty() ? "" : ",", attribute.name, "=", attribute.value);
    }
  }
  return text;
}

std::string CertificateText(const TlsInfo& info) {
  if (!info.peer_certificate.has_value()) return "None";
  if (!info.peer_certificate_verified) return "unverified";
  const TlsCertificate& certificate = *info.peer_certificate;
  std::string names;
  for (const TlsAlternativeName& name : certificate.subject_alternative_names) {
    names += StrCat(names.empty() ? "" : ",", name.type, ":", name.value);
  }
  return StrCat("[", NameText(certificate.subject), "] of [", NameText(certificate.issuer), "] ", names, " version ",
                certificate.version);
}

void NoteTls(Tracing& protocol) {
  ASSERT_NE(protocol.transport().GetExtraInfo().tls, nullptr);
  const TlsInfo& info = *protocol.transport().GetExtraInfo().tls;
  protocol.Note(StrCat(info.version, " ", info.cipher.name, "/", info.cipher.protocol, "/", info.cipher.secret_bits,
                       " compression=", info.compression.value_or("None")));
  protocol.Note(StrCat("alpn ", info.alpn_protocol.value_or("None")));
  protocol.Note("session_reused", info.session_reused);
  protocol.Note(StrCat("peercert ", CertificateText(info)));
}

TlsTerms WithAlpn(TlsTerms terms, const std::string& name, const std::string& other = "") {
  std::string wire = StrCat(std::string(1, static_cast<char>(name.size())), name);
  if (!other.empty()) wire += StrCat(std::string(1, static_cast<char>(other.size())), other);
  // Kept with the terms: OpenSSL copies the client's, and asks for the server's.
  static auto& kept = *new std::deque<std::string>;
  kept.push_back(wire);
  SSL_CTX_set_alpn_protos(terms.get(), reinterpret_cast<const unsigned char*>(wire.data()),
                          static_cast<unsigned int>(wire.size()));
  SSL_CTX_set_alpn_select_cb(
      terms.get(),
      [](SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
         unsigned int offered_size, void* ours) {
        const auto& names = *static_cast<const std::string*>(ours);
        unsigned char* chosen = nullptr;
        const int found = SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(names.data()),
                                                static_cast<unsigned int>(names.size()), offered, offered_size);
        *out = chosen;
        return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
      },
      &kept.back());
  return terms;
}

// As Stage::Pair, with other terms on either side.
Peer& Link(Stage& s, Tracing& protocol, SSL_CTX& terms, TlsOptions tls = Stage::ClientTls(),
           const std::string& name = "peer") {
  const Listener listener = s.Listen(name);
  Peer* linked = nullptr;
  auto accepting = s.StartAccept(listener, name, [&](Peer& peer) {
    peer.StartTls(terms, /*server_side=*/true);
    linked = &peer;
  });
  CreateConnectionOptions options = s.Remote(listener.port);
  options.tls = std::move(tls);
  s.Connect(protocol, std::move(options));
  s.Wait(std::move(accepting));
  return *linked;
}

// A connection that fails in the handshake; what the peer hears of it is not traced.
void Refuse(Stage& s, SSL_CTX& terms, TlsOptions tls = Stage::ClientTls()) {
  Tracing& client = s.NewProtocol("client");
  const Listener listener = s.Listen("peer");
  auto accepting = s.StartAccept(listener, "peer", [&](Peer& peer) { peer.TryTls(terms, /*server_side=*/true); });
  CreateConnectionOptions options = s.Remote(listener.port);
  options.tls = std::move(tls);
  std::optional<absl::Status> status;
  s.loop().CreateConnection([&] { return client.AsProtocol(); }, std::move(options),
                            [&](const absl::StatusOr<Connection>& connection) {
                              status = connection.status();
                              s.Changed();
                            });
  s.Until([&] { return status.has_value(); });
  const TransportError error = ToTransportError(*status);
  client.Note(StrCat("create_connection ", error.reason,
                     error.tls_verify_code != 0 ? StrCat(" ", error.tls_verify_code) : std::string()));
  s.Wait(std::move(accepting));
}

// A connection to a peer that does not speak TLS but does `work`.
void Meet(Stage& s, std::function<void(Peer&)> work, TlsOptions tls = Stage::ClientTls()) {
  Tracing& client = s.NewProtocol("client");
  const Listener listener = s.Listen("peer");
  auto accepting = s.StartAccept(listener, "peer", std::move(work));
  CreateConnectionOptions options = s.Remote(listener.port);
  options.tls = std::move(tls);
  s.Connect(client, std::move(options));
  s.Wait(std::move(accepting));
}

absl::Status StartTls(Stage& s, Tracing& protocol, StartTlsOptions options) {
  std::optional<absl::Status> result;
  s.loop().StartTls(protocol.shared_transport(), std::move(options), [&](const absl::Status& status) {
    protocol.Note("start_tls " + (status.ok() ? "returns" : ToTransportError(status).reason));
    result = status;
    s.Changed();
  });
  s.Until([&] { return result.has_value(); });
  return *result;
}

void End(Stage& s, Tracing& protocol) {
  protocol.transport().Close();
  s.UntilLost(protocol);
}

void TlsExtraInfo(Stage& s) {
  Tracing& client = s.Pair();
  NoteTls(client);
  End(s, client);
}

void TlsExtraInfoOfAServerTransport(Stage& s) {
  const auto server = s.Serve();
  s.Dial(PortOf(*server));
  s.Until([&] { return s.IsMade("server1"); });
  NoteTls(s.Get("server1"));
  s.CloseServer(*server);
  End(s, s.Get("server1"));
}

void TlsClientCertificate(Stage& s) {
  CreateServerOptions options = s.Local();
  options.tls->verify_mode = TlsVerifyMode::kRequired;
  options.tls->trust_roots_pem = SharedTestAuthority().certificate_pem();
  const auto server = s.Serve(options, s.Factory());
  Peer& peer = s.DialPlain(PortOf(*server));
  const TlsTerms terms = ClientTerms();
  UseIdentity(*terms, SharedTestIdentity());
  s.Run([&] { peer.StartTls(*terms, /*server_side=*/false, "localhost"); });
  s.Until([&] { return s.IsMade("server1"); });
  NoteTls(s.Get("server1"));
  s.CloseServer(*server);
  End(s, s.Get("server1"));
}

void TlsOfVersion12(Stage& s) {
  const TlsTerms terms = ServerTerms();
  SSL_CTX_set_max_proto_version(terms.get(), TLS1_2_VERSION);
  Tracing& client = s.NewProtocol("client");
  Link(s, client, *terms);
  NoteTls(client);
  End(s, client);
}

void TlsUnverified(Stage& s) {
  TlsOptions tls;
  tls.server_hostname = "localhost";
  tls.verify_mode = TlsVerifyMode::kNone;
  const TlsTerms terms = ServerTerms(TestAuthority::SelfSigned());
  Tracing& client = s.NewProtocol("client");
  Link(s, client, *terms, tls);
  NoteTls(client);
  End(s, client);
}

void TlsAlpnOfAClient(Stage& s) {
  int number = 0;
  for (const char* name : {"http/1.1", "spdy/3"}) {
    const TlsTerms terms = WithAlpn(ServerTerms(), name);
    TlsOptions tls = Stage::ClientTls();
    tls.alpn_protocols = {"h2", "http/1.1"};
    Tracing& client = s.NewProtocol(StrCat("client", number));
    Link(s, client, *terms, tls, StrCat("peer", number));
    NoteTls(client);
    End(s, client);
    ++number;
  }
}

void TlsAlpnOfAServer(Stage& s) {
  CreateServerOptions options = s.Local();
  options.tls->alpn_protocols = {"h2", "http/1.1"};
  const auto server = s.Serve(options, s.Factory());
  Peer& peer = s.DialPlain(PortOf(*server));
  const TlsTerms terms = WithAlpn(ClientTerms(), "http/1.1", "h2");
  s.Run([&] { peer.StartTls(*terms, /*server_side=*/false, "localhost"); });
  s.Until([&] { return s.IsMade("server1"); });
  NoteTls(s.Get("server1"));
  s.CloseServer(*server);
  End(s, s.Get("server1"));
}

void TlsAsksForTheServerByName(Stage& s) {
  Trace& trace = s.NewTrace("asked");
  int number = 0;
  for (const char* name : {"localhost", "127.0.0.1"}) {
    TlsOptions tls = Stage::ClientTls();
    tls.server_hostname = name;
    const TlsTerms terms = ServerTerms();
    Tracing& client = s.NewProtocol(StrCat("client", number));
    Peer& peer = Link(s, client, *terms, tls, StrCat("peer", number));
    const char* const asked = SSL_get_servername(peer.tls()->ssl(), TLSEXT_NAMETYPE_host_name);
    trace.Add(StrCat("for ", asked != nullptr ? asked : "None"));
    EXPECT_EQ(client.transport().GetExtraInfo().tls->server_name.value_or("None"), asked != nullptr ? asked : "None");
    End(s, client);
    ++number;
  }
}

void TlsChecksTheHostWhenNoNameIsGiven(Stage& s) {
  TlsOptions tls = Stage::ClientTls();
  tls.server_hostname.reset();
  const TlsTerms terms = ServerTerms();
  Tracing& client = s.NewProtocol("client");
  Link(s, client, *terms, tls);
  End(s, client);
}

void TlsWrongHostName(Stage& s) {
  TlsOptions tls = Stage::ClientTls();
  tls.server_hostname = "elsewhere.example";
  Refuse(s, *ServerTerms(), tls);
}

void TlsSelfSigned(Stage& s) { Refuse(s, *ServerTerms(TestAuthority::SelfSigned())); }

void TlsExpired(Stage& s) {
  TestCertificateOptions options;
  options.expired = true;
  Refuse(s, *ServerTerms(SharedTestAuthority().Issue(options)));
}

void TlsUnknownRoot(Stage& s) {
  TlsOptions tls = Stage::ClientTls();
  tls.trust_roots_pem = TestAuthority::SelfSigned().chain_pem;
  Refuse(s, *ServerTerms(), tls);
}

void TlsAlertInTheHandshake(Stage& s) {
  const TlsTerms terms = ServerTerms();
  SSL_CTX_set_max_proto_version(terms.get(), TLS1_2_VERSION);
  TlsOptions tls = Stage::ClientTls();
  tls.minimum_version = TlsVersion::kTls13;
  Refuse(s, *terms, tls);
}

void TlsAlertAfterTheHandshake(Stage& s) {
  const TlsTerms terms = ServerTerms();
  SSL_CTX_set_verify(terms.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  Tracing& client = s.NewProtocol("client");
  Link(s, client, *terms);
  s.Until([&] { return client.lost(); });
  EXPECT_EQ(client.end().cause, EndCause::kTlsAlert);
}

void TlsGarbageInTheHandshake(Stage& s) {
  Meet(s, [](Peer& peer) {
    peer.SendRaw("HTTP/1.1 400 Bad Request\r\n\r\n");
    peer.Drain();
  });
}

void TlsPeerEndsInTheHandshake(Stage& s) {
  Meet(s, [](Peer& peer) {
    peer.Skip(100);
    peer.Cut();
    peer.Drain();
  });
}

void TlsPeerStopsInTheHandshake(Stage& s) {
  TlsOptions tls = Stage::ClientTls();
  tls.handshake_timeout = milliseconds(50);
  Meet(
      s, [](Peer& peer) { peer.Drain(); }, tls);
}

void TlsCancelledInTheHandshake(Stage& s) {
  Tracing& client = s.NewProtocol("client");
  const Listener listener = s.Listen("peer");
  std::atomic<bool> begun = false;
  auto accepting = s.StartAccept(listener, "peer", [&](Peer& peer) {
    peer.Skip(100);
    begun = true;
    s.loop().CallSoonThreadsafe([&] { s.Changed(); });
    peer.Drain();
  });
  CreateConnectionOptions options = s.Remote(listener.port);
  options.tls = Stage::ClientTls();
  bool done = false;
  const OperationId connecting = s.BeginConnect(client, std::move(options), done);
  s.Until([&] { return begun.load(); });
  s.loop().CancelOperation(connecting);
  s.Until([&] { return done; });
  s.Wait(std::move(accepting));
}

void TlsKeyOfAnotherCertificate(Stage& s) {
  CreateServerOptions options = s.Local();
  options.tls->private_key_pem = TestAuthority::SelfSigned().key_pem;
  s.Serve(options, s.Factory(), &s.NewTrace("server"));
}

void TlsCloseNotifyIsAnEof(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send("last words");
    peer.Shutdown();
    peer.RecvAll();
  });
  s.UntilLost(client);
  EXPECT_EQ(client.end().cause, EndCause::kEof);
}

void TlsFinWithoutCloseNotifyIsAnEofToo(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send("cut sh");
    peer.Cut();
    peer.RecvAll();
  });
  s.UntilLost(client);
  EXPECT_EQ(client.end().cause, EndCause::kRaggedEof);
}

void TlsCorruptRecord(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send("good");
    peer.SendRaw(std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'g'));
    peer.Drain();
  });
  s.Until([&] { return client.lost(); });
  EXPECT_EQ(client.end().cause, EndCause::kTlsError);
}

void TlsEofCannotBeKeptOpen(Stage& s) {
  Tracing& client = s.Pair({.eof = [](Tracing&) { return true; }});
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Shutdown();
    peer.RecvAll();
  });
  s.UntilLost(client);
}

void TlsWriteAfterCloseIsDropped(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.SetHigh(64'000'000);
  client.Write("before");
  client.transport().Close();
  client.Write("after");
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
  EXPECT_EQ(client.end().sent_bytes, 6u);
  EXPECT_EQ(client.end().dropped_bytes, 5u);
}

void TlsDataAfterCloseIsAnError(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.transport().Close();
  s.Settle();
  s.Run([&] {
    peer.Send("too late");
    peer.Drain();
  });
  s.Until([&] { return client.lost(); });
}

void TlsCloseThatIsNotAnswered(Stage& s) {
  TlsOptions tls = Stage::ClientTls();
  tls.shutdown_timeout = milliseconds(50);
  const TlsTerms terms = ServerTerms();
  Tracing& client = s.NewProtocol("client");
  Link(s, client, *terms, tls);
  client.transport().Close();
  s.Until([&] { return client.lost(); });
  EXPECT_EQ(client.end().cause, EndCause::kTimedOut);
}

void TlsWriteBufferLimits(Stage& s) {
  Tracing& client = s.Pair();
  client.NoteLimits();
  client.SetHigh(1000);
  client.NoteLimits();
  client.SetLimits({});
  client.NoteLimits();
  End(s, client);
}

void StartTlsOfAClient(Stage& s) {
  Tracing& client = s.PlainPair();
  Peer& peer = s.peer();
  client.Write("STARTTLS");
  s.Run([&] {
    peer.Recv(8);
    peer.Send("go");
  });
  s.Until([&] { return client.received_bytes() == 2; });
  const TlsTerms terms = ServerTerms();
  auto shaking = s.Start([&] { peer.StartTls(*terms, /*server_side=*/true); });
  StartTls(s, client, {.tls = Stage::ClientTls()}).IgnoreError();
  s.Wait(std::move(shaking));
  NoteTls(client);
  client.NoteLimits();
  client.Write("secret");
  s.Run([&] {
    peer.Recv(6);
    peer.Send("answer");
  });
  s.Until([&] { return client.received_bytes() == 8; });
  client.NoteState();
  End(s, client);
}

void StartTlsOfAServer(Stage& s) {
  CreateServerOptions options = s.Local();
  options.tls.reset();
  const auto server = s.Serve(options, s.Factory());
  Peer& peer = s.DialPlain(PortOf(*server));
  s.Until([&] { return s.IsMade("server1"); });
  Tracing& server1 = s.Get("server1");
  const TlsTerms terms = ClientTerms();
  auto shaking = s.Start([&] { peer.StartTls(*terms, /*server_side=*/false, "localhost"); });
  StartTls(s, server1, {.server_side = true, .tls = Stage::ServerTls()}).IgnoreError();
  s.Wait(std::move(shaking));
  NoteTls(server1);
  s.Run([&] { peer.Send("secret"); });
  s.Until([&] { return server1.received_bytes() == 6; });
  s.CloseServer(*server);
  End(s, server1);
}

void StartTlsThatFails(Stage& s) {
  Tracing& client = s.PlainPair();
  Peer& peer = s.peer();
  auto talking = s.Start([&] {
    peer.Skip(100);
    peer.SendRaw("500 what?\r\n");
    peer.Drain();
  });
  StartTls(s, client, {.tls = Stage::ClientTls()}).IgnoreError();
  s.Wait(std::move(talking));
  s.Until([&] { return client.lost(); });
}

void StartTlsOverTls(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.Write("outer");
  s.Run([&] { peer.Recv(5); });
  const TlsTerms terms = ServerTerms();
  auto shaking = s.Start([&] { peer.StartTls(*terms, /*server_side=*/true); });
  StartTls(s, client, {.tls = Stage::ClientTls()}).IgnoreError();
  s.Wait(std::move(shaking));
  NoteTls(client);
  client.Write("inner");
  s.Run([&] {
    peer.Recv(5);
    peer.Send("answer");
  });
  s.Until([&] { return client.received_bytes() == 6; });
  client.transport().Abort();
  s.Until([&] { return client.lost(); });
  s.Run([&] { peer.Drain(); });
}

void TlsOverUnixSockets(Stage& s) {
  CreateUnixServerOptions server_options;
  server_options.path = s.PathOf("socket");
  server_options.tls = Stage::ServerTls();
  std::shared_ptr<Server> server;
  s.loop().CreateUnixServer(s.Factory({.data = [](Tracing& p, std::string_view data) { p.Write(data); }}),
                            server_options, [&](const absl::StatusOr<std::shared_ptr<Server>>& made) {
                              CHECK(made.ok());
                              server = *made;
                              s.Changed();
                            });
  s.Until([&] { return server != nullptr; });
  Tracing& client = s.NewProtocol("client");
  CreateUnixConnectionOptions options;
  options.path = s.PathOf("socket");
  options.tls = Stage::ClientTls();
  bool done = false;
  s.loop().CreateUnixConnection(
      [&] { return client.AsProtocol(); }, options,
      [&](const absl::StatusOr<Connection>& connection) {
        client.Note("create_connection " + (connection.ok() ? "returns" : s.ErrorText(connection.status())));
        done = true;
        s.Changed();
      });
  s.Until([&] { return done; });
  NoteTls(client);
  client.Write("hello");
  s.Until([&] { return client.received_bytes() == 5; });
  client.transport().Close();
  s.Until([&] { return client.lost() && s.Get("server1").lost(); });
  s.CloseServer(*server);
}

void TlsOfExistingSockets(Stage& s) {
  std::optional<SocketPair> pair;
  s.loop().Socketpair({}, [&](absl::StatusOr<SocketPair> made) {
    CHECK(made.ok());
    pair = *std::move(made);
    s.Changed();
  });
  s.Until([&] { return pair.has_value(); });
  Tracing& accepted = s.NewProtocol("accepted");
  Tracing& client = s.NewProtocol("client");
  int done = 0;
  const auto count = [&](const absl::StatusOr<Connection>& connection) {
    EXPECT_TRUE(connection.ok()) << connection.status();
    ++done;
    s.Changed();
  };
  s.loop().ConnectAcceptedSocket([&] { return accepted.AsProtocol(); },
                                 {.sock = pair->first, .tls = Stage::ServerTls()}, count);
  CreateUnixConnectionOptions options;
  options.sock = pair->second;
  options.tls = Stage::ClientTls();
  s.loop().CreateUnixConnection([&] { return client.AsProtocol(); }, options, count);
  s.Until([&] { return done == 2; });
  NoteTls(client);
  NoteTls(accepted);
  accepted.Write("welcome");
  s.Until([&] { return client.received_bytes() == 7; });
  client.transport().Close();
  s.Until([&] { return client.lost() && accepted.lost(); });
}

// Without an oracle.

void TlsServerWithClientsThatDoNotSpeakIt(Stage& s) {
  const auto server = s.Serve();
  int number = 0;
  for (const char* words : {"GET / HTTP/1.0\r\n\r\n", ""}) {
    Peer& peer = s.DialPlain(PortOf(*server), StrCat("peer", number++));
    s.Run([&] {
      peer.SendRaw(words);
      peer.Cut();
      peer.Drain();
    });
  }
  s.Dial(PortOf(*server));
  // Whether one was made for each of the others is nobody's promise.
  Tracing* made = nullptr;
  s.Until([&] {
    for (const char* name : {"server1", "server2", "server3"}) {
      if (s.IsMade(name)) made = &s.Get(name);
    }
    return made != nullptr;
  });
  for (const auto& [name, trace] : s.traces()) {
    if (name.starts_with("server") && name != made->name()) {
      EXPECT_TRUE(trace.lines().empty()) << name;
    }
  }
  s.CloseServer(*server);
  End(s, *made);
}

void TlsClientResumesASession(Stage& s) {
  const TlsTerms terms = ServerTerms();
  SSL_CTX_set_num_tickets(terms.get(), 1);
  SSL_CTX_set_session_id_context(terms.get(), reinterpret_cast<const unsigned char*>("peer"), 4);
  TlsOptions tls = Stage::ClientTls();
  tls.session_resumption = true;
  const Listener listener = s.Listen("peer");
  for (const bool is_second : {false, true}) {
    const std::string name = is_second ? "second" : "first";
    Tracing& client = s.NewProtocol(name);
    Peer* linked = nullptr;
    auto accepting = s.StartAccept(listener, name + "_peer", [&](Peer& peer) {
      peer.StartTls(*terms, /*server_side=*/true);
      // After it the ticket has been read.
      peer.Send("hello");
      linked = &peer;
    });
    CreateConnectionOptions options = s.Remote(listener.port);
    options.tls = tls;
    s.Connect(client, std::move(options));
    s.Wait(std::move(accepting));
    s.Until([&] { return client.received_bytes() == 5; });
    EXPECT_EQ(client.transport().GetExtraInfo().tls->session_reused, is_second);
    EXPECT_EQ(SSL_session_reused(linked->tls()->ssl()), is_second ? 1 : 0);
    End(s, client);
  }
}

void TlsServerLetsAClientResume(Stage& s) {
  const auto server = s.Serve({.made = [](Tracing& p) { p.Write("hello"); }});
  const TlsTerms terms = ClientTerms();
  SSL_SESSION* session = nullptr;
  for (const bool is_second : {false, true}) {
    Peer& peer = s.DialPlain(PortOf(*server), is_second ? "second" : "first");
    s.Run([&] {
      peer.StartTls(*terms, /*server_side=*/false, "localhost", session);
      peer.Recv(5);
    });
    EXPECT_EQ(SSL_session_reused(peer.tls()->ssl()), is_second ? 1 : 0);
    if (!is_second) session = SSL_get1_session(peer.tls()->ssl());
    Tracing& protocol = s.Get(is_second ? "server2" : "server1");
    EXPECT_EQ(protocol.transport().GetExtraInfo().tls->session_reused, is_second);
    End(s, protocol);
  }
  SSL_SESSION_free(session);
  s.CloseServer(*server);
}

void TlsIdentityOfTheService(Stage& s) {
  CreateServerOptions options = s.Local();
  options.tls = TlsOptions();
  options.tls->identity = kTlsIdentity;
  const auto server = s.Serve(options, s.Factory());
  Peer& peer = s.DialPlain(PortOf(*server));
  const TlsTerms terms = ClientTerms();
  std::string error;
  s.Run([&] { error = peer.StartTls(*terms, /*server_side=*/false, "localhost"); });
  EXPECT_EQ(error, "");
  s.Until([&] { return s.IsMade("server1"); });
  s.CloseServer(*server);
  End(s, s.Get("server1"));

  options.tls->identity = "nobody";
  Trace& trace = s.NewTrace("unknown");
  EXPECT_EQ(s.Serve(options, s.Factory(), &trace), nullptr);
  EXPECT_EQ(trace.lines(), std::vector<std::string>{"create_server UNKNOWN_TLS_IDENTITY"});
}

void CloseDuringStartTlsEndsIt(Stage& s) {
  Tracing& client = s.PlainPair();
  Peer& peer = s.peer();
  std::optional<absl::Status> result;
  s.loop().StartTls(client.shared_transport(), {.tls = Stage::ClientTls()}, [&](const absl::Status& status) {
    EXPECT_FALSE(client.lost());
    result = status;
    s.Changed();
  });
  s.Run([&] { peer.Skip(100); });
  EXPECT_FALSE(result.has_value());
  client.transport().Close();
  s.Until([&] { return client.lost(); });
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(ToTransportError(*result).reason, "CANCELLED");
  EXPECT_EQ(client.end().cause, EndCause::kLocalClose);
  EXPECT_TRUE(client.end().status.ok());
  s.Run([&] { peer.Drain(); });
}

void CancelledStartTlsEndsTheTransport(Stage& s) {
  Tracing& client = s.PlainPair();
  Peer& peer = s.peer();
  std::optional<absl::Status> result;
  const OperationId operation =
      s.loop().StartTls(client.shared_transport(), {.tls = Stage::ClientTls()}, [&](const absl::Status& status) {
        EXPECT_FALSE(client.lost());
        result = status;
        s.Changed();
      });
  s.Run([&] { peer.Skip(100); });
  s.loop().CancelOperation(operation);
  s.Until([&] { return client.lost(); });
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(ToTransportError(*result).reason, "CANCELLED");
  s.Run([&] { peer.Drain(); });
}

void StartTlsWithBadTermsChangesNothing(Stage& s) {
  Tracing& client = s.PlainPair();
  Peer& peer = s.peer();
  TlsOptions tls = Stage::ClientTls();
  tls.trust_roots_pem = "no certificate";
  const absl::Status status = StartTls(s, client, {.tls = tls});
  EXPECT_EQ(ToTransportError(status).reason, "INVALID_TRUST_ROOTS");
  EXPECT_EQ(ToTransportError(status).field, "tls.trust_roots_pem");
  client.Write("still");
  s.Run([&] {
    peer.Recv(5);
    peer.Send("plain");
    peer.Shutdown();
  });
  s.Until([&] { return client.lost(); });
  EXPECT_EQ(client.received_bytes(), 5u);
}

}  // namespace

void AddTlsScenarios(Scenarios& scenarios) {
  scenarios.insert(scenarios.end(),
                   {
                       {"tls_extra_info", TlsExtraInfo},
                       {"tls_extra_info_of_a_server_transport", TlsExtraInfoOfAServerTransport},
                       {"tls_client_certificate", TlsClientCertificate},
                       {"tls_of_version_1_2", TlsOfVersion12},
                       {"tls_unverified", TlsUnverified},
                       {"tls_alpn_of_a_client", TlsAlpnOfAClient},
                       {"tls_alpn_of_a_server", TlsAlpnOfAServer},
                       {"tls_asks_for_the_server_by_name", TlsAsksForTheServerByName},
                       {"tls_checks_the_host_when_no_name_is_given", TlsChecksTheHostWhenNoNameIsGiven},
                       {"tls_wrong_host_name", TlsWrongHostName},
                       {"tls_self_signed", TlsSelfSigned},
                       {"tls_expired", TlsExpired},
                       {"tls_unknown_root", TlsUnknownRoot},
                       {"tls_alert_in_the_handshake", TlsAlertInTheHandshake},
                       {"tls_alert_after_the_handshake", TlsAlertAfterTheHandshake},
                       {"tls_garbage_in_the_handshake", TlsGarbageInTheHandshake},
                       {"tls_peer_ends_in_the_handshake", TlsPeerEndsInTheHandshake},
                       {"tls_peer_stops_in_the_handshake", TlsPeerStopsInTheHandshake},
                       {"tls_cancelled_in_the_handshake", TlsCancelledInTheHandshake},
                       {"tls_server_with_clients_that_do_not_speak_it", TlsServerWithClientsThatDoNotSpeakIt, false},
                       {"tls_key_of_another_certificate", TlsKeyOfAnotherCertificate},
                       {"tls_close_notify_is_an_eof", TlsCloseNotifyIsAnEof},
                       {"tls_fin_without_close_notify_is_an_eof_too", TlsFinWithoutCloseNotifyIsAnEofToo},
                       {"tls_corrupt_record", TlsCorruptRecord},
                       {"tls_eof_cannot_be_kept_open", TlsEofCannotBeKeptOpen},
                       {"tls_write_after_close_is_dropped", TlsWriteAfterCloseIsDropped},
                       {"tls_data_after_close_is_an_error", TlsDataAfterCloseIsAnError},
                       {"tls_close_that_is_not_answered", TlsCloseThatIsNotAnswered},
                       {"tls_write_buffer_limits", TlsWriteBufferLimits},
                       {"start_tls_of_a_client", StartTlsOfAClient},
                       {"start_tls_of_a_server", StartTlsOfAServer},
                       {"start_tls_that_fails", StartTlsThatFails},
                       {"start_tls_over_tls", StartTlsOverTls},
                       {"tls_over_unix_sockets", TlsOverUnixSockets},
                       {"tls_of_existing_sockets", TlsOfExistingSockets},
                       {"tls_client_resumes_a_session", TlsClientResumesASession, false},
                       {"tls_server_lets_a_client_resume", TlsServerLetsAClientResume, false},
                       {"tls_identity_of_the_service", TlsIdentityOfTheService, false},
                       {"close_during_start_tls_ends_it", CloseDuringStartTlsEndsIt, false},
                       {"cancelled_start_tls_ends_the_transport", CancelledStartTlsEndsTheTransport, false},
                       {"start_tls_with_bad_terms_changes_nothing", StartTlsWithBadTermsChangesNothing, false},
                   });
}

}  // namespace transportd::conformance
