#include "transports/pipe/read_pipe_socket.h"

#include <utility>

#include "transports/pipe/pipe_io.h"

namespace transportd {

ReadPipeSocket::ReadPipeSocket(UniqueFd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

StreamTraits ReadPipeSocket::Traits() const { return {.can_write = false, .eof_closes = true}; }

int ReadPipeSocket::fd() const { return fd_.get(); }

IoResult ReadPipeSocket::DoRead(std::span<char> buffer) { return ReadPipe(fd_.get(), buffer, name_); }

// Neither is called: the traits say that there is nothing to write.
IoResult ReadPipeSocket::DoWrite(std::span<const iovec>) { return IoResult::WouldBlock(); }
IoResult ReadPipeSocket::ShutdownWrite() { return IoResult::Bytes(0); }

}  // namespace transportd
