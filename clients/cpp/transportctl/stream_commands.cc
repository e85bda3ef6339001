#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>

#include "clients/cpp/transportctl/bridge.h"
#include "clients/cpp/transportctl/commands.h"
#include "clients/cpp/transportctl/exit_code.h"
#include "transports/base/clock.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

// The one call that all goes over.
constexpr std::string_view kQuestion = "Session";

// A connection that has ended, as an exit status.
ExitCode ExitCodeFor(const ConnectionEnd& end) {
  if (!end.status.ok()) return ctl::ExitCodeFor(end.status);
  return end.dropped_bytes == 0 ? kOk : kFailed;
}

// The loop, the console, and the exit status of `connect` and `listen`. Threading: loop thread only.
class StreamCommand final {
 public:
  StreamCommand(const Arguments& arguments, const ConnectOptions& service)
      : arguments_(arguments), service_(service), deadline_(SystemClock().Now() + arguments.timeout) {}

  int Connect() {
    if (!Open()) return exit_code_;
    CreateConnectionOptions options;
    options.remote = arguments_.endpoint;
    options.family = arguments_.family;
    options.local = arguments_.source;
    options.happy_eyeballs_delay = arguments_.happy_eyeballs_delay;
    options.timeout = Remaining();
    loop_->CreateConnection([this] { return MakeBridge(); }, std::move(options),
                            [this](const absl::StatusOr<Connection>& connection) {
                              if (!connection.ok()) Fail(connection.status());
                            });
    return Run();
  }

  int Listen() {
    if (!Open()) return exit_code_;
    CreateServerOptions options;
    if (arguments_.endpoint.host.has_value()) options.hosts.push_back(*arguments_.endpoint.host);
    options.port = arguments_.endpoint.port;
    options.family = arguments_.family;
    options.timeout = Remaining();
    loop_->CreateServer([this] { return Accept(); }, std::move(options),
                        [this](absl::StatusOr<std::shared_ptr<Server>> server) {
                          if (!server.ok()) return Fail(server.status());
                          server_ = *std::move(server);
                          for (const SocketAddress& address : server_->Sockets()) {
                            std::fprintf(stderr, "listening on %s\n", address.ToString().c_str());
                          }
                          // With --keep it ends only when the service is lost.
                          server_->WaitClosed([this] {
                            if (!loop_->IsConnected()) Fail(kUnreachable, "the session with the service is lost");
                          });
                        });
    return Run();
  }

 private:
  Duration Remaining() const {
    return std::max<Duration>(deadline_ - SystemClock().Now(), std::chrono::milliseconds(1));
  }

  bool Open() {
    absl::StatusOr<std::unique_ptr<RemoteEventLoop>> loop = ConnectRemoteEventLoop(service_);
    if (!loop.ok()) {
      // Here it is the service that did not answer; later, with the same reason, it would be the peer.
      const bool is_late = absl::IsDeadlineExceeded(loop.status());
      Fail(is_late ? absl::DeadlineExceededError("") : loop.status());
      return false;
    }
    loop_ = *std::move(loop);
    console_ = std::make_unique<Console>(loop_->reactor(), InheritedFd(STDIN_FILENO), InheritedFd(STDOUT_FILENO),
                                         [this](const absl::Status& status) { Fail(status); });
    return true;
  }

  int Run() {
    if (!stopped_) loop_->RunForever();
    server_ = nullptr;
    console_ = nullptr;
    loop_ = nullptr;
    return exit_code_;
  }

  std::shared_ptr<BaseProtocol> MakeBridge() {
    return std::make_shared<BridgeProtocol>(*console_,
                                            BridgeProtocol::Options{.json = arguments_.json,
                                                                    .echo = arguments_.echo,
                                                                    .half_close = arguments_.half_close,
                                                                    .verbose = arguments_.verbose},
                                            [this](const ConnectionEnd& end) { OnEnded(end); });
  }

  std::shared_ptr<BaseProtocol> Accept() {
    // Closed in a later turn, so that what it accepts in this one is still served and not reset.
    if (!arguments_.keep) loop_->CallSoon([this] { server_->Close(); });
    return MakeBridge();
  }

  void OnEnded(const ConnectionEnd& end) {
    // No connection after it could be given its input, either.
    if (const absl::Status& input = console_->input_status(); !input.ok()) {
      return Fail(kFailed, Explain(input, service_.target, kQuestion, service_.timeout));
    }
    const ExitCode code = ExitCodeFor(end);
    std::string text;
    if (!end.status.ok()) {
      text = Explain(end.status, service_.target, kQuestion, service_.timeout);
    } else if (end.dropped_bytes != 0) {
      text = StrCat(end.dropped_bytes, " bytes could not be sent any more");
    }
    // Whoever keeps listening outlives a connection that fails.
    if (arguments_.keep && code != kUnreachable) {
      if (!text.empty()) std::fprintf(stderr, "transportctl: %s\n", text.c_str());
      return;
    }
    if (code != kOk) return Fail(code, text);
    console_->WhenWritten([this] { Stop(kOk); });
  }

  void Fail(const absl::Status& status) {
    Fail(ctl::ExitCodeFor(status), Explain(status, service_.target, kQuestion, service_.timeout));
  }

  void Fail(ExitCode code, std::string_view text) {
    if (stopped_) return;
    std::fprintf(stderr, "transportctl: %.*s\n", static_cast<int>(text.size()), text.data());
    if (console_ == nullptr) return Stop(code);
    console_->WhenWritten([this, code] { Stop(code); });
  }

  void Stop(ExitCode code) {
    if (std::exchange(stopped_, true)) return;
    exit_code_ = code;
    if (loop_ != nullptr) loop_->Stop();
  }

  const Arguments& arguments_;
  const ConnectOptions& service_;
  const TimePoint deadline_;
  bool stopped_ = false;
  ExitCode exit_code_ = kOk;
  std::unique_ptr<RemoteEventLoop> loop_;
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
