// The main job of deploy/quickstart: a remote protocol driven over real sockets, both ways, every callback printed.
//   1. The service listens (create_server); a protocol in this program answers HTTP; a real curl fetches from it.
//   2. The service connects (create_connection) to a real HTTP server; a protocol in this program fetches a file.
// Exit status 0 only if the bytes were right both times.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "clients/cpp/connect.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/base/unique_fd.h"

namespace transportd {
namespace {

constexpr char kUsage[] =
    "usage: transportd-quickstart --http=HOST:PORT --expect-file=FILE [--path=/] [--target=TARGET] [--curl=PROGRAM]\n"
    "\n"
    "  --http, --path   what to fetch through the service, from a real HTTP server\n"
    "  --expect-file    a local copy of it, to compare with\n"
    "  --target         the service; default: $TRANSPORTD_TARGET\n"
    "  --curl           default: /usr/bin/curl\n"
    "\n"
    "Exit status: 0 the bytes were right, 1 they were not or something failed, 2 bad usage.\n";

struct Arguments {
  std::string target;
  std::string host;
  uint32_t port = 0;
  std::string path = "/";
  std::string expect_file;
  std::string curl = "/usr/bin/curl";
};

void Say(std::string_view who, std::string_view what) {
  std::printf("  %-14s %.*s\n", std::string(who).c_str(), static_cast<int>(what.size()), what.data());
  std::fflush(stdout);
}

// Prints every callback. Threading: loop thread only.
class PrintingProtocol : public Protocol {
 public:
  explicit PrintingProtocol(std::string name) : name_(std::move(name)) {}

  void ConnectionMade(std::shared_ptr<Transport> transport) override {
    transport_ = std::move(transport);
    const ExtraInfo& info = transport_->GetExtraInfo();
    Say(name_, StrCat("connection_made    ", info.sockname.value_or(SocketAddress()).ToString(), " <-> ",
                      info.peername.value_or(SocketAddress()).ToString()));
  }
  void DataReceived(std::string_view data) override {
    Say(name_, StrCat("data_received      ", data.size(), " bytes"));
    received_.append(data);
  }
  bool EofReceived() override {
    Say(name_, "eof_received");
    return false;
  }
  void PauseWriting() override { Say(name_, "pause_writing"); }
  void ResumeWriting() override { Say(name_, "resume_writing"); }
  void ConnectionLost(const ConnectionEnd& end) override {
    Say(name_,
        StrCat("connection_lost    ", EndCauseName(end.cause), ", ", end.received_bytes, " bytes in, ", end.sent_bytes,
               " bytes out", end.status.ok() ? "" : ": ", end.status.ok() ? std::string() : end.status.ToString()));
    transport_ = nullptr;
  }

 protected:
  const std::string& name() const { return name_; }
  Transport& transport() { return *transport_; }
  std::string& received() { return received_; }

 private:
  const std::string name_;
  std::shared_ptr<Transport> transport_;
  std::string received_;
};

// Answers every request with `body`. Threading: loop thread only.
class HttpServerProtocol final : public PrintingProtocol {
 public:
  explicit HttpServerProtocol(std::string body) : PrintingProtocol("[server]"), body_(std::move(body)) {}

  void DataReceived(std::string_view data) override {
    PrintingProtocol::DataReceived(data);
    if (!absl::StrContains(received(), "\r\n\r\n")) return;
    Say(name(), StrCat("write              ", received().substr(0, received().find('\r')), " is answered"));
    transport()
        .Write(StrCat("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ", body_.size(),
                      "\r\nConnection: close\r\n\r\n", body_))
        .IgnoreError();
    transport().Close();
  }

 private:
  const std::string body_;
};

// Asks for one file, and keeps what comes until the end. Threading: loop thread only.
class HttpClientProtocol final : public PrintingProtocol {
 public:
  HttpClientProtocol(std::string request, absl::AnyInvocable<void(std::string)> done)
      : PrintingProtocol("[client]"), request_(std::move(request)), done_(std::move(done)) {}

  void ConnectionMade(std::shared_ptr<Transport> made) override {
    PrintingProtocol::ConnectionMade(std::move(made));
    transport().Write(request_).IgnoreError();
  }
  void ConnectionLost(const ConnectionEnd& end) override {
    PrintingProtocol::ConnectionLost(end);
    done_(std::move(received()));
  }

 private:
  const std::string request_;
  absl::AnyInvocable<void(std::string)> done_;
};

// Runs `argv` to its end; its standard output, or nothing when it failed. Blocks.
std::optional<std::string> RunProgram(const std::vector<std::string>& argv) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDOUT_FILENO);
  std::vector<char*> pointers;
  pointers.reserve(argv.size() + 1);
  for (const std::string& argument : argv) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  pid_t pid = 0;
  const int error_number = posix_spawn(&pid, pointers[0], &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error_number != 0) {
    std::fprintf(stderr, "%s\n", transportd::ErrnoToStatus(error_number, "exec", argv[0]).ToString().c_str());
    return std::nullopt;
  }
  write_end.Reset();
  std::string output;
  char buffer[4096];
  for (ssize_t count; (count = read(read_end.get(), buffer, sizeof(buffer))) > 0;) {
    output.append(buffer, static_cast<size_t>(count));
  }
  int status = 0;
  waitpid(pid, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
  return output;
}

bool Judge(std::string_view what, bool right) {
  std::printf("  %s: %.*s\n\n", right ? "right" : "WRONG", static_cast<int>(what.size()), what.data());
  std::fflush(stdout);
  return right;
}

bool ServeCurl(RemoteEventLoop& loop, const Arguments& arguments) {
  std::printf("create_server: the service listens, a protocol here answers, curl asks\n");
  std::string body;
  for (int line = 1; line <= 2000; ++line) body += StrCat("line ", line, " of what only this program knows\n");
  std::optional<std::string> fetched;
  std::thread curl;
  CreateServerOptions options;
  options.hosts = {"127.0.0.1"};
  std::shared_ptr<Server> server;
  loop.CreateServer(
      [&body] { return std::make_shared<HttpServerProtocol>(body); }, options,
      [&](absl::StatusOr<std::shared_ptr<Server>> created) {
        if (!created.ok()) {
          std::fprintf(stderr, "create_server: %s\n", created.status().ToString().c_str());
          return loop.Stop();
        }
        server = *std::move(created);
        const std::string url = StrCat("http://", server->Sockets().front().ToString(), "/hello");
        Say("$ curl", url);
        curl = std::thread([&loop, &arguments, &fetched, &server, url] {
          fetched = RunProgram({arguments.curl, "--silent", "--show-error", "--noproxy", "*", "--max-time", "30", url});
          loop.CallSoonThreadsafe([&] {
            // Everything that is still to be said of the connection is said before the server is gone.
            server->Close();
            server->WaitClosed([&] { loop.Stop(); });
          });
        });
      });
  loop.RunForever();
  if (curl.joinable()) curl.join();
  return Judge(StrCat("curl got ", fetched.value_or("").size(), " of ", body.size(), " bytes"), fetched == body);
}

bool FetchFile(RemoteEventLoop& loop, const Arguments& arguments) {
  std::printf("create_connection: the service connects, a protocol here asks, a real HTTP server answers\n");
  std::ifstream file(arguments.expect_file, std::ios::binary);
  const std::string expected((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::string response;
  const std::string request = StrCat("GET ", arguments.path, " HTTP/1.1\r\nHost: ", arguments.host, ":", arguments.port,
                                     "\r\nConnection: close\r\n\r\n");
  CreateConnectionOptions options;
  options.remote = {.host = arguments.host, .port = arguments.port};
  loop.CreateConnection(
      [&] {
        return std::make_shared<HttpClientProtocol>(request, [&](std::string received) {
          response = std::move(received);
          loop.Stop();
        });
      },
      options,
      [&](const absl::StatusOr<Connection>& connection) {
        if (connection.ok()) return;
        std::fprintf(stderr, "create_connection: %s\n", connection.status().ToString().c_str());
        loop.Stop();
      });
  loop.RunForever();
  const size_t end_of_head = response.find("\r\n\r\n");
  const std::string body = end_of_head == std::string::npos ? "" : response.substr(end_of_head + 4);
  constexpr size_t kShownBytes = 600;
  std::printf("%s%s\n", response.substr(0, kShownBytes).c_str(), response.size() > kShownBytes ? "\n  [...]" : "");
  return Judge(StrCat("the server's file has ", body.size(), " of ", expected.size(), " bytes"),
               !expected.empty() && body == expected);
}

std::optional<Arguments> Parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const size_t equals = argument.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view name = argument.substr(0, equals);
    const std::string value(argument.substr(equals + 1));
    if (name == "--target") {
      arguments.target = value;
    } else if (name == "--http") {
      const size_t colon = value.rfind(':');
      if (colon == std::string::npos) return std::nullopt;
      arguments.host = value.substr(0, colon);
      arguments.port = static_cast<uint32_t>(std::strtoul(value.c_str() + colon + 1, nullptr, 10));
    } else if (name == "--path") {
      arguments.path = value;
    } else if (name == "--expect-file") {
      arguments.expect_file = value;
    } else if (name == "--curl") {
      arguments.curl = value;
    } else {
      return std::nullopt;
    }
  }
  if (arguments.host.empty() || arguments.expect_file.empty()) return std::nullopt;
  return arguments;
}

int Main(int argc, char** argv) {
  const std::optional<Arguments> arguments = Parse(argc, argv);
  if (!arguments.has_value()) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  auto loop = ConnectRemoteEventLoop({.target = arguments->target, .client_name = "quickstart"});
  if (!loop.ok()) {
    std::fprintf(stderr, "the service cannot be reached: %s\n", loop.status().ToString().c_str());
    return 1;
  }
  const bool served = ServeCurl(**loop, *arguments);
  const bool fetched = FetchFile(**loop, *arguments);
  return served && fetched ? 0 : 1;
}

}  // namespace
}  // namespace transportd

int main(int argc, char** argv) { return transportd::Main(argc, argv); }
