#include "server/rpc/health_service.h"

#include "grpc/health/v1/health.pb.h"
#include "tests/unit/rpc/rpc_fixture.h"

namespace transportd {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr char kCheck[] = "/grpc.health.v1.Health/Check";
constexpr char kWatch[] = "/grpc.health.v1.Health/Watch";

HealthCheckRequest Ask(const std::string& service) {
  HealthCheckRequest request;
  request.set_service(service);
  return request;
}

HealthCheckResponse::ServingStatus Next(RawStream& stream) {
  std::string bytes;
  HealthCheckResponse response;
  EXPECT_TRUE(stream.Read(bytes));
  EXPECT_TRUE(response.ParseFromString(bytes));
  return response.status();
}

using HealthServiceTest = RpcFixture;

TEST_F(HealthServiceTest, CheckAnswersForTheWholeAndForEachService) {
  for (const char* service :
       {"", "transportd.v1.EventLoop", "transportd.v1.Transport", "transportd.v1.Server", "transportd.v1.Admin"}) {
    HealthCheckResponse response;
    EXPECT_TRUE(Unary(kCheck, Ask(service), response).ok()) << service;
    EXPECT_EQ(response.status(), HealthCheckResponse::SERVING) << service;
  }
  health_->SetNotServing();
  HealthCheckResponse response;
  EXPECT_TRUE(Unary(kCheck, Ask(""), response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
}

TEST_F(HealthServiceTest, WhoDrainsIsNotReadyAndLives) {
  const auto state = [this](const char* service) {
    HealthCheckResponse response;
    EXPECT_TRUE(Unary(kCheck, Ask(service), response).ok()) << service;
    return response.status();
  };
  for (const char* service : {"startup", "liveness", "readiness"}) {
    EXPECT_EQ(state(service), HealthCheckResponse::SERVING) << service;
  }
  health_->SetNotServing();
  EXPECT_EQ(state("startup"), HealthCheckResponse::SERVING);
  EXPECT_EQ(state("liveness"), HealthCheckResponse::SERVING);
  EXPECT_EQ(state("readiness"), HealthCheckResponse::NOT_SERVING);
}

TEST_F(HealthServiceTest, WatchOfLivenessHearsNothingOfADrain) {
  RawStream stream(channel_, kWatch);
  ASSERT_TRUE(stream.Write(Ask("liveness").SerializeAsString()));
  EXPECT_EQ(Next(stream), HealthCheckResponse::SERVING);
  health_->SetNotServing();
  health_->Stop();
  std::string nothing;
  EXPECT_FALSE(stream.Read(nothing));
}

TEST_F(HealthServiceTest, CheckOfAnUnknownServiceIsNotFound) {
  HealthCheckResponse response;
  EXPECT_EQ(Unary(kCheck, Ask("nope"), response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(HealthServiceTest, WatchHearsTheChangeAndTheEnd) {
  RawStream stream(channel_, kWatch);
  ASSERT_TRUE(stream.Write(Ask("transportd.v1.EventLoop").SerializeAsString()));
  stream.HalfClose();
  EXPECT_EQ(Next(stream), HealthCheckResponse::SERVING);
  health_->SetNotServing();
  EXPECT_EQ(Next(stream), HealthCheckResponse::NOT_SERVING);
  health_->Stop();
  std::string nothing;
  EXPECT_FALSE(stream.Read(nothing));
  EXPECT_EQ(stream.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(HealthServiceTest, WatchOfAnUnknownServiceStaysOpen) {
  RawStream stream(channel_, kWatch);
  ASSERT_TRUE(stream.Write(Ask("nope").SerializeAsString()));
  EXPECT_EQ(Next(stream), HealthCheckResponse::SERVICE_UNKNOWN);
  health_->SetNotServing();
  health_->Stop();
  std::string nothing;
  EXPECT_FALSE(stream.Read(nothing));
}

TEST_F(HealthServiceTest, WatchAfterStopEnds) {
  health_->SetNotServing();
  health_->Stop();
  RawStream stream(channel_, kWatch);
  ASSERT_TRUE(stream.Write(Ask("").SerializeAsString()));
  EXPECT_EQ(Next(stream), HealthCheckResponse::NOT_SERVING);
  std::string nothing;
  EXPECT_FALSE(stream.Read(nothing));
}

TEST_F(HealthServiceTest, CancelledWatchesAreForgotten) {
  for (int i = 0; i < 50; ++i) {
    RawStream stream(channel_, kWatch);
    ASSERT_TRUE(stream.Write(Ask("").SerializeAsString()));
    if (i % 2 == 0) {
      EXPECT_EQ(Next(stream), HealthCheckResponse::SERVING);
    }
  }
  health_->SetNotServing();
}

}  // namespace
}  // namespace transportd
