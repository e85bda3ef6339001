#include "tests/conformance/pipe_end.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <limits>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd::conformance {

PipeEnd::PipeEnd(UniqueFd fd, Trace& trace) : fd_(std::move(fd)), trace_(trace) {
  CHECK(fd_.valid());
  CHECK(std::signal(SIGPIPE, SIG_IGN) != SIG_ERR);
}

void PipeEnd::Send(std::string_view data) {
  std::string_view rest = data;
  while (!rest.empty()) {
    const ssize_t size = ::write(fd_.get(), rest.data(), rest.size());
    const int error_number = errno;
    if (size < 0) return trace_.Add("send " + ErrnoName(error_number));
    rest.remove_prefix(static_cast<size_t>(size));
  }
  trace_.Add("send " + DataText(data));
}

bool PipeEnd::Receive(size_t size_bytes, std::string& data) {
  char buffer[65536];
  while (data.size() < size_bytes) {
    const ssize_t size = ::read(fd_.get(), buffer, std::min(sizeof(buffer), size_bytes - data.size()));
    CHECK(size >= 0);
    if (size == 0) return false;
    data.append(buffer, static_cast<size_t>(size));
  }
  return true;
}

void PipeEnd::Recv(size_t size_bytes) {
  std::string data;
  const bool all = Receive(size_bytes, data);
  trace_.Add(StrCat("recv ", DataText(data), all ? "" : " then eof"));
}

void PipeEnd::RecvAll() {
  std::string data;
  Receive(std::numeric_limits<size_t>::max(), data);
  trace_.Add(StrCat("recv_all ", DataText(data), " then eof"));
}

void PipeEnd::Close() {
  fd_.Reset();
  trace_.Add("close");
}

std::string Pipes::MakeFifo(const std::string& name) {
  std::string path = stage_.PathOf(name);
  CHECK(::mkfifo(path.c_str(), 0600) == 0);
  return path;
}

void Pipes::ConnectRead(Tracing& protocol, const std::string& path) {
  bool done = false;
  ConnectPipeOptions options;
  options.path = path;
  stage_.loop().ConnectReadPipe(
      [&protocol] { return protocol.AsProtocol(); }, std::move(options),
      [&](const absl::StatusOr<Connection>& connection) {
        protocol.Note("connect_read_pipe " + (connection.ok() ? "returns" : stage_.ErrorText(connection.status())));
        done = true;
        stage_.Changed();
      });
  stage_.Until([&] { return done; });
}

void Pipes::ConnectWrite(Tracing& protocol, const std::string& path) {
  bool done = false;
  ConnectPipeOptions options;
  options.path = path;
  stage_.loop().ConnectWritePipe(
      [&protocol] { return protocol.AsProtocol(); }, std::move(options),
      [&](const absl::StatusOr<Connection>& connection) {
        protocol.Note("connect_write_pipe " + (connection.ok() ? "returns" : stage_.ErrorText(connection.status())));
        done = true;
        stage_.Changed();
      });
  stage_.Until([&] { return done; });
}

PipeEnd& Pipes::Open(const std::string& path, int mode) {
  UniqueFd fd(::open(path.c_str(), mode | O_NONBLOCK | O_CLOEXEC));
  CHECK(fd.valid());
  CHECK(::fcntl(fd.get(), F_SETFL, mode) == 0);  // The opening alone must not wait.
  return ends_.emplace_back(std::move(fd), stage_.NewTrace("peer"));
}

PipeEnd& Pipes::Read(Tracing& protocol) {
  const std::string path = MakeFifo("fifo");
  ConnectRead(protocol, path);
  return Open(path, O_WRONLY);
}

PipeEnd& Pipes::Write(Tracing& protocol) {
  const std::string path = MakeFifo("fifo");
  PipeEnd& end = Open(path, O_RDONLY);
  ConnectWrite(protocol, path);
  return end;
}

}  // namespace transportd::conformance
