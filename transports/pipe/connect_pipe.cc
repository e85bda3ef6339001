#include "transports/pipe/connect_pipe.h"

#include <string>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/pipe/open_pipe.h"
#include "transports/pipe/pipe_transport.h"

namespace transportd {
namespace {

absl::Status Validate(const ConnectPipeOptions& options) {
  if (options.path.has_value() == options.fd.has_value()) {
    return InvalidArgument("INVALID_PIPE", "pipe", "either a path or a descriptor is needed");
  }
  if (options.path && (options.path->empty() || options.path->find('\0') != std::string::npos)) {
    return InvalidArgument("INVALID_PATH", "path", "at least one byte, and none that is 0");
  }
  return ResolveWriteBufferLimits(options.write_buffer_limits).status();
}

}  // namespace

ConnectPipeOperation::ConnectPipeOperation(LoopContext& context, LoopExecutor& executor,
                                           InheritedPipes* inherited_pipes, PipeDirection direction,
                                           ProtocolFactory factory, ConnectPipeOptions options,
                                           TransportOpener::Done done)
    : context_(context),
      executor_(executor),
      inherited_pipes_(inherited_pipes),
      direction_(direction),
      options_(std::move(options)),
      opener_(std::make_shared<TransportOpener>(context, std::move(factory), std::move(done))) {}

ConnectPipeOperation::~ConnectPipeOperation() { executor_.Cancel(work_); }

void ConnectPipeOperation::Start() {
  if (absl::Status status = Validate(options_); !status.ok()) {
    opener_->Fail(std::move(status));
    return;
  }
  if (options_.fd) {
    context_.reactor().CallSoon([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->TakeInherited();
    });
    return;
  }
  work_ = executor_.Run<absl::StatusOr<OpenPipe>>(
      [path = *options_.path, direction = direction_, limit = context_.descriptor_limit(), gate = options_.gate] {
        return OpenPipeByPath(path, direction, limit, gate.get());
      },
      [this](absl::StatusOr<OpenPipe> pipe) { OnOpened(std::move(pipe)); });
}

void ConnectPipeOperation::TakeInherited() {
  if (cancelled_) return;
  if (options_.gate != nullptr) {
    const bool is_write = direction_ == PipeDirection::kWrite;
    if (absl::Status status = options_.gate->MayOpen(StrCat("fd:", *options_.fd), is_write); !status.ok()) {
      opener_->Fail(std::move(status));
      return;
    }
  }
  InheritedPipes none;
  OnOpened((inherited_pipes_ != nullptr ? *inherited_pipes_ : none).Take(*options_.fd, direction_));
}

void ConnectPipeOperation::OnOpened(absl::StatusOr<OpenPipe> pipe) {
  if (!pipe.ok()) {
    opener_->Fail(pipe.status());
    return;
  }
  opener_->Open([this, &pipe](std::shared_ptr<BaseProtocol> protocol) {
    return MakePipeTransport(context_, *std::move(pipe), std::move(protocol),
                             {.direction = direction_,
                              .path = options_.path.value_or(""),
                              .fd = options_.fd,
                              .write_buffer_marks = *ResolveWriteBufferLimits(options_.write_buffer_limits),
                              .on_lost = {}});
  });
}

void ConnectPipeOperation::Cancel() {
  cancelled_ = true;
  executor_.Cancel(std::exchange(work_, 0));
  opener_->Cancel();
}

}  // namespace transportd
