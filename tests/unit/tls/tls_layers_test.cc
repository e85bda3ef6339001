#include "transports/tls/tls_layers.h"

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/tls/tls_fixture.h"

namespace transportd {
namespace {

// Does its work when it is told to.
class ManualExecutor final : public Executor {
 public:
  void Submit(Work work) override { waiting_.push_back(std::move(work)); }
  size_t waiting_count() const { return waiting_.size(); }
  void Run(const absl::Status& status = absl::OkStatus()) {
    for (Work& work : std::exchange(waiting_, {})) work(status);
  }

 private:
  std::deque<Work> waiting_;
};

class TlsLayersTest : public LoopFixture {
 protected:
  void SetUp() override {
    LoopFixture::SetUp();
    layers_ = std::make_unique<TlsLayers>(reactor(), executor_, std::make_shared<SystemTrustRoots>("", ""),
                                          std::make_shared<TlsIdentities>(identities_));
  }
  void TearDown() override {
    results_.clear();
    layers_.reset();
    LoopFixture::TearDown();
  }
  TlsLayers::RequestId Get(const TlsOptions& options, TlsSide side = TlsSide::kClient) {
    return layers_->Get(options, side, [this](auto layer) { results_.push_back(std::move(layer)); });
  }

  const TlsIdentities identities_ = {
      {"web",
       {.certificate_chain_pem = SharedTestIdentity().chain_pem, .private_key_pem = SharedTestIdentity().key_pem}}};
  ManualExecutor executor_;
  std::unique_ptr<TlsLayers> layers_;
  std::vector<absl::StatusOr<std::shared_ptr<const StreamLayer>>> results_;
};

TEST_F(TlsLayersTest, ContextIsBuiltOnceForEqualOptions) {
  Get(ClientTls());
  TlsOptions other_name = ClientTls();
  other_name.server_hostname = "other";
  Get(other_name);
  EXPECT_EQ(executor_.waiting_count(), 1u);
  Turn(2);
  EXPECT_TRUE(results_.empty());
  executor_.Run();
  EXPECT_TRUE(results_.empty());
  Turn(1);
  ASSERT_EQ(results_.size(), 2u);
  EXPECT_NE(*results_[0], *results_[1]);
  Get(ClientTls());
  EXPECT_EQ(executor_.waiting_count(), 0u);
  EXPECT_EQ(results_.size(), 2u) << "in a later turn";
  Turn(1);
  EXPECT_EQ(results_.size(), 3u);
}

TEST_F(TlsLayersTest, ClientsContextIsKeptAndAServersIsNot) {
  Get(ClientTls());
  Get(ServerTls(), TlsSide::kServer);
  executor_.Run();
  Turn(1);
  results_.clear();
  Get(ClientTls());
  EXPECT_EQ(executor_.waiting_count(), 0u);
  Get(ServerTls(), TlsSide::kServer);
  EXPECT_EQ(executor_.waiting_count(), 1u) << "its key went with it";
  executor_.Run();
  Turn(2);
}

TEST_F(TlsLayersTest, ClientsWithAKeyAreKeptOnlyToResume) {
  TlsOptions options = ClientTls();
  options.certificate_chain_pem = SharedTestIdentity().chain_pem;
  options.private_key_pem = SharedTestIdentity().key_pem;
  Get(options);
  executor_.Run();
  Turn(1);
  results_.clear();
  Get(options);
  EXPECT_EQ(executor_.waiting_count(), 1u);
  options.session_resumption = true;
  Get(options);
  executor_.Run();
  Turn(1);
  results_.clear();
  Get(options);
  EXPECT_EQ(executor_.waiting_count(), 0u);
  Turn(1);
}

TEST_F(TlsLayersTest, OldestIsForgotten) {
  for (size_t i = 0; i <= TlsLayers::kMaxKeptCount; ++i) {
    TlsOptions options = ClientTls();
    options.alpn_protocols = {std::to_string(i)};
    Get(options);
  }
  executor_.Run();
  Turn(1);
  results_.clear();
  TlsOptions first = ClientTls();
  first.alpn_protocols = {"0"};
  Get(first);
  EXPECT_EQ(executor_.waiting_count(), 1u);
  TlsOptions last = ClientTls();
  last.alpn_protocols = {std::to_string(TlsLayers::kMaxKeptCount)};
  Get(last);
  EXPECT_EQ(executor_.waiting_count(), 1u);
  executor_.Run();
  Turn(1);
}

TEST_F(TlsLayersTest, BadOptionsAndARefusingExecutorAreTold) {
  TlsOptions bad = ClientTls();
  bad.trust_roots_pem = "";
  Get(bad);
  executor_.Run();
  Turn(1);
  Get(ClientTls());
  executor_.Run(absl::ResourceExhaustedError("busy"));
  Turn(1);
  ASSERT_EQ(results_.size(), 2u);
  EXPECT_THAT(results_[0].status(), HasReason("INVALID_TRUST_ROOTS"));
  EXPECT_THAT(results_[1].status(), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(TlsLayersTest, NameStandsForItsCertificateAndKey) {
  TlsOptions named;
  named.identity = "web";
  Get(named, TlsSide::kServer);
  Get(ServerTls(), TlsSide::kServer);
  EXPECT_EQ(executor_.waiting_count(), 1u) << "the same context";
  named.identity = "mail";
  Get(named, TlsSide::kServer);
  named = ServerTls();
  named.identity = "web";
  Get(named, TlsSide::kServer);
  executor_.Run();
  Turn(1);
  ASSERT_EQ(results_.size(), 4u);
  int unknown_count = 0;
  for (const auto& result : results_) {
    if (result.ok()) continue;
    EXPECT_THAT(result.status(), HasReason("UNKNOWN_TLS_IDENTITY"));
    ++unknown_count;
  }
  EXPECT_EQ(unknown_count, 2);
}

TEST_F(TlsLayersTest, CancelledRequestIsNotAnsweredAndOthersAre) {
  const TlsLayers::RequestId cancelled = Get(ClientTls());
  Get(ClientTls());
  layers_->Cancel(cancelled);
  layers_->Cancel(12345);
  executor_.Run();
  Turn(1);
  EXPECT_EQ(results_.size(), 1u);
  layers_->Cancel(Get(ClientTls()));
  Turn(1);
  EXPECT_EQ(results_.size(), 1u);
}

TEST_F(TlsLayersTest, WorkThatEndsAfterwardsGoesNowhere) {
  Get(ClientTls());
  layers_.reset();
  executor_.Run();
  Turn(1);
  EXPECT_TRUE(results_.empty());
}

}  // namespace
}  // namespace transportd
