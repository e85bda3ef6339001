#include "transports/subprocess/subprocess_exec.h"

#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"

namespace transportd {
namespace {

absl::Status Cancelled() { return MakeError(absl::StatusCode::kCancelled, "CANCELLED", "cancelled"); }

}  // namespace

SubprocessExecOperation::SubprocessExecOperation(LoopContext& context, LoopExecutor& executor,
                                                 const SpawnSettings& settings, SubprocessProtocolFactory factory,
                                                 std::vector<std::string> argv, SubprocessOptions options, Done done)
    : context_(context),
      executor_(executor),
      settings_(settings),
      factory_(std::move(factory)),
      argv_(std::move(argv)),
      options_(std::move(options)),
      done_(std::move(done)) {}

SubprocessExecOperation::~SubprocessExecOperation() {
  *cancelled_ = true;
  executor_.Cancel(work_);
  StopWatching();
}

void SubprocessExecOperation::Start() {
  absl::StatusOr<SpawnPlan> plan = PlanSpawn(std::move(argv_), std::move(options_));
  if (!plan.ok()) {
    Fail(plan.status());
    return;
  }
  plan_ = std::make_shared<const SpawnPlan>(*std::move(plan));
  work_ = executor_.Run<absl::StatusOr<SpawnedChild>>(
      [plan = plan_, settings = settings_, cancelled = cancelled_]() -> absl::StatusOr<SpawnedChild> {
        if (*cancelled) return Cancelled();
        return SpawnChild(*plan, settings);
      },
      [this](absl::StatusOr<SpawnedChild> child) { OnSpawned(std::move(child)); });
}

void SubprocessExecOperation::OnSpawned(absl::StatusOr<SpawnedChild> child) {
  work_ = 0;
  if (!child.ok()) {
    Fail(*cancelled_ ? Cancelled() : child.status());
    return;
  }
  child_ = *std::move(child);
  if (*cancelled_) {
    FailAfterExit(Cancelled());
  } else {
    Watch(Waiting::kForStatus, child_.status_fd.get());
  }
}

void SubprocessExecOperation::Watch(Waiting what, int fd) {
  StopWatching();
  waiting_ = what;
  watch_ = context_.reactor().AddWatch(fd, *this);
  context_.reactor().SetWatch(watch_, /*readable=*/true, /*writable=*/false);
}

void SubprocessExecOperation::StopWatching() {
  waiting_ = Waiting::kNothing;
  if (watch_ != 0) context_.reactor().RemoveWatch(std::exchange(watch_, 0));
}

void SubprocessExecOperation::OnReadable() {
  if (waiting_ == Waiting::kForStatus) {
    OnStatus();
  } else if (waiting_ == Waiting::kForExit && child_.process.TryReap()) {
    StopWatching();
    child_ = SpawnedChild();
    Deliver();
  }
}

void SubprocessExecOperation::OnStatus() {
  std::optional<absl::Status> status = ReadSpawnAnswer(child_, *plan_, answer_);
  if (!status) return;
  StopWatching();
  if (status->ok()) {
    OnStarted();
  } else {
    FailAfterExit(*std::move(status));
  }
}

void SubprocessExecOperation::OnStarted() {
  std::shared_ptr<SubprocessProtocol> protocol = factory_();
  CHECK(protocol != nullptr);
  if (*cancelled_) return;  // By the factory.
  child_.status_fd.Reset();
  const std::optional<Confinement> confinement = std::move(child_.confinement);
  transport_ =
      LocalSubprocess::Create(context_, std::exchange(child_, SpawnedChild()), protocol,
                              {.write_buffer_marks = *ResolveWriteBufferLimits(plan_->options.write_buffer_limits),
                               .drain_timeout = plan_->options.drain_timeout,
                               .wall_time = confinement ? confinement->limits.wall_time : std::nullopt,
                               .ends_as_a_whole = confinement.has_value(),
                               .on_lost = [weak = weak_from_this()] {
                                 const auto self = weak.lock();
                                 if (self != nullptr && *self->cancelled_) self->Deliver();
                               }});
  result_ = Subprocess{
      .transport = transport_, .protocol = std::move(protocol), .not_confined = std::move(answer_.not_confined)};
  transport_->Start([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self != nullptr && !*self->cancelled_) self->Deliver();
  });
}

void SubprocessExecOperation::Cancel() {
  if (!done_ || cancelled_->exchange(true)) return;
  if (transport_ != nullptr) {
    // Its protocol, which may have seen ConnectionMade already, hears of the end; then `done`.
    result_ = Cancelled();
    transport_->Close();
  } else if (result_) {
    result_ = Cancelled();
  } else if (child_.process.pidfd() >= 0) {
    FailAfterExit(Cancelled());
  }
  // Else the work brings a process, or word that there is none.
}

void SubprocessExecOperation::FailAfterExit(absl::Status status) {
  result_ = std::move(status);
  child_.process.KillAll();
  Watch(Waiting::kForExit, child_.process.pidfd());
}

void SubprocessExecOperation::Fail(absl::Status status) {
  result_ = std::move(status);
  context_.reactor().CallSoon([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Deliver();
  });
}

void SubprocessExecOperation::Deliver() {
  transport_.reset();
  std::exchange(done_, nullptr)(*std::move(result_));
}

}  // namespace transportd
