// A stream socket that does what a test says.
#ifndef TRANSPORTD_TESTS_UNIT_STREAM_MEMORY_SOCKET_H_
#define TRANSPORTD_TESTS_UNIT_STREAM_MEMORY_SOCKET_H_

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/unique_fd.h"
#include "transports/stream/stream_socket.h"

namespace transportd {

// The kernel's side of a MemorySocket; outlives it. Readable while something is to be read; always writable, so that
// what the transport does with a full "kernel" shows.
struct MemoryKernel {
  static constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

  std::deque<IoResult> results;  // What the next reads come to; kBytes takes from `incoming`.
  std::string incoming;
  std::string written;
  size_t write_room_bytes = kNoLimit;
  int write_errno = 0;
  bool write_waits_readable = false;
  int shutdown_errno = 0;
  int read_count = 0;
  int write_count = 0;
  int shutdown_count = 0;
  bool reset_on_close = false;
  bool can_sendfile = false;  // And then it fails, as a file system without it does.
  bool closed = false;
  int fd = -1;
  StreamTraits traits;
  std::deque<IoResult> handshake;  // What the steps come to; empty: done.
  std::deque<IoResult> shutdown;   // The same.
  int handshake_count = 0;
  int leave_count = 0;  // Calls of DoShutdown.
  bool hides = false;   // What is fed shows in no descriptor, only in IoResult::more.

  void Feed(const std::string& data) {
    incoming += data;
    results.push_back(IoResult::Bytes(data.size()));
    Signal();
  }
  void FeedEof() {
    results.push_back(IoResult::Eof());
    Signal();
  }
  void FeedError(int error_number) {
    results.push_back(IoResult::Failed(EndCauseFromErrno(error_number), ErrnoToStatus(error_number, "recv")));
    Signal();
  }
  void Signal() const {
    const uint64_t one = 1;
    if (fd >= 0 && !hides) static_cast<void>(!::write(fd, &one, sizeof(one)));
  }
};

class MemorySocket final : public StreamSocket {
 public:
  explicit MemorySocket(MemoryKernel& kernel) : kernel_(kernel), fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    kernel_.fd = fd_.get();
    if (!kernel_.results.empty()) kernel_.Signal();
  }
  ~MemorySocket() override {
    kernel_.closed = true;
    kernel_.fd = -1;
  }

  StreamTraits Traits() const override { return kernel_.traits; }
  int fd() const override { return fd_.get(); }

  IoResult DoHandshake() override {
    ++kernel_.handshake_count;
    return Next(kernel_.handshake);
  }
  IoResult DoShutdown() override {
    ++kernel_.leave_count;
    return Next(kernel_.shutdown);
  }

  IoResult DoRead(std::span<char> buffer) override {
    ++kernel_.read_count;
    if (kernel_.results.empty()) return IoResult::WouldBlock();
    IoResult& result = kernel_.results.front();
    if (result.kind == IoResult::Kind::kWouldBlock) {
      const IoResult taken = result;
      kernel_.results.pop_front();
      return taken;
    }
    // An EOF or an error stays, as a socket's does.
    if (result.kind != IoResult::Kind::kBytes) return result;
    const size_t size = std::min(buffer.size(), result.size_bytes);
    std::memcpy(buffer.data(), kernel_.incoming.data(), size);
    kernel_.incoming.erase(0, size);
    result.size_bytes -= size;
    if (result.size_bytes == 0) kernel_.results.pop_front();
    if (kernel_.results.empty()) {
      uint64_t value = 0;
      static_cast<void>(!::read(fd_.get(), &value, sizeof(value)));
    }
    IoResult taken = IoResult::Bytes(size);
    taken.more = kernel_.hides && !kernel_.results.empty();
    return taken;
  }

  IoResult DoWrite(std::span<const iovec> pieces) override {
    ++kernel_.write_count;
    if (kernel_.write_waits_readable) return IoResult::WouldBlock(IoResult::Wait::kReadable);
    if (kernel_.write_errno != 0) {
      return IoResult::Failed(EndCauseFromErrno(kernel_.write_errno), ErrnoToStatus(kernel_.write_errno, "send"));
    }
    size_t taken = 0;
    for (const iovec& piece : pieces) {
      const size_t size = std::min(piece.iov_len, kernel_.write_room_bytes);
      kernel_.written.append(static_cast<const char*>(piece.iov_base), size);
      if (kernel_.write_room_bytes != MemoryKernel::kNoLimit) kernel_.write_room_bytes -= size;
      taken += size;
    }
    return taken == 0 ? IoResult::WouldBlock() : IoResult::Bytes(taken);
  }

  bool CanSendfile() const override { return kernel_.can_sendfile; }
  IoResult DoSendfile(int, off_t&, size_t) override { return IoResult::FileFailed(ErrnoToStatus(EINVAL, "sendfile")); }

  bool CanWriteEof() const override { return true; }

  IoResult ShutdownWrite() override {
    ++kernel_.shutdown_count;
    if (kernel_.shutdown_errno == 0) return IoResult::Bytes(0);
    return IoResult::Failed(EndCauseFromErrno(kernel_.shutdown_errno),
                            ErrnoToStatus(kernel_.shutdown_errno, "shutdown"));
  }

  void ResetOnClose() override { kernel_.reset_on_close = true; }

 private:
  static IoResult Next(std::deque<IoResult>& results) {
    if (results.empty()) return IoResult::Bytes(0);
    IoResult result = results.front();
    results.pop_front();
    return result;
  }

  MemoryKernel& kernel_;
  const UniqueFd fd_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_UNIT_STREAM_MEMORY_SOCKET_H_
