// A gRPC server on loopback in this process, with a fake session manager behind it, and a raw client.
#ifndef TRANSPORTD_TESTS_UNIT_RPC_RPC_FIXTURE_H_
#define TRANSPORTD_TESTS_UNIT_RPC_RPC_FIXTURE_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "gtest/gtest.h"
#include "server/policy/authorizer.h"
#include "server/rpc/health_service.h"
#include "server/rpc/reflection_service.h"
#include "server/rpc/router.h"
#include "server/rpc/rpc_server.h"
#include "tests/support/leak_check.h"
#include "tests/unit/rpc/fake_session_manager.h"
#include "transports/base/mutex.h"

namespace transportd {

// Allows everything, or nothing, and records what it was asked. Threading: any thread.
class RecordingAuthorizer final : public Authorizer {
 public:
  absl::Status Authorize(const Caller& caller, const Access& access) const override;
  void DenyAll();
  std::vector<std::string> TakeMethods();

 private:
  mutable Mutex mutex_;
  mutable std::vector<std::string> methods_ ABSL_GUARDED_BY(mutex_);
  bool deny_ ABSL_GUARDED_BY(mutex_) = false;
};

// Made first, destroyed last: waits until the descriptors of the test are closed, for the library closes a connection
// on its own threads, some time after its owner let go of it. Threading: the test's.
class FdSettler final {
 public:
  FdSettler() : before_(OpenFds()) {}
  // Gives up after 5 s; the leak check then says what is open.
  ~FdSettler();

 private:
  const std::map<int, std::string> before_;
};

// Frames of up to 64 KiB; two queues. Threading: the test's.
class RpcFixture : public testing::Test {
 protected:
  static constexpr uint64_t kMaxFrameBytes = 64 * 1024;

  RpcFixture();
  ~RpcFixture() override;

  // Stops the server, once; the test's calls must be over, or end with it.
  void StopServer();

  std::shared_ptr<grpc::Channel> NewChannel();

  // One call with serialized messages. `response` gets the bytes.
  grpc::Status Unary(grpc::ClientContext& context, const std::string& path, const std::string& request,
                     std::string& response);
  grpc::Status Unary(const std::string& path, const google::protobuf::Message& request,
                     google::protobuf::Message& response);

  FdSettler settler_;
  FakeSessionManager manager_;
  RecordingAuthorizer authorizer_;
  std::unique_ptr<RpcServer> server_;
  Router router_;
  std::unique_ptr<HealthService> health_;
  std::unique_ptr<ReflectionService> reflection_;
  std::shared_ptr<grpc::Channel> channel_;
};

// One stream of a raw client, each operation waited for. Threading: one thread.
class RawStream final {
 public:
  RawStream(const std::shared_ptr<grpc::Channel>& channel, const std::string& path);
  // Cancels what is not finished.
  ~RawStream();

  bool Write(const std::string& bytes);
  // False at the end.
  bool Read(std::string& bytes);
  void HalfClose();
  void Cancel() { context_.TryCancel(); }
  grpc::Status Finish();

 private:
  bool Wait();

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  grpc::GenericStub stub_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  bool finished_ = false;
};

grpc::ByteBuffer ToBytes(const std::string& text);
std::string ToText(const grpc::ByteBuffer& bytes);

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_UNIT_RPC_RPC_FIXTURE_H_
