#include "tests/conformance/memory_loop.h"

#include <future>
#include <utility>

#include "server/policy/dev_authorizer.h"
#include "server/session/session_manager.h"
#include "tests/conformance/memory_link.h"
#include "tests/conformance/remote_loop.h"
#include "tests/conformance/tls_identities.h"
#include "transports/base/check.h"

namespace transportd::conformance {

namespace {

const Caller& Somebody() {
  static const auto& caller = *new Caller{.principal = "dev", .peer = "memory:"};
  return caller;
}

class MemoryLoop final : public RemoteLoop {
 public:
  MemoryLoop() {
    SessionManager::Options options;
    options.authorizer = &authorizer_;
    options.loop.tls_identities = MakeTlsIdentities();
    auto manager = SessionManager::Create(std::move(options));
    CHECK(manager.ok());
    manager_ = std::move(*manager);
    MemoryLink link = MakeMemoryLink();
    manager_->OpenStreaming(Somebody(), std::move(link.stream));
    auto loop = RemoteEventLoop::Create(std::move(link.channel), {});
    CHECK(loop.ok());
    SetLoop(std::move(*loop));
  }

  ~MemoryLoop() override {
    ResetLoop();
    std::promise<void> stopped;
    manager_->Stop([&] { stopped.set_value(); });
    stopped.get_future().wait();
  }

 private:
  v1::ListTransportsResponse ListTransports() override {
    std::promise<v1::ListTransportsResponse> answer;
    manager_->ListTransports(Somebody(), {}, [&](absl::StatusOr<v1::ListTransportsResponse> response) {
      CHECK(response.ok());
      answer.set_value(*std::move(response));
    });
    return answer.get_future().get();
  }

  const DevAuthorizer authorizer_;
  std::unique_ptr<SessionManager> manager_;
};

}  // namespace

std::unique_ptr<LoopUnderTest> MakeMemoryLoop() { return std::make_unique<MemoryLoop>(); }

}  // namespace transportd::conformance
