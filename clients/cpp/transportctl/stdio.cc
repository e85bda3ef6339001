#include "clients/cpp/transportctl/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

#include "transports/api/error.h"
#include "transports/base/unique_fd.h"

namespace transportd::ctl {
namespace {

constexpr size_t kReadBytes = 64 * 1024;
// A pipe that is writable takes this much without blocking: pipe(7).
constexpr size_t kWriteBytes = PIPE_BUF;

// Regular files and some devices cannot be: epoll_ctl(2), EPERM.
bool CanBeWatched(int fd) {
  const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  return epoll.valid() && ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

bool IsWritableNow(int fd) {
  pollfd polled{.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&polled, 1, 0) == 1;
}

}  // namespace

int InheritedFd(int fd) {
  const int flags = ::fcntl(fd, F_GETFD);
  return flags < 0 || (flags & FD_CLOEXEC) != 0 ? -1 : fd;
}

StdinReader::StdinReader(Reactor& reactor, int fd, Handler& handler)
    : reactor_(reactor), handler_(handler), fd_(fd), buffer_(new char[kReadBytes]) {
  if (CanBeWatched(fd)) watch_ = reactor_.AddWatch(fd, *this);
}

StdinReader::~StdinReader() {
  *alive_ = false;
  if (watch_ != 0) reactor_.RemoveWatch(watch_);
}

void StdinReader::Resume() {
  if (ended_ || !paused_) return;
  paused_ = false;
  if (watch_ != 0) {
    reactor_.SetWatch(watch_, true, false);
  } else {
    ReadSoon();
  }
}

void StdinReader::Pause() {
  if (ended_ || paused_) return;
  paused_ = true;
  if (watch_ != 0) reactor_.SetWatch(watch_, false, false);
}

void StdinReader::ReadSoon() {
  if (read_is_due_) return;
  read_is_due_ = true;
  reactor_.CallSoon([this, alive = alive_] {
    if (!*alive) return;
    read_is_due_ = false;
    if (!paused_ && !ended_) Read();
  });
}

void StdinReader::Read() {
  const ssize_t count = ::read(fd_, buffer_.get(), kReadBytes);
  const int error = errno;
  if (count < 0 && (error == EINTR || error == EAGAIN)) {
    if (watch_ == 0) ReadSoon();
    return;
  }
  if (count <= 0) {
    Pause();
    ended_ = true;
    return handler_.OnInputEnded(count == 0 ? absl::OkStatus() : ErrnoToStatus(error, "read", "standard input"));
  }
  if (watch_ == 0) ReadSoon();
  handler_.OnInput({buffer_.get(), static_cast<size_t>(count)});
}

StdoutWriter::StdoutWriter(Reactor& reactor, int fd, Handler& handler, std::string_view name)
    : reactor_(reactor), handler_(handler), fd_(fd), name_(name) {
  if (CanBeWatched(fd)) watch_ = reactor_.AddWatch(fd, *this);
}

StdoutWriter::~StdoutWriter() {
  *alive_ = false;
  if (watch_ != 0) reactor_.RemoveWatch(watch_);
}

void StdoutWriter::Write(std::string_view data) {
  if (failed_) return;
  queue_.Append(data);
  Flush();
}

void StdoutWriter::OnWritable() {
  Flush();
  if (queue_.empty() && !failed_) handler_.OnOutputDrained();
}

void StdoutWriter::Flush() {
  while (!queue_.empty() && (watch_ == 0 || IsWritableNow(fd_))) {
    iovec piece{};
    queue_.Peek({&piece, 1});
    const ssize_t count = ::write(fd_, piece.iov_base, std::min(piece.iov_len, kWriteBytes));
    const int error = errno;
    if (count >= 0) {
      queue_.Consume(static_cast<size_t>(count));
    } else if (error == EAGAIN && watch_ != 0) {
      break;
    } else if (error != EINTR && error != EAGAIN) {
      failed_ = true;
      queue_.Clear();
      reactor_.CallSoon([this, alive = alive_, error] {
        if (*alive) handler_.OnOutputFailed(ErrnoToStatus(error, "write", name_));
      });
    }
  }
  if (watch_ != 0) reactor_.SetWatch(watch_, false, !queue_.empty());
}

}  // namespace transportd::ctl
