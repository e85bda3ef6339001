// The protocol of a subprocess's pipe: tells the subprocess's own protocol.
#ifndef TRANSPORTD_TRANSPORTS_BASE_PIPE_PROTOCOL_H_
#define TRANSPORTD_TRANSPORTS_BASE_PIPE_PROTOCOL_H_

#include <memory>
#include <string_view>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "transports/api/protocol.h"
#include "transports/api/subprocess.h"

namespace transportd {

// asyncio's ReadSubprocessPipeProto and WriteSubprocessPipeProto. Threading: loop thread only.
class PipeProtocol final : public Protocol {
 public:
  // Asked anew for each callback, because it may be replaced; null: nobody is told any more.
  using Target = absl::AnyInvocable<std::shared_ptr<SubprocessProtocol>() const>;

  // `fd`: the child's descriptor, as which the data comes. `is_pty`: 1, with which 0 is lost, too.
  PipeProtocol(Target target, int fd, bool is_pty) : target_(std::move(target)), fd_(fd), is_pty_(is_pty) {}

  // Protocol
  void DataReceived(std::string_view data) override {
    if (const auto protocol = target_()) protocol->PipeDataReceived(fd_, data);
  }
  void ConnectionLost(const ConnectionEnd& end) override {
    if (is_pty_) {
      if (const auto protocol = target_()) protocol->PipeConnectionLost(0, end);
    }
    if (const auto protocol = target_()) protocol->PipeConnectionLost(fd_, end);
  }
  void PauseWriting() override {
    if (const auto protocol = target_()) protocol->PauseWriting();
  }
  void ResumeWriting() override {
    if (const auto protocol = target_()) protocol->ResumeWriting();
  }

 private:
  const Target target_;
  const int fd_;
  const bool is_pty_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_PIPE_PROTOCOL_H_
