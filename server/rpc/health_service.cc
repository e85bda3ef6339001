#include "server/rpc/health_service.h"

#include <utility>

#include "server/rpc/byte_buffers.h"
#include "server/rpc/grpc_status.h"
#include "server/rpc/unary_call.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr char kServiceName[] = "grpc.health.v1.Health";

// What a kubelet asks for, each by a probe of its own.
constexpr char kStartup[] = "startup";
constexpr char kLiveness[] = "liveness";
constexpr char kReadiness[] = "readiness";

std::set<std::string> WithWhole(const std::vector<std::string>& services) {
  std::set<std::string> names(services.begin(), services.end());
  names.insert({"", kStartup, kLiveness, kReadiness});
  return names;
}

// It says whether the process is well, not whether it takes work.
bool IsOfProcess(const std::string& service) { return service == kStartup || service == kLiveness; }

HealthCheckResponse Response(HealthCheckResponse::ServingStatus state) {
  HealthCheckResponse response;
  response.set_status(state);
  return response;
}

grpc::Status Stopping() {
  return ToGrpcStatus(MakeError(absl::StatusCode::kUnavailable, "SERVICE_STOPPING", "the service is stopping"));
}

}  // namespace

// One Watch call: sends the newest state, never more than one message under way. Threading: any thread.
class HealthService::Watch final : public std::enable_shared_from_this<Watch> {
 public:
  // `state` is the first to be sent; `stays`: also when the service does not take work any more.
  Watch(std::shared_ptr<ServerCall> call, State state, bool stays)
      : call_(std::move(call)), stays_(stays), newest_(state) {}

  // Sends what is new, unless something is under way; to be called whenever something is.
  void Continue() {
    State state;
    bool end = false;
    {
      MutexLock lock(mutex_);
      if (busy_) return;
      if (newest_ == sent_) {
        if (!ending_) return;
        end = true;
      }
      busy_ = true;
      state = sent_ = newest_;
    }
    if (end) {
      call_->Finish(Stopping());  // Stays busy: nothing comes after.
      return;
    }
    call_->Write(Serialize(Response(state)), [self = shared_from_this()](bool ok) {
      if (!ok) return;  // Stays busy: the call is broken.
      {
        MutexLock lock(self->mutex_);
        self->busy_ = false;
      }
      self->Continue();
    });
  }

  void SetNotServing() {
    if (stays_) return;
    {
      MutexLock lock(mutex_);
      newest_ = HealthCheckResponse::NOT_SERVING;
    }
    Continue();
  }

  // Ends the stream when what is under way has gone out.
  void End() {
    {
      MutexLock lock(mutex_);
      ending_ = true;
    }
    Continue();
  }

 private:
  const std::shared_ptr<ServerCall> call_;
  const bool stays_;
  Mutex mutex_;
  State newest_ ABSL_GUARDED_BY(mutex_);
  State sent_ ABSL_GUARDED_BY(mutex_) = HealthCheckResponse::UNKNOWN;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
};

HealthService::HealthService(const std::vector<std::string>& services) : services_(WithWhole(services)) {}
HealthService::~HealthService() = default;

void HealthService::AddRoutes(Router& router) {
  // Nobody is asked who they are: whoever watches over the service need not be one of its principals. Who says it all
  // the same keeps the connection.
  router.Add(kServiceName, "Check", [this](const std::shared_ptr<ServerCall>& call) {
    call->NoteIdentity();
    call->Read([this, call](bool ok) { Check(*call, ok); });
  });
  router.Add(kServiceName, "Watch", [this](std::shared_ptr<ServerCall> call) {
    call->NoteIdentity();
    Serve(std::move(call));
  });
}

void HealthService::Check(ServerCall& call, bool ok) {
  HealthCheckRequest request;
  if (!ok || !Parse(call.message(), request)) {
    call.Finish(ToGrpcStatus(BadRequest(request)));
  } else if (services_.count(request.service()) == 0) {
    call.Finish(ToGrpcStatus(
        MakeError(absl::StatusCode::kNotFound, "UNKNOWN_SERVICE", StrCat("there is no service ", request.service()))));
  } else {
    State state;
    {
      MutexLock lock(mutex_);
      state = StateOf(request.service());
    }
    call.WriteAndFinish(Serialize(Response(state)), grpc::Status::OK);
  }
}

void HealthService::Serve(std::shared_ptr<ServerCall> call) {
  ServerCall& reading = *call;
  reading.Read([this, call = std::move(call)](bool ok) {
    HealthCheckRequest request;
    if (!ok || !Parse(call->message(), request)) {
      call->Finish(ToGrpcStatus(BadRequest(request)));
      return;
    }
    std::shared_ptr<Watch> watch;
    bool stopped = false;
    {
      MutexLock lock(mutex_);
      const bool known = services_.count(request.service()) != 0;
      watch = std::make_shared<Watch>(call, known ? StateOf(request.service()) : HealthCheckResponse::SERVICE_UNKNOWN,
                                      !known || IsOfProcess(request.service()));
      watches_.insert(watch);
      stopped = stopped_;
    }
    watch->Continue();
    if (stopped) watch->End();
    call->OnOver([this, watch](bool) { Remove(watch); });
  });
}

HealthService::State HealthService::StateOf(const std::string& service) const {
  return IsOfProcess(service) ? HealthCheckResponse::SERVING : state_;
}

void HealthService::SetNotServing() {
  {
    MutexLock lock(mutex_);
    state_ = HealthCheckResponse::NOT_SERVING;
  }
  for (const auto& watch : Watches()) watch->SetNotServing();
}

void HealthService::Stop() {
  {
    MutexLock lock(mutex_);
    stopped_ = true;
  }
  for (const auto& watch : Watches()) watch->End();
}

void HealthService::Remove(const std::shared_ptr<Watch>& watch) {
  MutexLock lock(mutex_);
  watches_.erase(watch);
}

std::vector<std::shared_ptr<HealthService::Watch>> HealthService::Watches() {
  MutexLock lock(mutex_);
  return {watches_.begin(), watches_.end()};
}

}  // namespace transportd
