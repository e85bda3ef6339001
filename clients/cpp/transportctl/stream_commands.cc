#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "clients/cpp/transportctl/bridge.h"
#include "clients/cpp/transportctl/commands.h"
#include "clients/cpp/transportctl/exit_code.h"
#include "clients/cpp/transportctl/service_loop.h"
#include "clients/cpp/transportctl/tls_files.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

// A connection that has ended, as an exit status.
ExitCode ExitCodeFor(const ConnectionEnd& end) {
  if (!end.status.ok()) return ctl::ExitCodeFor(end.status);
  return end.dropped_bytes == 0 ? kOk : kFailed;
}

// `connect` and `listen`. Threading: loop thread only.
class StreamCommand final {
 public:
  StreamCommand(const Arguments& arguments, const ConnectOptions& service)
      : arguments_(arguments), service_loop_(service) {}

  int Connect() {
    if (!Begin()) return service_loop_.Run();
    const auto factory = [this] { return MakeBridge(); };
    auto done = [this](const absl::StatusOr<Connection>& connection) {
      if (!connection.ok()) Fail(connection.status());
    };
    if (arguments_.endpoint.is_unix()) {
      CreateUnixConnectionOptions options;
      options.path = arguments_.endpoint.unix_path;
      options.timeout = service_loop_.Remaining();
      options.tls = tls_;
      loop().CreateUnixConnection(factory, std::move(options), std::move(done));
    } else {
      CreateConnectionOptions options;
      options.remote = arguments_.endpoint.host_port;
      options.family = arguments_.family;
      if (arguments_.source) options.local = arguments_.source->host_port;
      options.happy_eyeballs_delay = arguments_.happy_eyeballs_delay;
      options.timeout = service_loop_.Remaining();
      options.tls = tls_;
      loop().CreateConnection(factory, std::move(options), std::move(done));
    }
    return service_loop_.Run();
  }

  int Listen() {
    if (!Begin()) return service_loop_.Run();
    const auto factory = [this] { return Accept(); };
    auto done = [this](absl::StatusOr<std::shared_ptr<Server>> server) { OnListening(std::move(server)); };
    if (arguments_.endpoint.is_unix()) {
      CreateUnixServerOptions options;
      options.path = arguments_.endpoint.unix_path;
      options.tls = tls_;
      loop().CreateUnixServer(factory, std::move(options), std::move(done));
    } else {
      const HostPort& endpoint = arguments_.endpoint.host_port;
      CreateServerOptions options;
      if (endpoint.host.has_value()) options.hosts.push_back(*endpoint.host);
      options.port = endpoint.port;
      options.family = arguments_.family;
      options.timeout = service_loop_.Remaining();
      options.tls = tls_;
      loop().CreateServer(factory, std::move(options), std::move(done));
    }
    return service_loop_.Run();
  }

 private:
  EventLoop& loop() { return service_loop_.loop(); }

  // False: it failed, and the exit status is set.
  bool Begin() {
    if (arguments_.tls) {
      absl::StatusOr<TlsOptions> tls = ReadTlsFiles(*arguments_.tls, arguments_.command == Command::kListen);
      if (!tls.ok()) {
        Fail(kUsage, {std::string(tls.status().message())});
        return false;
      }
      tls_ = *std::move(tls);
      if (arguments_.command == Command::kConnect) tls_->handshake_timeout = arguments_.timeout;
      tls_->shutdown_timeout = arguments_.timeout;
    }
    if (const absl::Status status = service_loop_.Open(); !status.ok()) {
      Fail(status);
      return false;
    }
    console_ =
        std::make_unique<Console>(service_loop_.loop().reactor(), InheritedFd(STDIN_FILENO), InheritedFd(STDOUT_FILENO),
                                  [this](const absl::Status& status) { Fail(status); });
    return true;
  }

  std::shared_ptr<BaseProtocol> MakeBridge() {
    return std::make_shared<BridgeProtocol>(*console_,
                                            BridgeProtocol::Options{.json = arguments_.json,
                                                                    .echo = arguments_.echo,
                                                                    .half_close = arguments_.half_close,
                                                                    .close_at_eof = arguments_.close_at_eof,
                                                                    .verbose = arguments_.verbose},
                                            [this](const ConnectionEnd& end) { OnEnded(end); });
  }

  void OnListening(absl::StatusOr<std::shared_ptr<Server>> server) {
    if (!server.ok()) return Fail(server.status());
    server_ = *std::move(server);
    for (const SocketAddress& address : server_->Sockets()) {
      PrintBareToStderr(StrCat("listening on ", EndpointText(address)));
    }
    // With --keep it ends only when the service is lost.
    server_->WaitClosed([this] {
      if (!service_loop_.loop().IsConnected()) Fail(kUnreachable, {"the session with the service is lost"});
    });
  }

  std::shared_ptr<BaseProtocol> Accept() {
    // Closed in a later turn, so that what it accepts in this one is still served and not reset.
    if (!arguments_.keep) loop().CallSoon([this] { server_->Close(); });
    return MakeBridge();
  }

  void OnEnded(const ConnectionEnd& end) {
    // No connection after it could be given its input, either.
    if (const absl::Status& input = console_->input_status(); !input.ok()) {
      return Fail(kFailed, service_loop_.Explain(input));
    }
    const ExitCode code = ExitCodeFor(end);
    // As asyncio, it takes that for an end in order; whoever relies on the end should know.
    if (end.cause == EndCause::kRaggedEof) PrintToStderr("the peer ended without ending TLS: something may be missing");
    Lines lines;
    if (!end.status.ok()) {
      lines = service_loop_.Explain(end.status);
    } else if (end.dropped_bytes != 0) {
      lines = {StrCat(end.dropped_bytes, " bytes could not be sent any more")};
    }
    // Whoever keeps listening outlives a connection that fails.
    if (arguments_.keep && code != kUnreachable) {
      if (!lines.empty()) PrintLinesToStderr(lines);
      return;
    }
    if (code != kOk) return Fail(code, lines);
    console_->WhenWritten([this] { service_loop_.Stop(kOk); });
  }

  void Fail(const absl::Status& status) { Fail(ctl::ExitCodeFor(status), service_loop_.Explain(status)); }

  void Fail(ExitCode code, const Lines& lines) {
    if (service_loop_.stopped()) return;
    PrintLinesToStderr(lines);
    if (console_ == nullptr) return service_loop_.Stop(code);
    console_->WhenWritten([this, code] { service_loop_.Stop(code); });
  }

  const Arguments& arguments_;
  std::optional<TlsOptions> tls_;
  ServiceLoop service_loop_;
  // They go before the loop does.
  std::unique_ptr<Console> console_;
  std::shared_ptr<Server> server_;
};

}  // namespace

int RunConnect(const Arguments& arguments, const ConnectOptions& service) {
  return StreamCommand(arguments, service).Connect();
}

int RunListen(const Arguments& arguments, const ConnectOptions& service) {
  return StreamCommand(arguments, service).Listen();
}

}  // namespace transportd::ctl
