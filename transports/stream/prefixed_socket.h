// A stream socket some of whose bytes were read already.
#ifndef TRANSPORTD_TRANSPORTS_STREAM_PREFIXED_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_STREAM_PREFIXED_SOCKET_H_

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "transports/stream/stream_socket.h"

namespace transportd {

// Reads give `prefix` first. For what reads until it would block, as layers do: the descriptor does not tell of the
// prefix. Threading: loop thread only.
class PrefixedSocket final : public StreamSocket {
 public:
  PrefixedSocket(std::string prefix, std::unique_ptr<StreamSocket> lower)
      : prefix_(std::move(prefix)), lower_(std::move(lower)) {}

  // StreamSocket
  StreamTraits Traits() const override { return lower_->Traits(); }
  int fd() const override { return lower_->fd(); }
  IoResult DoRead(std::span<char> buffer) override {
    if (taken_bytes_ == prefix_.size()) return lower_->DoRead(buffer);
    const size_t size_bytes = std::min(buffer.size(), prefix_.size() - taken_bytes_);
    std::memcpy(buffer.data(), prefix_.data() + taken_bytes_, size_bytes);
    taken_bytes_ += size_bytes;
    IoResult result = IoResult::Bytes(size_bytes);
    result.more = true;
    return result;
  }
  IoResult DoWrite(std::span<const iovec> pieces) override { return lower_->DoWrite(pieces); }
  bool CanWriteEof() const override { return lower_->CanWriteEof(); }
  IoResult ShutdownWrite() override { return lower_->ShutdownWrite(); }
  IoResult DoShutdown() override { return lower_->DoShutdown(); }
  void ResetOnClose() override { lower_->ResetOnClose(); }

 private:
  const std::string prefix_;
  size_t taken_bytes_ = 0;
  const std::unique_ptr<StreamSocket> lower_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_STREAM_PREFIXED_SOCKET_H_
