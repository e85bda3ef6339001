// The remote loop over gRPC, against a real transportd.
#include <grpc/grpc.h>

#include <iostream>
#include <memory>
#include <utility>

#include "clients/cpp/connect.h"
#include "gtest/gtest.h"
#include "tests/conformance/loop_under_test.h"
#include "tests/conformance/remote_loop.h"
#include "tests/conformance/service_process.h"
#include "transportd/v1/admin.grpc.pb.h"
#include "transports/base/check.h"

namespace transportd::conformance {

namespace {

class GrpcLoop final : public RemoteLoop {
 public:
  GrpcLoop() {
    options_.target = service_.target();
    auto loop = ConnectRemoteEventLoop(options_);
    if (!loop.ok()) std::cerr << "No session at " << service_.target() << ": " << loop.status() << "\n";
    CHECK(loop.ok());
    SetLoop(std::move(*loop));
  }
  ~GrpcLoop() override { ResetLoop(); }

 private:
  v1::ListTransportsResponse ListTransports() override {
    const auto channel = CreateServiceChannel(options_);
    CHECK(channel.ok());
    const auto stub = v1::Admin::NewStub(*channel);
    grpc::ClientContext context;
    v1::ListTransportsResponse response;
    const grpc::Status status = stub->ListTransports(&context, {}, &response);
    CHECK(status.ok());
    return response;
  }

  ServiceProcess service_;
  ConnectOptions options_;
};

// What gRPC opens once and keeps is open before the first test looks.
class WarmGrpc final : public testing::Environment {
 public:
  void SetUp() override {
    grpc_init();
    GrpcLoop().Leftovers();
  }
};

[[maybe_unused]] const auto* const kWarmGrpc = testing::AddGlobalTestEnvironment(new WarmGrpc);

}  // namespace

std::vector<LoopKind> LoopKinds() {
  return {{"grpc", [] { return std::make_unique<GrpcLoop>(); }}};
}

}  // namespace transportd::conformance
