// Asks another program for the date.
// https://docs.python.org/3.13/library/asyncio-protocol.html#loop-subprocess-exec-and-subprocessprotocol
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "clients/cpp/examples/example_loop.h"

namespace transportd {
namespace {

// Collects a program's output. Threading: loop thread only.
class DateProtocol final : public SubprocessProtocol {
 public:
  explicit DateProtocol(EventLoop& loop) : loop_(loop) {}

  void PipeDataReceived(int /*fd*/, std::string_view data) override { output_ += data; }
  void ConnectionLost(const ConnectionEnd& end) override {
    if (!end.status.ok()) example::Die(end.status);
    // The last of all callbacks: the program has exited, and its output is here.
    while (output_.ends_with('\n')) output_.pop_back();
    std::printf("Current date: %s\n", output_.c_str());
    loop_.Stop();
  }

 private:
  EventLoop& loop_;
  std::string output_;
};

}  // namespace
}  // namespace transportd

int main(int argc, char** argv) {
  const auto example =
      transportd::example::Begin(argc, argv, "subprocess [--target=TARGET] [PROGRAM [ARGUMENT…]]     date");
  std::vector<std::string> arguments = example.arguments;
  if (arguments.empty()) arguments = {"date"};
  const std::string program = arguments.front();
  arguments.erase(arguments.begin());
  transportd::SubprocessOptions options;
  options.stdin_kind = transportd::Stdio::kNull;
  options.stderr_kind = transportd::Stdio::kInherit;
  example.loop->SubprocessExec([&] { return std::make_shared<transportd::DateProtocol>(*example.loop); }, program,
                               std::move(arguments), std::move(options),
                               [](const auto& subprocess) {
                                 if (!subprocess.ok()) transportd::example::Die(subprocess.status());
                               });
  example.loop->RunForever();
}
