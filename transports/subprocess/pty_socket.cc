#include "transports/subprocess/pty_socket.h"

#include <cerrno>
#include <utility>

#include "transports/api/error.h"
#include "transports/pipe/pipe_io.h"

namespace transportd {
namespace {

constexpr char kName[] = "pty";

}  // namespace

PtySocket::PtySocket(UniqueFd fd) : fd_(std::move(fd)) {}

IoResult PtySocket::DoRead(std::span<char> buffer) {
  IoResult result = ReadPipe(fd_.get(), buffer, kName);
  const bool is_end = result.kind == IoResult::Kind::kFailed && ToTransportError(result.status).errno_number == EIO;
  return is_end ? IoResult::Eof() : std::move(result);
}

IoResult PtySocket::DoWrite(std::span<const iovec> pieces) { return WritePipe(fd_.get(), pieces, kName); }

}  // namespace transportd
