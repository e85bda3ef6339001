// The other end of a scenario's FIFOs: plain blocking calls, the same as in pipe_end.py.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_PIPE_END_H_
#define TRANSPORTD_TESTS_CONFORMANCE_PIPE_END_H_

#include <deque>
#include <string>
#include <string_view>

#include "tests/conformance/stage.h"
#include "tests/conformance/trace.h"
#include "transports/base/unique_fd.h"

namespace transportd::conformance {

// Every method waits for the kernel and traces what came of it. Threading: one thread at a time; see Stage::Run.
class PipeEnd final {
 public:
  // `trace` must outlive this.
  PipeEnd(UniqueFd fd, Trace& trace);

  void Send(std::string_view data);
  // Exactly `size_bytes`.
  void Recv(size_t size_bytes);
  // Until the other side ends.
  void RecvAll();
  void Close();

 private:
  // Appends to `data` until it holds `size_bytes`, or to the end. False: it came to the end.
  bool Receive(size_t size_bytes, std::string& data);

  UniqueFd fd_;
  Trace& trace_;
};

// What scenarios about pipes need besides. Threading: as Stage.
class Pipes final {
 public:
  explicit Pipes(Stage& stage) : stage_(stage) {}

  // Where a new FIFO is.
  std::string MakeFifo(const std::string& name);
  // Connects the protocol to the read end, or to the write end, of what is at `path`, and notes what came of it.
  void ConnectRead(Tracing& protocol, const std::string& path);
  void ConnectWrite(Tracing& protocol, const std::string& path);
  // The same with a FIFO; the other end is returned.
  PipeEnd& Read(Tracing& protocol);
  PipeEnd& Write(Tracing& protocol);

 private:
  PipeEnd& Open(const std::string& path, int mode);

  Stage& stage_;
  std::deque<PipeEnd> ends_;
};

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_PIPE_END_H_
