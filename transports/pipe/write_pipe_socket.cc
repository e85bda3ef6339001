#include "transports/pipe/write_pipe_socket.h"

#include <poll.h>

#include <cerrno>
#include <cstddef>
#include <utility>

#include "transports/api/error.h"
#include "transports/pipe/pipe_io.h"

namespace transportd {

WritePipeSocket::WritePipeSocket(UniqueFd fd, std::string name, const PipeKind& kind)
    : fd_(std::move(fd)), name_(std::move(name)), kind_(kind) {
  IgnoreSigpipe();
}

StreamTraits WritePipeSocket::Traits() const {
  // A FIFO that was opened for both is its own reader.
  const bool watches_reader =
      kind_.kind == PipeInfo::Kind::kSocket || (kind_.kind == PipeInfo::Kind::kFifo && !kind_.can_read);
  return {.can_read = false, .write_eof_closes = true, .close_ends_write = true, .watches_reader = watches_reader};
}

int WritePipeSocket::fd() const { return fd_.get(); }

IoResult WritePipeSocket::DoRead(std::span<char> buffer) {
  if (kind_.kind == PipeInfo::Kind::kSocket) {
    const IoResult result = ReadPipe(fd_.get(), buffer, name_);
    const bool gone = result.kind == IoResult::Kind::kEof || result.kind == IoResult::Kind::kFailed;
    return gone ? IoResult::Eof() : IoResult::WouldBlock();
  }
  pollfd state{.fd = fd_.get(), .events = 0, .revents = 0};
  const bool gone = ::poll(&state, 1, 0) == 1 && (state.revents & (POLLERR | POLLHUP)) != 0;
  return gone ? IoResult::Eof() : IoResult::WouldBlock();
}

IoResult WritePipeSocket::DoWrite(std::span<const iovec> pieces) {
  return kind_.can_be_watched ? WritePipe(fd_.get(), pieces, name_) : WriteAll(pieces);
}

IoResult WritePipeSocket::WriteAll(std::span<const iovec> pieces) {
  size_t written_bytes = 0;
  for (iovec piece : pieces) {
    while (piece.iov_len > 0) {
      IoResult result = WritePipe(fd_.get(), {&piece, 1}, name_);
      // Nothing would tell when to try again.
      if (result.kind == IoResult::Kind::kWouldBlock) {
        result = IoResult::Failed(EndCause::kOsError, ErrnoToStatus(EAGAIN, "write", name_));
      }
      if (result.kind == IoResult::Kind::kFailed) return result;
      written_bytes += result.size_bytes;
      piece.iov_base = static_cast<char*>(piece.iov_base) + result.size_bytes;
      piece.iov_len -= result.size_bytes;
    }
  }
  return IoResult::Bytes(written_bytes);
}

// Not called: the traits say that the transport closes instead.
IoResult WritePipeSocket::ShutdownWrite() { return IoResult::Bytes(0); }

}  // namespace transportd
