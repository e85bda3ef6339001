// What streams of gRPC cost with nothing of ours on them: bench_grpc serve | tunnel PORT | load TARGET STREAMS SIZE
//
//   serve         echoes every message of every stream
//   tunnel PORT   carries each stream to a TCP connection of its own to 127.0.0.1:PORT: each message is written to it,
//                 each read of it becomes a message
//   load          STREAMS streams of a server, on each of which SIZE bytes play ping-pong
//
//   --threads=N     serve, tunnel: gRPC threads, each with a completion queue of its own. Default: 1
//   --seconds=S     load: how long is measured. Default: 3
//   --warmup=S      load: how long is played before that. Default: 0.5
//   --one-stream    load: one stream is shared by STREAMS connections; a message is its number and SIZE bytes
//
// The servers print {"target": ADDRESS} and run until their standard input ends; the load prints its figures. Exit
// status: 0; 1 and a line on standard error when anything went wrong; 2 bad usage.
#include <sys/resource.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "proto/grpc/process_tuning.h"
#include "tests/bench/grpc/echo_stream.h"
#include "tests/bench/grpc/generic_server.h"
#include "tests/bench/grpc/load.h"
#include "tests/bench/grpc/tunnel_stream.h"
#include "transports/loop/epoll_event_loop.h"

namespace transportd::bench {
namespace {

struct Arguments {
  std::vector<std::string_view> words = {};
  int thread_count = 1;
  LoadOptions load = {};
};

template <typename Number>
bool ReadNumber(std::string_view text, Number least, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= least;
}

bool ReadSeconds(std::string_view text, Duration& duration) {
  constexpr double kMaxSeconds = 24 * 60 * 60;
  double seconds = 0;
  if (!ReadNumber(text, 0.0, seconds) || seconds > kMaxSeconds) return false;
  duration = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  return true;
}

bool ReadOption(std::string_view option, Arguments& arguments) {
  const size_t name_end = option.find('=');
  const std::string_view name = option.substr(0, name_end);
  const std::string_view value = name_end == std::string_view::npos ? "" : option.substr(name_end + 1);
  if (name == "--threads") return ReadNumber(value, 1, arguments.thread_count);
  if (name == "--seconds") return ReadSeconds(value, arguments.load.period);
  if (name == "--warmup") return ReadSeconds(value, arguments.load.warmup);
  if (option == "--one-stream") return arguments.load.one_stream = true;
  return false;
}

int Usage() {
  std::fprintf(stderr,
               "usage: bench_grpc serve [--threads=N] | tunnel PORT [--threads=N] | "
               "load TARGET STREAMS SIZE [--seconds=S] [--warmup=S] [--one-stream]\n");
  return 2;
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "bench_grpc: %s\n", status.ToString().c_str());
  return 1;
}

int Serve(int thread_count, GenericServer::Handler handler) {
  const auto server = GenericServer::Create(thread_count, std::move(handler));
  if (!server.ok()) return Fail(server.status());
  std::printf("{\"target\": \"%s\"}\n", (*server)->target().c_str());
  std::fflush(stdout);
  while (std::fgetc(stdin) != EOF) {
  }
  return 0;
}

// Each stream has a connection, and so a descriptor, of its own.
void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int Tunnel(int thread_count, uint32_t port) {
  RaiseFileLimit();
  const auto loop = EpollEventLoop::Create();
  if (!loop.ok()) return Fail(loop.status());
  std::thread thread([&] { (*loop)->RunForever(); });
  const int exit_status = Serve(thread_count, [&](std::unique_ptr<IncomingStream> stream) {
    TunnelStream::Serve(std::move(stream), **loop, port);
  });
  (*loop)->Stop();
  thread.join();
  return exit_status;
}

int Load(const LoadOptions& options) {
  const auto figures = RunLoad(options);
  if (!figures.ok()) return Fail(figures.status());
  std::printf("%s\n", figures->c_str());
  return 0;
}

int Main(const std::vector<std::string_view>& all) {
  TuneProcess();
  Arguments arguments;
  for (const std::string_view word : all) {
    if (!word.starts_with("--")) {
      arguments.words.push_back(word);
    } else if (!ReadOption(word, arguments)) {
      return Usage();
    }
  }
  const std::vector<std::string_view>& words = arguments.words;
  const std::string_view what = words.empty() ? "" : words.front();
  if (what == "serve" && words.size() == 1) return Serve(arguments.thread_count, EchoStream::Serve);
  uint32_t port = 0;
  if (what == "tunnel" && words.size() == 2 && ReadNumber<uint32_t>(words[1], 1, port)) {
    return Tunnel(arguments.thread_count, port);
  }
  LoadOptions& load = arguments.load;
  if (what == "load" && words.size() == 4 && ReadNumber<size_t>(words[2], 1, load.connection_count) &&
      ReadNumber<size_t>(words[3], 1, load.size_bytes)) {
    load.target = words[1];
    return Load(load);
  }
  return Usage();
}

}  // namespace
}  // namespace transportd::bench

int main(int argc, char** argv) { return transportd::bench::Main({argv + 1, argv + argc}); }
