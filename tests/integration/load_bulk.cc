#include <openssl/evp.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "tests/integration/load.h"
#include "transports/base/check.h"
#include "transports/base/clock.h"
#include "transports/base/str_cat.h"

namespace transportd::load {
namespace {

constexpr uint64_t kChunkBytes = 256 * 1024;

// The SHA-256 of what passes by. Threading: a value.
class Digest final {
 public:
  Digest() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    CHECK(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void Add(std::string_view data) {
    size_bytes_ += data.size();
    CHECK(EVP_DigestUpdate(context_.get(), data.data(), data.size()) == 1);
  }
  uint64_t size_bytes() const { return size_bytes_; }
  std::string Hex() {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    CHECK(EVP_DigestFinal_ex(context_.get(), bytes, &size) == 1);
    return absl::BytesToHexString({reinterpret_cast<const char*>(bytes), size});
  }

 private:
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
  uint64_t size_bytes_ = 0;
};

// What one stream was given and what came out of the other end. Threading: the loop's.
struct Run {
  uint64_t size_bytes = 0;
  Digest sent = {};
  Digest received = {};
  std::string failure = {};  // Empty: none so far.
  int open_end_count = 0;
  std::function<void()> on_ended = {};

  void Check(const absl::Status& status, std::string_view who) {
    if (!status.ok() && failure.empty()) failure = StrCat(who, ": ", std::string(status.message()));
  }
  void Received(std::string_view data) { received.Add(data); }
  void EndLost() {
    if (--open_end_count == 0) on_ended();
  }
};

// The bytes of an xorshift generator, as fast as it is asked for them. Threading: a value.
class Source final {
 public:
  // The next `size_bytes`, at most kChunkBytes; valid until the next call.
  std::string_view Next(uint64_t size_bytes) {
    for (size_t i = 0; i < chunk_.size(); i += 512) {
      state_ ^= state_ << 13;
      state_ ^= state_ >> 7;
      state_ ^= state_ << 17;
      chunk_.replace(i, sizeof(state_), reinterpret_cast<const char*>(&state_), sizeof(state_));
    }
    return {chunk_.data(), std::min<size_t>(size_bytes, chunk_.size())};
  }

 private:
  std::string chunk_ = std::string(kChunkBytes, 'x');
  uint64_t state_ = 88172645463325252ull;
};

// Writes everything into a transport, as its buffer has room, and closes it. Threading: the loop's.
class Pump final {
 public:
  explicit Pump(Run& run) : run_(run) {}
  void Begin(std::shared_ptr<Transport> transport) {
    transport_ = std::move(transport);
    run_.Check(transport_->SetWriteBufferLimits({.high_bytes = 4 * kChunkBytes}), "set_write_buffer_limits");
    Go(true);
  }
  void Go(bool may_write) {
    may_write_ = may_write;
    if (transport_ == nullptr) return;
    while (may_write_ && run_.sent.size_bytes() < run_.size_bytes) {
      const std::string_view chunk = source_.Next(run_.size_bytes - run_.sent.size_bytes());
      run_.sent.Add(chunk);
      run_.Check(transport_->Write(chunk), "write");
    }
    // The last write may have paused this, which then has closed it already.
    if (run_.sent.size_bytes() == run_.size_bytes && transport_ != nullptr) std::exchange(transport_, nullptr)->Close();
  }

 private:
  Run& run_;
  Source source_;
  std::shared_ptr<Transport> transport_;
  bool may_write_ = true;
};

// Threading: the loop's.
class Sender final : public Protocol {
 public:
  explicit Sender(Run& run) : run_(run), pump_(run) {}
  void ConnectionMade(std::shared_ptr<Transport> transport) override { pump_.Begin(std::move(transport)); }
  void PauseWriting() override { pump_.Go(false); }
  void ResumeWriting() override { pump_.Go(true); }
  void ConnectionLost(const ConnectionEnd& end) override {
    run_.Check(end.status, "the sender");
    if (end.dropped_bytes != 0) run_.Check(absl::DataLossError(StrCat(end.dropped_bytes, " bytes")), "the sender");
    run_.EndLost();
  }

 private:
  Run& run_;
  Pump pump_;
};

// Threading: the loop's.
class Receiver final : public Protocol {
 public:
  explicit Receiver(Run& run) : run_(run) {}
  void DataReceived(std::string_view data) override { run_.Received(data); }
  void ConnectionLost(const ConnectionEnd& end) override {
    run_.Check(end.status, "the receiver");
    run_.EndLost();
  }

 private:
  Run& run_;
};

// What goes into a child's stdin and out of its stdout. Threading: the loop's.
class ThroughChild final : public SubprocessProtocol {
 public:
  explicit ThroughChild(Run& run) : run_(run), pump_(run) {}
  void ConnectionMade(std::shared_ptr<SubprocessTransport> transport) override {
    pump_.Begin(transport->GetPipeTransport(0));
  }
  void PauseWriting() override { pump_.Go(false); }
  void ResumeWriting() override { pump_.Go(true); }
  void PipeDataReceived(int /*fd*/, std::string_view data) override { run_.Received(data); }
  void PipeConnectionLost(int /*fd*/, const ConnectionEnd& end) override { run_.Check(end.status, "a pipe"); }
  void ConnectionLost(const ConnectionEnd& end) override {
    run_.Check(end.status, "the child");
    run_.EndLost();
  }

 private:
  Run& run_;
  Pump pump_;
};

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// One kind of stream, one direction. Threading: the loop's.
class Bulk final {
 public:
  Bulk(EventLoop& loop, std::string folder, uint64_t size_bytes)
      : loop_(loop), folder_(std::move(folder)), run_{.size_bytes = size_bytes} {
    run_.on_ended = [this] {
      if (server_ != nullptr) server_->Close();
      loop_.Stop();
    };
  }

  // Tells how it went; true when every byte was right.
  bool Play(const std::string& kind, bool from_server) {
    const TimePoint begin = SystemClock().Now();
    run_.open_end_count = kind == "subprocess" ? 1 : 2;
    Start(kind, from_server);
    loop_.RunForever();
    const std::chrono::duration<double> took = SystemClock().Now() - begin;
    const std::string sent = run_.sent.Hex();
    const std::string received = run_.received.Hex();
    const bool is_right = run_.failure.empty() && sent == received && run_.received.size_bytes() == run_.size_bytes;
    std::printf("bulk: %s %s, %llu MiB in %.1f s, SHA-256 %.16s… %s%s\n", kind.c_str(),
                from_server ? "from the server" : "to the server",
                static_cast<unsigned long long>(run_.received.size_bytes() >> 20), took.count(), sent.c_str(),
                is_right ? "equal" : "WRONG ", run_.failure.c_str());
    return is_right;
  }

 private:
  void Start(const std::string& kind, bool from_server) {
    const auto factory = [this](bool sends) {
      return [this, sends]() -> std::shared_ptr<BaseProtocol> {
        if (sends) return std::make_shared<Sender>(run_);
        return std::make_shared<Receiver>(run_);
      };
    };
    const auto connected = [this](const auto& connection) {
      if (!connection.ok()) Fail(connection.status());
    };
    if (kind == "pipe") {
      const std::string path = folder_ + "/fifo";
      if (mkfifo(path.c_str(), 0600) != 0) return Fail(absl::InternalError("mkfifo"));
      // A FIFO that nobody reads cannot be opened for writing: fifo(7), ENXIO.
      loop_.ConnectReadPipe(factory(false), {.path = path}, [=, this](const absl::StatusOr<Connection>& connection) {
        if (!connection.ok()) return Fail(connection.status());
        loop_.ConnectWritePipe(factory(true), {.path = path}, connected);
      });
    } else if (kind == "socketpair") {
      loop_.Socketpair({}, [=, this](const absl::StatusOr<SocketPair>& pair) {
        if (!pair.ok()) return Fail(pair.status());
        loop_.CreateConnection(factory(!from_server), {.sock = pair->first}, connected);
        loop_.CreateConnection(factory(from_server), {.sock = pair->second}, connected);
      });
    } else if (kind == "subprocess") {
      loop_.SubprocessExec([this] { return std::make_shared<ThroughChild>(run_); }, "cat", {}, {}, connected);
    } else if (kind.starts_with("unix")) {
      const std::string path = folder_ + "/socket";
      loop_.CreateUnixServer(factory(from_server), {.path = path, .tls = Tls(kind, true)},
                             [=, this](const absl::StatusOr<std::shared_ptr<Server>>& server) {
                               if (!server.ok()) return Fail(server.status());
                               server_ = *server;
                               loop_.CreateUnixConnection(factory(!from_server),
                                                          {.path = path, .tls = Tls(kind, false)}, connected);
                             });
    } else {
      loop_.CreateServer(factory(from_server), {.hosts = {"127.0.0.1"}, .port = 0, .tls = Tls(kind, true)},
                         [=, this](const absl::StatusOr<std::shared_ptr<Server>>& server) {
                           if (!server.ok()) return Fail(server.status());
                           server_ = *server;
                           CreateConnectionOptions options;
                           options.remote = {.host = "127.0.0.1", .port = server_->Sockets().front().port};
                           options.tls = Tls(kind, false);
                           loop_.CreateConnection(factory(!from_server), std::move(options), connected);
                         });
    }
  }

  void Fail(const absl::Status& status) {
    run_.Check(status, "start");
    loop_.Stop();
  }

  std::optional<TlsOptions> Tls(const std::string& kind, bool server_side) const {
    if (!kind.ends_with("tls")) return std::nullopt;
    TlsOptions tls;
    if (server_side) {
      tls.certificate_chain_pem = ReadFile(folder_ + "/certificate.pem");
      tls.private_key_pem = ReadFile(folder_ + "/key.pem");
    } else {
      tls.trust_roots_pem = ReadFile(folder_ + "/certificate.pem");
      tls.server_hostname = "localhost";
    }
    return tls;
  }

  EventLoop& loop_;
  const std::string folder_;
  Run run_;
  std::shared_ptr<Server> server_;
};

}  // namespace

int RunBulk(EventLoop& loop, const std::string& kind, int size_mib, const std::string& folder) {
  const uint64_t size_bytes = static_cast<uint64_t>(size_mib) << 20;
  if (!Bulk(loop, folder, size_bytes).Play(kind, /*from_server=*/false)) return 1;
  const bool has_one_direction = kind == "pipe" || kind == "subprocess";
  if (has_one_direction) return 0;
  return Bulk(loop, folder, size_bytes).Play(kind, /*from_server=*/true) ? 0 : 1;
}

}  // namespace transportd::load
