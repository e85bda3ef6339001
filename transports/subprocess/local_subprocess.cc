#include "transports/subprocess/local_subprocess.h"

#include <sys/ioctl.h>
#include <termios.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/pipe/pipe_transport.h"
#include "transports/subprocess/spawn_plan.h"

namespace transportd {

std::shared_ptr<LocalSubprocess> LocalSubprocess::Create(LoopContext& context, SpawnedChild child,
                                                         std::shared_ptr<SubprocessProtocol> protocol,
                                                         Options options) {
  // Not make_shared: the constructor is private.
  std::shared_ptr<LocalSubprocess> subprocess(
      new LocalSubprocess(context, std::move(child.process), std::move(protocol), std::move(options)));
  context.transports().Add(subprocess);
  subprocess->MakePipes(child);
  return subprocess;
}

LocalSubprocess::LocalSubprocess(LoopContext& context, ChildProcess process,
                                 std::shared_ptr<SubprocessProtocol> protocol, Options options)
    : context_(&context),
      process_(std::move(process)),
      protocol_(std::move(protocol)),
      extra_info_{.pid = process_.pid()},
      write_buffer_marks_(options.write_buffer_marks),
      drain_timeout_(options.drain_timeout),
      ends_as_a_whole_(options.ends_as_a_whole),
      on_lost_(std::move(options.on_lost)) {
  AssertInLoopThread();
  watch_ = context_->reactor().AddWatch(process_.pidfd(), *this);
  if (!options.wall_time) return;
  wall_timer_ = context_->reactor().CallLater(*options.wall_time, [this] {
    wall_timer_ = 0;
    OnWallTime();
  });
}

LocalSubprocess::~LocalSubprocess() { CHECK(state_ == State::kLost); }

void LocalSubprocess::MakePipes(SpawnedChild& child) {
  if (child.pty.valid()) MakePty(std::move(child.pty));
  for (int fd = 0; fd < 3; ++fd) {
    const auto i = static_cast<size_t>(fd);
    if (!child.pipes[i].valid()) continue;
    const bool reads = fd != 0;
    OpenPipe pipe{.fd = std::move(child.pipes[i]), .kind = {.can_read = reads, .can_write = !reads}};
    pipes_[i] = MakePipeTransport(*context_, std::move(pipe), MakePipeProtocol(fd, /*is_pty=*/false),
                                  {.direction = reads ? PipeDirection::kRead : PipeDirection::kWrite,
                                   .path = {},
                                   .fd = fd,
                                   .write_buffer_marks = write_buffer_marks_,
                                   .on_lost = [this, fd](StreamTransport&) { OnPipeLost(fd); }});
    pipe_open_[i] = true;
  }
}

std::shared_ptr<PipeProtocol> LocalSubprocess::MakePipeProtocol(int fd, bool is_pty) {
  return std::make_shared<PipeProtocol>(
      [weak = weak_from_this()]() -> std::shared_ptr<SubprocessProtocol> {
        const std::shared_ptr<LocalSubprocess> self = weak.lock();
        return self != nullptr ? self->protocol_ : nullptr;
      },
      fd, is_pty);
}

void LocalSubprocess::MakePty(UniqueFd fd) {
  pty_ = std::make_shared<PtyMaster>(PtyMaster{.fd = std::move(fd)});
  ExtraInfo extra_info;
  extra_info.pipe = PipeInfo{.kind = PipeInfo::Kind::kTerminal, .can_read = true, .can_write = true, .fd = 0};
  pipes_[0] =
      StreamTransport::Create(*context_, std::make_unique<PtySocket>(pty_), MakePipeProtocol(1, /*is_pty=*/true),
                              {.extra_info = std::move(extra_info),
                               .write_buffer_marks = write_buffer_marks_,
                               .on_lost = [this](StreamTransport&) {
                                 pipe_open_[0] = false;
                                 OnPipeLost(1);
                               }});
  pipes_[1] = pipes_[0];
  pipe_open_[0] = pipe_open_[1] = true;
}

void LocalSubprocess::Start(absl::AnyInvocable<void()> on_ready) {
  AssertInLoopThread();
  Reactor& reactor = context_->reactor();
  // The pipes call ConnectionMade before this does, and read only when this is ready.
  for (size_t i = 0; i < 3; ++i) {
    if (pipes_[i] != nullptr && (i == 0 || pipes_[i] != pipes_[0])) pipes_[i]->Start([](absl::Status) {});
  }
  // The raw pointer holds as in StreamTransport::Start.
  reactor.CallSoon([this, ready = std::move(on_ready)]() mutable {
    state_ = State::kOpen;
    context_->reactor().CallSoon([self = shared_from_this(), on_ready = std::move(ready)]() mutable {
      on_ready();
      if (self->watch_ != 0) self->context_->reactor().SetWatch(self->watch_, /*readable=*/true, /*writable=*/false);
    });
    protocol_->ConnectionMade(shared_from_this());
  });
}

void LocalSubprocess::OnReadable() {
  const std::optional<int> returncode = process_.TryReap();
  if (!returncode) return;
  returncode_ = returncode;
  StopWatching();
  if (closing_) {
    EndPipes();
  } else if (drain_timeout_) {
    drain_timer_ = context_->reactor().CallLater(*drain_timeout_, [this] {
      drain_timer_ = 0;
      OnDrained();
    });
  }
  // Last, and only what is still true then is done: the protocol may call anything.
  const std::shared_ptr<LocalSubprocess> self = shared_from_this();
  protocol_->ProcessExited();
  FinishWhenDone();
}

void LocalSubprocess::OnDrained() {
  for (size_t i = 0; i < 3; ++i) {
    if (!pipe_open_[i]) continue;
    pipes_[i]->Fail(EndCause::kTimedOut,
                    MakeError(absl::StatusCode::kDeadlineExceeded, "DRAIN_TIMEOUT",
                              "the process has exited, and something else holds its pipe or its output is not read"));
  }
}

// The rest follows as for any process that is killed.
void LocalSubprocess::OnWallTime() {
  is_out_of_time_ = true;
  process_.KillAll();
}

void LocalSubprocess::OnPipeLost(int fd) {
  pipe_open_[static_cast<size_t>(fd)] = false;
  FinishWhenDone();
}

void LocalSubprocess::FinishWhenDone() {
  if (state_ != State::kOpen || !returncode_ || pipe_open_ != std::array<bool, 3>{}) return;
  state_ = State::kFinishing;
  context_->reactor().CallSoon([this] { CallConnectionLost(); });
}

void LocalSubprocess::CallConnectionLost() {
  ConnectionEnd end{.cause = closing_ ? EndCause::kLocalClose : EndCause::kEof, .status = absl::OkStatus()};
  if (is_out_of_time_ && !closing_) {
    end.cause = EndCause::kTimedOut;
    end.status = MakeError(absl::StatusCode::kDeadlineExceeded, "WALL_TIME", "the process ran for as long as it may");
  }
  const std::shared_ptr<SubprocessProtocol> protocol = std::move(protocol_);
  auto on_lost = std::move(on_lost_);
  StopWatching();
  if (wall_timer_ != 0) context_->reactor().CancelTimer(std::exchange(wall_timer_, 0));
  if (ends_as_a_whole_) process_.KillAll();
  state_ = State::kLost;
  // Without a group it has nothing to be kept for, and holds a descriptor.
  if (!process_.HasGroup()) process_ = ChildProcess();
  pty_ = nullptr;
  context_->reactor().DeferredDelete(std::exchange(context_, nullptr)->transports().Remove(this));
  protocol->ConnectionLost(end);
  if (on_lost) on_lost();
}

void LocalSubprocess::OnLoopDestroyed() {
  // Moved out, because their destructors may call back.
  const std::shared_ptr<SubprocessProtocol> protocol = std::move(protocol_);
  const auto on_lost = std::move(on_lost_);
  StopWatching();
  if (wall_timer_ != 0) context_->reactor().CancelTimer(std::exchange(wall_timer_, 0));
  state_ = State::kLost;
  process_.KillAll();
  process_ = ChildProcess();
  pty_ = nullptr;
  context_ = nullptr;
}

void LocalSubprocess::StopWatching() {
  if (watch_ != 0) context_->reactor().RemoveWatch(std::exchange(watch_, 0));
  if (drain_timer_ != 0) context_->reactor().CancelTimer(std::exchange(drain_timer_, 0));
}

void LocalSubprocess::Close() {
  AssertInLoopThread();
  if (std::exchange(closing_, true) && context_ != nullptr) return;
  process_.KillAll();
  if (context_ != nullptr) EndPipes();
}

void LocalSubprocess::EndPipes() {
  for (size_t i = 0; i < 3; ++i) {
    if (!pipe_open_[i]) continue;
    // What is buffered for a process that is gone is for nobody, even if somebody else holds the pipe.
    if (returncode_) {
      pipes_[i]->Abort();
    } else {
      pipes_[i]->Close();
    }
  }
}

bool LocalSubprocess::IsClosing() const { return closing_; }

int LocalSubprocess::GetPid() const { return *extra_info_.pid; }

std::optional<int> LocalSubprocess::GetReturncode() const { return returncode_; }

std::shared_ptr<Transport> LocalSubprocess::GetPipeTransport(int fd) const {
  return fd >= 0 && fd < 3 ? pipes_[static_cast<size_t>(fd)] : nullptr;
}

void LocalSubprocess::SendSignal(int signal_number, absl::AnyInvocable<void(absl::Status)> done) {
  AssertInLoopThread();
  absl::Status status = Signal(signal_number);
  if (done) done(std::move(status));
}

absl::Status LocalSubprocess::Signal(int signal_number) {
  if (signal_number < 0 || signal_number > SIGRTMAX) {
    return InvalidArgument("INVALID_SIGNAL", "signal", "0 to 64, or a signal's name");
  }
  if (context_ == nullptr) return ErrnoToStatus(ESRCH, "send_signal");
  return process_.SendSignal(signal_number);
}

void LocalSubprocess::Terminate(absl::AnyInvocable<void(absl::Status)> done) { SendSignal(SIGTERM, std::move(done)); }

void LocalSubprocess::Kill(absl::AnyInvocable<void(absl::Status)> done) { SendSignal(SIGKILL, std::move(done)); }

void LocalSubprocess::Resize(WindowSize size, absl::AnyInvocable<void(absl::Status)> done) {
  AssertInLoopThread();
  absl::Status status = SetWindowSize(size);
  if (done) done(std::move(status));
}

absl::Status LocalSubprocess::SetWindowSize(WindowSize size) {
  if (absl::Status bad = ValidateWindowSize(size); !bad.ok()) return bad;
  if (pty_ == nullptr || !pty_->fd.valid() || pty_->is_let_go) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "NOT_A_PTY",
                     "there is no pseudo-terminal, or it is closed");
  }
  const winsize window{.ws_row = static_cast<uint16_t>(size.rows),
                       .ws_col = static_cast<uint16_t>(size.columns),
                       .ws_xpixel = 0,
                       .ws_ypixel = 0};
  if (::ioctl(pty_->fd.get(), TIOCSWINSZ, &window) == 0) return absl::OkStatus();
  const int err = errno;
  return ErrnoToStatus(err, "resize");
}

const ExtraInfo& LocalSubprocess::GetExtraInfo() const { return extra_info_; }

void LocalSubprocess::SetProtocol(std::shared_ptr<SubprocessProtocol> protocol) {
  AssertInLoopThread();
  CHECK(protocol != nullptr);
  if (state_ == State::kLost) return;
  // The old one may be what called this.
  context_->reactor().DeferredDelete(std::exchange(protocol_, std::move(protocol)));
}

std::shared_ptr<SubprocessProtocol> LocalSubprocess::GetProtocol() const { return protocol_; }

void LocalSubprocess::AssertInLoopThread() const {
  if (context_ != nullptr) context_->reactor().AssertInLoopThread();
}

}  // namespace transportd
