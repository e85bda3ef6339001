// A real transportd with TLS, client certificates and tokens, and RemoteEventLoop as its client.
#include <grpc/grpc.h>
#include <openssl/crypto.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clients/cpp/connect.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/conformance/service_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_certificates.h"
#include "tests/unit/remote/scoped_environment.h"
#include "transports/api/protocol.h"
#include "transports/base/sockaddr.h"
#include "transports/base/unique_fd.h"

namespace transportd {
namespace {

using conformance::ServiceProcess;
using testing::HasSubstr;

constexpr char kPolicy[] = R"(version: "v1"
role {
  name: "lab"
  connect { name: "c" protocols: TCP to { classes: LOOPBACK any_port: true } }
  listen { name: "l" protocols: TCP on { classes: LOOPBACK any_port: true } peers { classes: LOOPBACK } }
}
binding { role: "lab" principals: "spiffe://example.org/test" principals: "first" principals: "second" }
)";
// sha256("token-1"), sha256("token-2").
constexpr char kIdentities[] = R"(version: "v1"
token { principal: "first" sha256: "3f08aace122ee2368432c1ca23a049bc640bafbf00fdf33a52429f38ba12dbf9" }
token { principal: "second" sha256: "0f6bffa9661cb5dd2f3f7b2929f33061f58a7ba7fdd689530b1a306f8ed8f3ec" }
)";

TestIdentity Issue(const TestAuthority& authority, bool expired = false) {
  return authority.Issue({.alternative_names = {"URI:spiffe://example.org/test"}, .expired = expired});
}

// Runs after what OpenSSL does at exit(3), which is registered later: gRPC's threads may still use it.
void ExpectOpenSslAtExit() {
  if (OPENSSL_init_crypto(0, nullptr) == 1) return;
  std::fputs("OpenSSL has ended before the process\n", stderr);
  ::_exit(EXIT_FAILURE);
}

// The tests say what there is, not who runs them.
void ForgetEnvironment() {
  std::vector<std::string> names;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (text.starts_with("TRANSPORTD_")) names.emplace_back(text.substr(0, text.find('=')));
  }
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread is there.
  for (const std::string& name : names) unsetenv(name.c_str());
}

// What gRPC opens once and keeps is open before the first test looks.
class WarmGrpc final : public testing::Environment {
 public:
  void SetUp() override {
    ForgetEnvironment();
    ASSERT_EQ(std::atexit(ExpectOpenSslAtExit), 0);
    grpc_init();
    EXPECT_FALSE(ConnectRemoteEventLoop({.target = "unix:/nobody"}).ok());
  }
};

[[maybe_unused]] const auto* const kWarmGrpc = testing::AddGlobalTestEnvironment(new WarmGrpc);

class ConnectTlsTest : public testing::Test {
 protected:
  void SetUp() override {
    ca_ = folder_.WriteFile("ca.pem", SharedTestAuthority().certificate_pem());
    Write("server", SharedTestIdentity());
    Write("client", Issue(SharedTestAuthority()));
  }

  // NAME.pem and NAME.key.
  void Write(const std::string& name, const TestIdentity& identity) {
    folder_.WriteFile(name + ".pem", identity.chain_pem);
    folder_.WriteFile(name + ".key", identity.key_pem);
  }

  // The service wants client certificates; with `identities`, or instead, tokens.
  std::unique_ptr<ServiceProcess> Start(bool identities) {
    std::vector<std::string> flags = {"--listen=127.0.0.1:0",
                                      "--policy=" + folder_.WriteFile("policy", kPolicy),
                                      "--tls-certificate=" + folder_.Path("server.pem"),
                                      "--tls-key=" + folder_.Path("server.key"),
                                      "--tls-client-ca=" + ca_,
                                      "--audit-log=off"};
    if (identities) flags.push_back("--identities=" + folder_.WriteFile("identities", kIdentities));
    return std::make_unique<ServiceProcess>(flags);
  }

  // As `name` says: of Write; empty: as nobody.
  ConnectOptions Options(const ServiceProcess& service, const std::string& name = "client") {
    ConnectOptions options = {.target = service.target(), .ca_file = ca_};
    if (!name.empty()) {
      options.certificate_file = folder_.Path(name + ".pem");
      options.key_file = folder_.Path(name + ".key");
    }
    return options;
  }

  TempDir folder_;
  std::string ca_;
};

// Sends back what comes.
class Echo final : public Protocol {
 public:
  void ConnectionMade(std::shared_ptr<Transport> transport) override { transport_ = std::move(transport); }
  void DataReceived(std::string_view data) override { EXPECT_THAT(transport_->Write(data), IsOk()); }
  void ConnectionLost(const ConnectionEnd& /*end*/) override { transport_.reset(); }

 private:
  std::shared_ptr<Transport> transport_;
};

// Says a word, and stops the loop when it has come back.
class Caller final : public Protocol {
 public:
  Caller(EventLoop& loop, std::string word, std::string& heard) : loop_(loop), word_(std::move(word)), heard_(heard) {}

  void ConnectionMade(std::shared_ptr<Transport> transport) override {
    transport_ = std::move(transport);
    EXPECT_THAT(transport_->Write(word_), IsOk());
  }
  void DataReceived(std::string_view data) override {
    heard_ += data;
    if (heard_.size() == word_.size()) loop_.Stop();
  }
  void ConnectionLost(const ConnectionEnd& /*end*/) override {
    transport_.reset();
    loop_.Stop();
  }

 private:
  EventLoop& loop_;
  const std::string word_;
  std::string& heard_;
  std::shared_ptr<Transport> transport_;
};

// A word to a server and back, both in the service.
std::string RoundTrip(EventLoop& loop, const std::string& word) {
  std::string heard;
  loop.CreateServer([] { return std::make_shared<Echo>(); }, {.hosts = {"127.0.0.1"}, .port = 0},
                    [&](absl::StatusOr<std::shared_ptr<Server>> server) {
                      ASSERT_THAT(server, IsOk());
                      loop.CreateConnection(
                          [&] { return std::make_shared<Caller>(loop, word, heard); },
                          {.remote = {.host = "127.0.0.1", .port = (*server)->Sockets().front().port}},
                          [](const auto& connection) { EXPECT_THAT(connection, IsOk()); });
                    });
  loop.RunForever();
  return heard;
}

TEST_F(ConnectTlsTest, AClientCertificateOpensASessionThatWorks) {
  const auto service = Start(false);
  const auto loop = ConnectRemoteEventLoop(Options(*service));
  ASSERT_THAT(loop, IsOk());
  EXPECT_EQ(RoundTrip(**loop, std::string(300'000, 'x')), std::string(300'000, 'x'));
}

TEST_F(ConnectTlsTest, ATokenIsReadAnewForEachSession) {
  const auto service = Start(true);
  ConnectOptions options = Options(*service, "");
  options.token_file = folder_.WriteFile("token", "token-1\n");
  const auto first = ConnectRemoteEventLoop(options);
  ASSERT_THAT(first, IsOk());
  folder_.WriteFile("token", "token-0\n");
  EXPECT_THAT(ConnectRemoteEventLoop(options), HasReason("INVALID_CREDENTIALS"));
  folder_.WriteFile("token", "token-2\n");
  const auto second = ConnectRemoteEventLoop(options);
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(RoundTrip(**first, "one"), "one");
  EXPECT_EQ(RoundTrip(**second, "two"), "two");
  options.token_file.clear();
  EXPECT_THAT(ConnectRemoteEventLoop(options), HasReason("NO_PRINCIPAL"));
}

TEST_F(ConnectTlsTest, SystemIsWhomOpenSslTrusts) {
  const auto service = Start(/*identities=*/false);
  ConnectOptions options = Options(*service);
  options.ca_file = kSystemCa;
  const ScopedEnvironment roots({{"SSL_CERT_FILE", ca_}, {"SSL_CERT_DIR", "/nowhere"}});
  EXPECT_THAT(ConnectRemoteEventLoop(options), IsOk());
}

TEST_F(ConnectTlsTest, TheNameToExpectCanBeSaid) {
  Write("server", SharedTestAuthority().Issue({.alternative_names = {"DNS:service.test"}}));
  const auto service = Start(false);
  ConnectOptions options = Options(*service);
  const auto refused = ConnectRemoteEventLoop(options);
  EXPECT_THAT(refused, HasReason("SERVICE_NOT_TRUSTED"));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("does not name 127.0.0.1"));
  options.server_name = "service.test";
  EXPECT_THAT(ConnectRemoteEventLoop(options), IsOk());
}

TEST_F(ConnectTlsTest, SaysWhatIsWrongBetweenTheTwo) {
  const auto service = Start(false);
  const TestAuthority stranger("stranger");
  Write("stranger", Issue(stranger));
  Write("expired", Issue(SharedTestAuthority(), true));
  const auto message = [](const absl::StatusOr<std::unique_ptr<RemoteEventLoop>>& loop) {
    return std::string(loop.status().message());
  };

  const auto plain = ConnectRemoteEventLoop({.target = service->target()});
  EXPECT_THAT(plain, HasReason("SERVICE_WANTS_TLS"));
  EXPECT_THAT(message(plain), HasSubstr(service->target()));

  const auto nobody = ConnectRemoteEventLoop(Options(*service, ""));
  EXPECT_THAT(nobody, StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(nobody, HasReason("CLIENT_CERTIFICATE_REFUSED"));
  EXPECT_THAT(message(nobody), HasSubstr("none was given"));

  const auto strange = ConnectRemoteEventLoop(Options(*service, "stranger"));
  EXPECT_THAT(strange, HasReason("CLIENT_CERTIFICATE_REFUSED"));
  EXPECT_THAT(message(strange), HasSubstr(folder_.Path("stranger.pem")));

  const auto expired = ConnectRemoteEventLoop(Options(*service, "expired"));
  EXPECT_THAT(expired, HasReason("CLIENT_CERTIFICATE_REFUSED"));
  EXPECT_THAT(message(expired), HasSubstr("it expired on "));

  ConnectOptions options = Options(*service);
  options.ca_file = folder_.WriteFile("stranger_ca.pem", stranger.certificate_pem());
  const auto untrusted = ConnectRemoteEventLoop(options);
  EXPECT_THAT(untrusted, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(untrusted, HasReason("SERVICE_NOT_TRUSTED"));
  EXPECT_THAT(message(untrusted), HasSubstr(options.ca_file));
}

TEST_F(ConnectTlsTest, SaysWhenTheServiceHasNoTls) {
  const ServiceProcess service;
  const auto loop = ConnectRemoteEventLoop(Options(service));
  EXPECT_THAT(loop, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(loop, HasReason("SERVICE_WITHOUT_TLS"));
}

TEST_F(ConnectTlsTest, LeavesOtherFailuresAsTheyAre) {
  // Bound and not listening: nobody else can listen there meanwhile.
  const UniqueFd bound(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto raw = ToRawAddress({.family = AddressFamily::kInet, .host = "127.0.0.1", .port = 0});
  ASSERT_EQ(::bind(bound.get(), raw->get(), raw->length), 0);
  const std::string target = "127.0.0.1:" + std::to_string(GetSockname(bound.get())->port);
  EXPECT_THAT(ConnectRemoteEventLoop({.target = target}), HasReason("UNKNOWN"));
  EXPECT_THAT(ConnectRemoteEventLoop({.target = target, .ca_file = ca_}), HasReason("UNKNOWN"));
}

}  // namespace
}  // namespace transportd
