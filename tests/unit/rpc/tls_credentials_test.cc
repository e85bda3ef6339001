#include "server/rpc/tls_credentials.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "server/policy/dev_identifier.h"
#include "server/rpc/router.h"
#include "server/rpc/rpc_server.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_certificates.h"

namespace transportd {
namespace {

class TlsCredentialsTest : public testing::Test {
 protected:
  void Start(ClientCertificateUse use, const std::string& client_ca) {
    ServiceCertificateFiles files;
    files.certificate = folder_.WriteFile("tls.crt", SharedTestIdentity().chain_pem);
    files.key = folder_.WriteFile("tls.key", SharedTestIdentity().key_pem);
    if (!client_ca.empty()) files.client_ca = folder_.WriteFile("ca.crt", client_ca);
    auto store = ServiceCertificateStore::Create(files);
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
    RpcServer::Options options;
    options.listen = {*ParseListenAddress("127.0.0.1:0")};
    options.identifier = &identifier_;
    options.credentials = TlsCredentials(*store_, use);
    auto server = RpcServer::Create(options);
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
    server_->Serve(router_);
  }
  ~TlsCredentialsTest() override {
    if (server_ != nullptr) server_->Shutdown(std::chrono::milliseconds(0));
  }

  // Whether a client that trusts `root` and presents `identity`, when it is not null, gets through the handshake.
  bool Connects(const std::string& root, const TestIdentity* identity = nullptr) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = root;
    if (identity != nullptr) {
      options.pem_private_key = identity->key_pem;
      options.pem_cert_chain = identity->chain_pem;
    }
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto channel =
        grpc::CreateCustomChannel(server_->addresses().front(), grpc::SslCredentials(options), arguments);
    grpc_connectivity_state state = channel->GetState(/*try_to_connect=*/true);
    while (state != GRPC_CHANNEL_READY && state != GRPC_CHANNEL_TRANSIENT_FAILURE) {
      // lint: allow date: a deadline of gRPC's, which it takes in wall-clock time.
      channel->WaitForStateChange(state, std::chrono::system_clock::now() + std::chrono::seconds(20));
      state = channel->GetState(/*try_to_connect=*/true);
    }
    return state == GRPC_CHANNEL_READY;
  }
  void WriteCertificate(const TestIdentity& identity) { folder_.WriteFile("tls.crt", identity.chain_pem); }
  void WriteKey(const TestIdentity& identity) { folder_.WriteFile("tls.key", identity.key_pem); }

  const TempDir folder_;
  DevIdentifier identifier_;
  Router router_;
  std::unique_ptr<ServiceCertificateStore> store_;
  std::unique_ptr<RpcServer> server_;
};

TEST_F(TlsCredentialsTest, WithoutACaNoCertificateIsAskedFor) {
  Start(ClientCertificateUse::kRequired, "");
  EXPECT_TRUE(Connects(SharedTestAuthority().certificate_pem()));
  EXPECT_FALSE(Connects(TestAuthority("another").certificate_pem()));
}

TEST_F(TlsCredentialsTest, ARequiredCertificateMustBeThereAndVerify) {
  const TestAuthority clients("clients"), others("others");
  Start(ClientCertificateUse::kRequired, clients.certificate_pem());
  const std::string root = SharedTestAuthority().certificate_pem();
  const TestIdentity good = clients.Issue(), foreign = others.Issue(), expired = clients.Issue({.expired = true});
  EXPECT_TRUE(Connects(root, &good));
  EXPECT_FALSE(Connects(root));
  EXPECT_FALSE(Connects(root, &foreign));
  EXPECT_FALSE(Connects(root, &expired));
}

TEST_F(TlsCredentialsTest, AnOptionalCertificateMustVerify) {
  const TestAuthority clients("clients"), others("others");
  Start(ClientCertificateUse::kOptional, clients.certificate_pem());
  const std::string root = SharedTestAuthority().certificate_pem();
  const TestIdentity good = clients.Issue(), foreign = others.Issue();
  EXPECT_TRUE(Connects(root, &good));
  EXPECT_TRUE(Connects(root));
  EXPECT_FALSE(Connects(root, &foreign));
}

// Every handshake that a good client begins is made, whatever lies in the files meanwhile.
TEST_F(TlsCredentialsTest, CertificatesAreRotatedWithoutAFailedHandshake) {
  Start(ClientCertificateUse::kRequired, "");
  const TestAuthority next_authority("next");
  const std::string both = SharedTestAuthority().certificate_pem() + next_authority.certificate_pem();
  std::atomic<bool> is_over = false;
  std::atomic<int> made = 0, failed = 0;
  std::thread client([&] {
    while (!is_over) ++(Connects(both) ? made : failed);
  });
  const TestIdentity next = next_authority.Issue();
  for (int i = 0; i < 10; ++i) {
    const TestIdentity& identity = i % 2 == 0 ? next : SharedTestIdentity();
    const int before = made + failed;
    WriteCertificate(identity);
    EXPECT_THAT(store_->Reload(), HasReason("BAD_CONFIGURATION"));  // Half a pair.
    while (made + failed < before + 2) std::this_thread::yield();
    WriteKey(identity);
    EXPECT_THAT(store_->Reload(), IsOk());
    while (made + failed < before + 4) std::this_thread::yield();
  }
  is_over = true;
  client.join();
  EXPECT_EQ(failed, 0);
  // And it is the new one that counts.
  WriteCertificate(next);
  WriteKey(next);
  EXPECT_THAT(store_->Reload(), IsOk());
  EXPECT_TRUE(Connects(next_authority.certificate_pem()));
  EXPECT_FALSE(Connects(SharedTestAuthority().certificate_pem()));
}

}  // namespace
}  // namespace transportd
