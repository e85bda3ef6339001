#include "transports/subprocess/pty_socket.h"

#include <cerrno>
#include <utility>

#include "transports/api/error.h"
#include "transports/pipe/pipe_io.h"

namespace transportd {
namespace {

constexpr char kName[] = "pty";

}  // namespace

PtySocket::PtySocket(std::shared_ptr<PtyMaster> master) : master_(std::move(master)) {}

PtySocket::~PtySocket() {
  if (!master_->is_let_go) master_->fd.Reset();
}

IoResult PtySocket::DoRead(std::span<char> buffer) {
  IoResult result = ReadPipe(fd(), buffer, kName);
  const bool is_end = result.kind == IoResult::Kind::kFailed && ToTransportError(result.status).errno_number == EIO;
  if (!is_end) return result;
  master_->is_let_go = true;
  return IoResult::Eof();
}

IoResult PtySocket::DoWrite(std::span<const iovec> pieces) { return WritePipe(fd(), pieces, kName); }

}  // namespace transportd
