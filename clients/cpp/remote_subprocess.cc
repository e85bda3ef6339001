#include "clients/cpp/remote_subprocess.h"

#include <cerrno>
#include <csignal>
#include <utility>

#include "clients/cpp/convert.h"
#include "transports/api/error.h"
#include "transports/base/check.h"

namespace transportd {
namespace {

// A pipe's own connection_made comes after its subprocess's and says the same.
ExtraInfo PipeExtraInfo(uint32_t fd, bool is_pty) {
  ExtraInfo extra_info;
  extra_info.pipe = PipeInfo{.kind = is_pty ? PipeInfo::Kind::kTerminal : PipeInfo::Kind::kFifo,
                             .can_read = is_pty || fd != 0,
                             .can_write = is_pty || fd == 0,
                             .path = {},
                             .fd = static_cast<int>(fd)};
  return extra_info;
}

}  // namespace

bool RemoteSubprocess::IsSubprocess(const v1::ConnectionMade& made) {
  uint32_t next_fd = 0;
  for (const v1::SubprocessPipe& pipe : made.pipes()) {
    if (pipe.fd() < next_fd || pipe.fd() > 2 || pipe.transport_id() == 0) return false;
    next_fd = pipe.fd() + 1;
  }
  return made.extra_info().pid() != 0;
}

std::shared_ptr<RemoteSubprocess> RemoteSubprocess::Create(RemoteSession& session, uint32_t id,
                                                           const v1::ConnectionMade& made,
                                                           std::shared_ptr<SubprocessProtocol> protocol,
                                                           WriteBufferMarks marks) {
  // Not make_shared: the constructor is private.
  std::shared_ptr<RemoteSubprocess> subprocess(
      new RemoteSubprocess(session, id, remote::FromProto(made.extra_info()), std::move(protocol)));
  session.AddTransport(id, subprocess);
  const auto& pipes = made.pipes();
  const bool has_pty = pipes.size() >= 2 && pipes[0].transport_id() == pipes[1].transport_id();
  for (int i = has_pty ? 1 : 0; i < pipes.size(); ++i) {
    subprocess->MakePipe(pipes[i].fd(), pipes[i].transport_id(), has_pty && i == 1, marks);
  }
  return subprocess;
}

RemoteSubprocess::RemoteSubprocess(RemoteSession& session, uint32_t id, ExtraInfo extra_info,
                                   std::shared_ptr<SubprocessProtocol> protocol)
    : session_(&session), id_(id), extra_info_(std::move(extra_info)), protocol_(std::move(protocol)) {}

RemoteSubprocess::~RemoteSubprocess() { CHECK(state_ == State::kLost); }

void RemoteSubprocess::MakePipe(uint32_t fd, uint32_t transport_id, bool is_pty, WriteBufferMarks marks) {
  RemoteTransport::Options options;
  options.extra_info = PipeExtraInfo(is_pty ? 0 : fd, is_pty);
  options.write_buffer_marks = marks;
  options.held = true;
  options.on_lost = [this, fd, is_pty](RemoteTransport&) {
    pipe_open_[fd] = false;
    if (is_pty) pipe_open_[0] = false;
    FinishWhenDone();
  };
  auto protocol = std::make_shared<PipeProtocol>(
      [weak = weak_from_this()]() -> std::shared_ptr<SubprocessProtocol> {
        const std::shared_ptr<RemoteSubprocess> self = weak.lock();
        return self != nullptr ? self->protocol_ : nullptr;
      },
      static_cast<int>(fd), is_pty);
  pipes_[fd] = std::make_shared<RemoteTransport>(*session_, transport_id, std::move(protocol), std::move(options));
  pipe_open_[fd] = true;
  if (is_pty) {
    pipes_[0] = pipes_[fd];
    pipe_open_[0] = true;
  }
  session_->AddTransport(transport_id, pipes_[fd]);
}

void RemoteSubprocess::Start() { protocol_->ConnectionMade(shared_from_this()); }

void RemoteSubprocess::Release() {
  held_ = false;
  const auto pipes = pipes_;
  for (size_t fd = 0; fd < pipes.size(); ++fd) {
    if (pipes[fd] != nullptr && (fd == 0 || pipes[fd] != pipes[0])) pipes[fd]->Release();
  }
  DeliverExit();
  FinishWhenDone();
}

void RemoteSubprocess::WhenLost(absl::AnyInvocable<void()> on_lost) {
  if (state_ == State::kLost) return on_lost();
  on_lost_ = std::move(on_lost);
}

// --- What the service says

// Data flows through the pipes, under their own ids.
bool RemoteSubprocess::OnDataReceived(std::string_view /*data*/, bool /*is_last*/) { return false; }
bool RemoteSubprocess::OnWriteProgress(uint64_t /*sent_bytes*/) { return false; }

bool RemoteSubprocess::OnCallback(const v1::Callback& callback) {
  switch (callback.callback_case()) {
    case v1::Callback::kProcessExited:
      if (returncode_) return false;
      returncode_ = callback.process_exited().returncode();
      exit_is_due_ = true;
      DeliverExit();
      return true;
    case v1::Callback::kConnectionLost:
      end_ = remote::FromProto(callback.connection_lost());
      FinishWhenDone();
      return true;
    default:
      return true;
  }
}

void RemoteSubprocess::DeliverExit() {
  if (held_ || !std::exchange(exit_is_due_, false)) return;
  protocol_->ProcessExited();
}

void RemoteSubprocess::OnSessionLost(const absl::Status& status) {
  if (state_ == State::kLost) return;
  held_ = false;
  // Its pipes are told by the session, perhaps after this.
  end_ = ConnectionEnd{.cause = EndCause::kSessionLost, .status = status};
  DeliverExit();
  FinishWhenDone();
}

void RemoteSubprocess::FinishWhenDone() {
  if (state_ != State::kOpen || held_ || exit_is_due_ || !end_ || pipe_open_ != std::array<bool, 3>{}) return;
  state_ = State::kFinishing;
  session_->reactor().CallSoon([weak = weak_from_this()] {
    if (const std::shared_ptr<RemoteSubprocess> self = weak.lock()) self->CallConnectionLost();
  });
}

void RemoteSubprocess::CallConnectionLost() {
  if (state_ != State::kFinishing) return;  // The loop is being destroyed.
  const std::shared_ptr<SubprocessProtocol> protocol = std::move(protocol_);
  auto on_lost = std::move(on_lost_);
  RemoteSession* const session = std::exchange(session_, nullptr);
  state_ = State::kLost;
  session->reactor().DeferredDelete(session->RemoveTransport(id_));
  protocol->ConnectionLost(*end_);
  if (on_lost) on_lost();
}

void RemoteSubprocess::OnLoopDestroyed() {
  // Moved out, because their destructors may call back.
  const std::shared_ptr<SubprocessProtocol> protocol = std::move(protocol_);
  const auto on_lost = std::move(on_lost_);
  state_ = State::kLost;
  session_ = nullptr;
}

// --- What a program asks for

int RemoteSubprocess::GetPid() const { return extra_info_.pid.value_or(0); }

std::shared_ptr<Transport> RemoteSubprocess::GetPipeTransport(int fd) const {
  return fd >= 0 && fd < 3 ? pipes_[static_cast<size_t>(fd)] : nullptr;
}

void RemoteSubprocess::SendSignal(int signal_number, absl::AnyInvocable<void(absl::Status)> done) {
  AssertInLoopThread();
  absl::Status status;
  if (signal_number < 0 || signal_number > SIGRTMAX) {
    status = InvalidArgument("INVALID_SIGNAL", "signal", "0 to 64, or a signal's name");
  } else if (session_ == nullptr) {
    status = ErrnoToStatus(ESRCH, "send_signal");
  } else if (!returncode_) {
    v1::Command command;
    command.mutable_send_signal()->set_transport_id(id_);
    command.mutable_send_signal()->set_number(signal_number);
    return Request(std::move(command), std::move(done));
  }
  if (done) done(std::move(status));
}

void RemoteSubprocess::Terminate(absl::AnyInvocable<void(absl::Status)> done) { SendSignal(SIGTERM, std::move(done)); }

void RemoteSubprocess::Kill(absl::AnyInvocable<void(absl::Status)> done) { SendSignal(SIGKILL, std::move(done)); }

void RemoteSubprocess::Resize(WindowSize size, absl::AnyInvocable<void(absl::Status)> done) {
  AssertInLoopThread();
  if (session_ == nullptr) {
    if (done) {
      done(MakeError(absl::StatusCode::kFailedPrecondition, "NOT_A_PTY", "there is no pseudo-terminal any more"));
    }
    return;
  }
  v1::Command command;
  command.mutable_resize()->set_transport_id(id_);
  command.mutable_resize()->mutable_size()->set_rows(size.rows);
  command.mutable_resize()->mutable_size()->set_columns(size.columns);
  Request(std::move(command), std::move(done));
}

void RemoteSubprocess::Request(v1::Command command, absl::AnyInvocable<void(absl::Status)> done) {
  if (!done) return session_->Send(command);
  session_->Request(std::move(command),
                    [done = std::move(done)](const absl::StatusOr<v1::Reply>& reply) mutable { done(reply.status()); });
}

void RemoteSubprocess::Close() {
  AssertInLoopThread();
  if (std::exchange(closing_, true) || session_ == nullptr) return;
  v1::Command command;
  command.mutable_close()->set_transport_id(id_);
  session_->Send(command);
  const auto pipes = pipes_;
  for (const std::shared_ptr<RemoteTransport>& pipe : pipes) {
    if (pipe != nullptr) pipe->Close();
  }
}

void RemoteSubprocess::SetProtocol(std::shared_ptr<SubprocessProtocol> protocol) {
  AssertInLoopThread();
  CHECK(protocol != nullptr);
  if (state_ == State::kLost) return;
  // The old one may be what called this.
  session_->reactor().DeferredDelete(std::exchange(protocol_, std::move(protocol)));
}

void RemoteSubprocess::AssertInLoopThread() const {
  if (session_ != nullptr) session_->reactor().AssertInLoopThread();
}

}  // namespace transportd
