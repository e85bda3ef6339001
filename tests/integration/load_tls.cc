#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "tests/integration/load.h"
#include "tests/support/test_certificates.h"
#include "transports/base/clock.h"

namespace transportd::load {
namespace {

constexpr std::string_view kMessage = "one message each way";

// Both ends of one connection after the other. Threading: loop thread only.
class TlsRounds final {
 public:
  TlsRounds(EventLoop& loop, int count) : loop_(loop), count_(count) {}

  int Run() {
    CreateServerOptions options;
    options.hosts = {"127.0.0.1"};
    options.tls = TlsOptions();
    options.tls->certificate_chain_pem = SharedTestIdentity().chain_pem;
    options.tls->private_key_pem = SharedTestIdentity().key_pem;
    loop_.CreateServer([this] { return std::make_shared<End>(*this, /*is_client=*/false); }, std::move(options),
                       [this](const absl::StatusOr<std::shared_ptr<Server>>& server) {
                         if (!server.ok()) return Fail(server.status().ToString());
                         server_ = *server;
                         Connect();
                       });
    loop_.RunForever();
    const std::chrono::duration<double> took = SystemClock().Now() - begin_;
    std::printf("tls: %d of %d connections right in %.2f s, %.0f connections/s\n", right_count_, count_, took.count(),
                right_count_ / took.count());
    server_ = nullptr;
    return right_count_ == count_ ? 0 : 1;
  }

 private:
  // The client says the message, the server answers with it and the client closes.
  class End final : public Protocol {
   public:
    End(TlsRounds& rounds, bool is_client) : rounds_(rounds), is_client_(is_client) {}
    void ConnectionMade(std::shared_ptr<Transport> transport) override {
      transport_ = std::move(transport);
      if (transport_->GetExtraInfo().tls == nullptr) rounds_.Fail("no TLS");
      if (is_client_) transport_->Write(kMessage).IgnoreError();
    }
    void DataReceived(std::string_view data) override {
      received_.append(data);
      if (received_.size() < kMessage.size()) return;
      if (received_ != kMessage) return rounds_.Fail("wrong bytes");
      if (is_client_) {
        transport_->Close();
      } else {
        transport_->Write(received_).IgnoreError();
      }
    }
    void ConnectionLost(const ConnectionEnd& end) override {
      transport_.reset();
      rounds_.OnLost(end.status.ok() ? "" : end.status.ToString());
    }

   private:
    TlsRounds& rounds_;
    const bool is_client_;
    std::shared_ptr<Transport> transport_;
    std::string received_;
  };

  void Connect() {
    CreateConnectionOptions options;
    options.remote = {.host = "127.0.0.1", .port = server_->Sockets()[0].port};
    options.tls = TlsOptions();
    options.tls->trust_roots_pem = SharedTestAuthority().certificate_pem();
    options.tls->server_hostname = "localhost";
    loop_.CreateConnection([this] { return std::make_shared<End>(*this, /*is_client=*/true); }, std::move(options),
                           [this](const absl::StatusOr<Connection>& connection) {
                             if (!connection.ok()) Fail(connection.status().ToString());
                           });
  }
  // Of either end.
  void OnLost(const std::string& why) {
    if (!why.empty()) return Fail(why);
    if (++lost_count_ % 2 != 0) return;
    if (++right_count_ < count_) return Connect();
    loop_.Stop();
  }
  void Fail(const std::string& why) {
    std::printf("connection %d: %s\n", right_count_, why.c_str());
    loop_.Stop();
  }

  EventLoop& loop_;
  const int count_;
  const TimePoint begin_ = SystemClock().Now();
  std::shared_ptr<Server> server_;
  int lost_count_ = 0;
  int right_count_ = 0;
};

}  // namespace

int RunTls(EventLoop& loop, int connection_count) { return TlsRounds(loop, connection_count).Run(); }

}  // namespace transportd::load
