// What the load generator talks to, through whatever is measured: echo (RFC 862), discard (RFC 863) and chargen (RFC
// 864) servers on 127.0.0.1. See kUsage.
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/echo_protocol.h"
#include "transports/loop/epoll_event_loop.h"

namespace transportd::bench {
namespace {

constexpr char kUsage[] = R"(usage: bench_peer [--certificate=PEM --key=PEM]

Prints the ports of its servers as a line of JSON, and runs until standard input ends.

  echo, tls_echo        sends back what it receives
  discard, tls_discard  reads; to a piece that ends with a newline it answers how many bytes came, as 8 bytes, little
                        endian
  chargen, tls_chargen  writes without end
  udp_echo              sends datagrams back

The tls_ ones are there when there is a certificate.
)";

constexpr size_t kChunkBytes = 64 * 1024;

// Threading, of all here: loop thread only.
class Discard final : public Protocol {
 public:
  void ConnectionMade(std::shared_ptr<Transport> transport) override { transport_ = std::move(transport); }
  void DataReceived(std::string_view data) override {
    count_ += data.size();
    if (data.back() != '\n') return;
    char answer[sizeof(count_)];
    std::memcpy(answer, &count_, sizeof(count_));
    transport_->Write({answer, sizeof(answer)}).IgnoreError();
  }
  void ConnectionLost(const ConnectionEnd& /*end*/) override { transport_.reset(); }

 private:
  std::shared_ptr<Transport> transport_;
  uint64_t count_ = 0;
};

class Chargen final : public Protocol, public std::enable_shared_from_this<Chargen> {
 public:
  explicit Chargen(EventLoop& loop) : loop_(loop) {}
  void ConnectionMade(std::shared_ptr<Transport> transport) override {
    transport_ = std::move(transport);
    Write();
  }
  void PauseWriting() override { is_paused_ = true; }
  void ResumeWriting() override {
    is_paused_ = false;
    Write();
  }
  void ConnectionLost(const ConnectionEnd& /*end*/) override { transport_.reset(); }

 private:
  // A piece a turn, so that all connections have theirs.
  void Write() {
    if (is_queued_ || is_paused_ || transport_ == nullptr) return;
    static const std::string chunk(kChunkBytes, 'x');
    transport_->Write(chunk).IgnoreError();
    if (is_paused_) return;
    is_queued_ = true;
    loop_.CallSoon([self = shared_from_this()] {
      self->is_queued_ = false;
      self->Write();
    });
  }

  EventLoop& loop_;
  std::shared_ptr<Transport> transport_;
  bool is_paused_ = false;
  bool is_queued_ = false;
};

class UdpEcho final : public DatagramProtocol {
 public:
  void ConnectionMade(std::shared_ptr<DatagramTransport> transport) override { transport_ = std::move(transport); }
  void DatagramReceived(std::string_view data, const SocketAddress* address) override {
    transport_->SendTo(data, address).IgnoreError();
  }
  void ConnectionLost(const DatagramEnd& /*end*/) override { transport_.reset(); }

 private:
  std::shared_ptr<DatagramTransport> transport_;
};

// Opens one server after the other, then tells their ports.
class Servers final {
 public:
  Servers(EventLoop& loop, std::optional<TlsOptions> tls) : loop_(loop) {
    plan_ = {{"echo", [] { return std::make_shared<EchoProtocol>(); }, std::nullopt},
             {"discard", [] { return std::make_shared<Discard>(); }, std::nullopt},
             {"chargen", [&loop] { return std::make_shared<Chargen>(loop); }, std::nullopt}};
    if (!tls) return;
    const size_t plain_count = plan_.size();
    for (size_t i = 0; i < plain_count; ++i) plan_.push_back({"tls_" + plan_[i].name, plan_[i].make, tls});
  }

  void OpenNext() {
    if (servers_.size() == plan_.size()) return OpenUdp();
    CreateServerOptions options;
    options.hosts = {"127.0.0.1"};
    options.port = 0;
    options.backlog = 4096;
    options.tls = plan_[servers_.size()].tls;
    loop_.CreateServer(plan_[servers_.size()].make, std::move(options),
                       [this](absl::StatusOr<std::shared_ptr<Server>> server) {
                         if (!server.ok()) return Fail(server.status());
                         servers_.push_back(*std::move(server));
                         OpenNext();
                       });
  }

  const absl::Status& status() const { return status_; }

 private:
  struct Planned {
    std::string name;
    std::function<std::shared_ptr<BaseProtocol>()> make;
    std::optional<TlsOptions> tls;
  };

  void OpenUdp() {
    CreateDatagramEndpointOptions options;
    options.local = {.host = "127.0.0.1", .port = 0};
    loop_.CreateDatagramEndpoint([] { return std::make_shared<UdpEcho>(); }, std::move(options),
                                 [this](const absl::StatusOr<DatagramEndpoint>& endpoint) {
                                   if (!endpoint.ok()) return Fail(endpoint.status());
                                   Tell(endpoint->transport->GetExtraInfo().sockname->port);
                                 });
  }

  void Tell(unsigned udp_port) {
    std::printf("{\"udp_echo\": %u", udp_port);
    for (size_t i = 0; i < plan_.size(); ++i) {
      std::printf(", \"%s\": %u", plan_[i].name.c_str(), static_cast<unsigned>(servers_[i]->Sockets().front().port));
    }
    std::printf("}\n");
    std::fflush(stdout);
  }

  void Fail(const absl::Status& status) {
    status_ = status;
    loop_.Stop();
  }

  EventLoop& loop_;
  std::vector<Planned> plan_;
  std::vector<std::shared_ptr<Server>> servers_;
  absl::Status status_;
};

std::string ReadFile(std::string_view path) {
  std::ifstream file{std::string(path)};
  return {std::istreambuf_iterator<char>(file), {}};
}

int Main(const std::vector<std::string_view>& words) {
  std::optional<TlsOptions> tls;
  for (const std::string_view word : words) {
    if (!tls) tls.emplace();
    if (word.starts_with("--certificate=")) {
      tls->certificate_chain_pem = ReadFile(word.substr(word.find('=') + 1));
    } else if (word.starts_with("--key=")) {
      tls->private_key_pem = ReadFile(word.substr(word.find('=') + 1));
    } else {
      std::fputs(kUsage, stderr);
      return 2;
    }
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  auto loop = EpollEventLoop::Create();
  absl::Status status = loop.status();
  if (status.ok()) {
    Servers servers(**loop, tls);
    servers.OpenNext();
    std::thread watcher([&loop] {
      char byte = 0;
      while (::read(STDIN_FILENO, &byte, 1) > 0) {
      }
      (*loop)->Stop();
    });
    (*loop)->RunForever();
    status = servers.status();
    // It has stopped the loop, or still reads, and ends with the process.
    if (status.ok()) {
      watcher.join();
    } else {
      watcher.detach();
    }
    loop->reset();
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "bench_peer: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace transportd::bench

int main(int argc, char** argv) { return transportd::bench::Main({argv + 1, argv + argc}); }
