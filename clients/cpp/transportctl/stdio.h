// Standard input and output on the event loop, without changing how other programs that share them see them.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_STDIO_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_STDIO_H_

#include <cstddef>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "transports/base/byte_queue.h"
#include "transports/reactor/reactor.h"

namespace transportd::ctl {

// O_NONBLOCK belongs to the open file, which a shell shares with its children; so it is left alone, and only what
// cannot block is read and written. What epoll cannot watch, such as a regular file, never blocks for long and is read
// at once.

// `fd`, one of the three standard ones; -1 when the program was started with it closed: then the number may mean
// something else by now, which is told by its close-on-exec flag, and reading and writing -1 fails as it should.
int InheritedFd(int fd);

// Reads a file descriptor, a piece a turn. Threading: loop thread only.
class StdinReader final : private FdHandler {
 public:
  // Called on the loop's thread, in turns of their own.
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnInput(std::string_view data) = 0;
    // The end, or an error, which is not OK. Once, last.
    virtual void OnInputEnded(const absl::Status& status) = 0;
  };

  // All must outlive the reader. Begins paused.
  StdinReader(Reactor& reactor, int fd, Handler& handler);
  ~StdinReader() override;
  StdinReader(const StdinReader&) = delete;
  StdinReader& operator=(const StdinReader&) = delete;

  void Resume();
  void Pause();
  bool ended() const { return ended_; }

 private:
  void OnReadable() override { Read(); }
  void ReadSoon();
  void Read();

  Reactor& reactor_;
  Handler& handler_;
  const int fd_;
  WatchId watch_ = 0;  // 0: cannot be watched.
  bool paused_ = true;
  bool ended_ = false;
  bool read_is_due_ = false;
  const std::unique_ptr<char[]> buffer_;
  // What is queued holds this, and knows by it whether the reader is still there.
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// Writes to standard output or error, and keeps what it does not take. Its user pauses the source while it is not
// empty.
// Threading: loop thread only.
class StdoutWriter final : private FdHandler {
 public:
  // Called on the loop's thread, never from inside Write.
  class Handler {
   public:
    virtual ~Handler() = default;
    // Nothing is kept any more.
    virtual void OnOutputDrained() = 0;
    // Nobody reads it any more, or the disk is full. Once; what is written later is dropped.
    virtual void OnOutputFailed(const absl::Status& status) = 0;
  };

  // All must outlive the writer. `name`: what errors call it; static.
  StdoutWriter(Reactor& reactor, int fd, Handler& handler, std::string_view name = "standard output");
  ~StdoutWriter() override;
  StdoutWriter(const StdoutWriter&) = delete;
  StdoutWriter& operator=(const StdoutWriter&) = delete;

  void Write(std::string_view data);
  bool empty() const { return queue_.empty(); }

 private:
  void OnWritable() override;
  void Flush();

  Reactor& reactor_;
  Handler& handler_;
  const int fd_;
  const std::string_view name_;
  WatchId watch_ = 0;
  bool failed_ = false;
  ByteQueue queue_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_STDIO_H_
