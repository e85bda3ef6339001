#include "tests/conformance/stage.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_join.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd::conformance {

namespace {

std::string Bracketed(std::string_view host) {
  return host.find(':') != std::string_view::npos ? StrCat("[", host, "]") : std::string(host);
}

}  // namespace

Job::Job(EventLoop& loop, std::function<void()> work, std::function<void()> changed)
    : thread_([this, &loop, work = std::move(work), changed = std::move(changed)]() mutable {
        work();
        done_ = true;
        loop.CallSoonThreadsafe(std::move(changed));
      }) {}

Stage::Stage(EventLoop& loop, AddressFamily family, bool is_tls)
    : loop_(loop), family_(family), is_tls_(is_tls), host_(family == AddressFamily::kInet6 ? "::1" : "127.0.0.1") {}

Trace& Stage::NewTrace(const std::string& name) {
  CHECK(!traces_.contains(name));
  return traces_[name];
}

std::string Stage::TracesText() const {
  std::string text;
  for (const auto& [name, trace] : traces_) {
    for (const std::string& line : trace.lines()) text += StrCat(name, "\t", line, "\n");
  }
  return text;
}

void Stage::NamePort(uint16_t port, const std::string& name) { ports_.try_emplace(port, name); }

std::string Stage::AddressText(const std::optional<SocketAddress>& address) const {
  if (!address.has_value()) return "None";
  if (address->family == AddressFamily::kUnix) return address->path.empty() ? "unnamed" : folder_.NameIn(address->path);
  const auto port = ports_.find(address->port);
  return StrCat(Bracketed(address->host), ":", port == ports_.end() ? "?" : port->second);
}

std::string Stage::ErrorText(const absl::Status& status) const {
  const auto text = [this](const TransportError& error) {
    std::string result = error.reason;
    const size_t colon = error.address.rfind(':');
    if (colon == std::string::npos) return result;
    const auto port = ports_.find(static_cast<uint16_t>(std::atoi(error.address.c_str() + colon + 1)));
    // A bad port has no address on the other side.
    if (error.errno_number == 0) return result;
    return StrCat(result, " ", error.address.substr(0, colon), ":", port == ports_.end() ? "?" : port->second);
  };
  const TransportError error = ToTransportError(status);
  if (error.causes.size() < 2) return text(error);
  std::vector<std::string> causes;
  for (const TransportError& cause : error.causes) causes.push_back(text(cause));
  return StrCat("[", absl::StrJoin(causes, ", "), "]");
}

void Stage::Until(const std::function<bool()>& condition) {
  bool is_late = false;
  const TimerId patience = loop_.CallLater(kPatience, [this, &is_late] {
    is_late = true;
    Changed();
  });
  while (!condition()) {
    if (is_late) {
      // Nothing that follows would make sense, and the threads of the peers cannot be told to end.
      for (auto& [name, trace] : traces_) trace.EndData();
      std::fprintf(stderr, "The scenario waits in vain. So far:\n%s", TracesText().c_str());
      std::_Exit(1);
    }
    is_running_ = true;
    loop_.RunForever();
    is_running_ = false;
  }
  loop_.CancelTimer(patience);
}

void Stage::UntilLost(Tracing& protocol) {
  std::vector<std::unique_ptr<Job>> leaving;
  for (Peer& peer : peers_) {
    if (peer.tls() == nullptr || !peer.fd()->valid() || !protocol.made()) continue;
    if (SocknameOf(*peer.fd()) != protocol.transport().GetExtraInfo().peername) continue;
    leaving.push_back(Start([&peer] { peer.TakeLeave(); }));
  }
  Until([&] { return protocol.lost(); });
  for (auto& leave : leaving) Wait(std::move(leave));
}

void Stage::UntilDrained(Tracing& protocol) {
  Until([&] { return protocol.transport().GetWriteBufferSize() == 0; });
}

std::unique_ptr<Job> Stage::Start(std::function<void()> work) {
  // The loop may hear of the end when this stage is gone.
  return std::make_unique<Job>(loop_, std::move(work), [&loop = loop_] { loop.Stop(); });
}

void Stage::Wait(std::unique_ptr<Job> job) {
  Until([&] { return job->done(); });
}

void Stage::Settle() {
  if (probe_ == nullptr) {
    probe_ = &NewProtocol("probe");
    probe_peer_ = &LinkPlain(*probe_, "probe_peer");
  }
  for (int i = 0; i < 3; ++i) {
    probe_->Write(".");
    Run([this] { probe_peer_->Recv(1); });
    const uint64_t seen_bytes = probe_->received_bytes();
    Run([this] { probe_peer_->Send("."); });
    Until([&] { return probe_->received_bytes() > seen_bytes; });
  }
}

Listener Stage::Listen(const std::string& name, int backlog) {
  Listener listener{.fd = BoundSocket(host_, 0), .port = 0};
  CHECK(listener.fd.valid());
  conformance::Listen(listener.fd, backlog);
  listener.port = SocknameOf(listener.fd).port;
  NamePort(listener.port, name);
  return listener;
}

void Stage::BindBothLoopbacks(const std::string& name, Listener& v4, Listener& v6) {
  do {
    v4.fd = BoundSocket("127.0.0.1", 0);
    CHECK(v4.fd.valid());
    v4.port = v6.port = SocknameOf(v4.fd).port;
    v6.fd = BoundSocket("::1", v4.port);
  } while (!v6.fd.valid());
  NamePort(v4.port, name);
}

uint16_t Stage::ClosedPort(const std::string& name) {
  Listener v4, v6;
  BindBothLoopbacks(name, v4, v6);
  fds_.push_back(std::move(v4.fd));
  fds_.push_back(std::move(v6.fd));
  return v4.port;
}

Listener Stage::ListenOnV4Only(const std::string& name) {
  Listener v4, v6;
  BindBothLoopbacks(name, v4, v6);
  fds_.push_back(std::move(v6.fd));
  conformance::Listen(v4.fd, 16);
  return v4;
}

Listener Stage::ListenOnBoth(Listener& silent, const std::string& name) {
  Listener v4;
  BindBothLoopbacks(name, v4, silent);
  conformance::Listen(v4.fd, 16);
  conformance::Listen(silent.fd, 0);
  return v4;
}

Peer& Stage::NewPeer(std::shared_ptr<UniqueFd> fd, const std::string& name) {
  return peers_.emplace_back(std::move(fd), NewTrace(name));
}

std::unique_ptr<Job> Stage::StartAccept(const Listener& listener, const std::string& name,
                                        std::function<void(Peer&)> work) {
  Peer& peer = NewPeer(std::make_shared<UniqueFd>(), name);
  return Start([&listener, &peer, work = std::move(work)] {
    *peer.fd() = AcceptFrom(listener.fd);
    CHECK(peer.fd()->valid());
    work(peer);
  });
}

Peer& Stage::Accept(const Listener& listener, const std::string& name) {
  auto fd = std::make_shared<UniqueFd>();
  Run([&] { *fd = AcceptFrom(listener.fd); });
  CHECK(fd->valid());
  return NewPeer(std::move(fd), name);
}

Peer& Stage::Dial(uint16_t port, const std::string& name, const std::string& host) {
  Peer& peer = DialPlain(port, name, host);
  if (!is_tls_ || !peer.is_connected()) return peer;
  Run([&] {
    const TlsTerms terms = ClientTerms();
    peer.StartTls(*terms, /*server_side=*/false, "localhost");
  });
  return peer;
}

Peer& Stage::DialPlain(uint16_t port, const std::string& name, const std::string& host) {
  const std::string& to = host.empty() ? host_ : host;
  auto fd = std::make_shared<UniqueFd>(BoundSocket(to, 0));
  CHECK(fd->valid());
  NamePort(SocknameOf(*fd).port, name);
  Peer& peer = NewPeer(std::move(fd), name);
  Run([&] { peer.Connect(to, port); });
  return peer;
}

Peer& Stage::SecondHand(const Peer& peer, const std::string& name) { return peers_.emplace_back(peer, NewTrace(name)); }

TlsOptions Stage::ClientTls() {
  TlsOptions tls;
  tls.trust_roots_pem = SharedTestAuthority().certificate_pem();
  tls.server_hostname = "localhost";
  return tls;
}

TlsOptions Stage::ServerTls() {
  TlsOptions tls;
  tls.certificate_chain_pem = SharedTestIdentity().chain_pem;
  tls.private_key_pem = SharedTestIdentity().key_pem;
  return tls;
}

Tracing& Stage::NewProtocol(const std::string& name, Hooks hooks) {
  protocols_.push_back(std::make_shared<TracingProtocol>(*this, name, std::move(hooks)));
  return *protocols_.back();
}

Tracing& Stage::NewBuffered(const std::string& name, size_t buffer_bytes, Hooks hooks) {
  protocols_.push_back(std::make_shared<TracingBufferedProtocol>(*this, name, buffer_bytes, std::move(hooks)));
  return *protocols_.back();
}

CreateConnectionOptions Stage::Remote(uint32_t port) const {
  CreateConnectionOptions options;
  options.remote.host = host_;
  options.remote.port = port;
  return options;
}

CreateConnectionOptions Stage::BothLoopbacks(uint32_t port) {
  CreateConnectionOptions options;
  options.remote.port = port;
  return options;
}

OperationId Stage::BeginConnect(Tracing& protocol, CreateConnectionOptions options, bool& done) {
  return loop_.CreateConnection([&protocol] { return protocol.AsProtocol(); }, std::move(options),
                                [this, &protocol, &done](const absl::StatusOr<Connection>& connection) {
                                  OnConnected(protocol, connection);
                                  done = true;
                                });
}

void Stage::OnConnected(Tracing& protocol, const absl::StatusOr<Connection>& connection) {
  if (connection.ok()) {
    // Which of return and loss comes first, when connection_made closes, is nobody's promise.
    if (!connection->transport->IsClosing()) protocol.Note("create_connection returns");
    CHECK(connection->transport.get() == &protocol.transport());
    CHECK(connection->protocol == protocol.AsProtocol());
  } else {
    protocol.Note("create_connection " + ErrorText(connection.status()));
  }
  Changed();
}

void Stage::Connect(Tracing& protocol, CreateConnectionOptions options) {
  bool done = false;
  BeginConnect(protocol, std::move(options), done);
  Until([&] { return done; });
}

Tracing& Stage::Pair(Tracing& protocol) {
  pair_peer_ = &Link(protocol, "peer");
  return protocol;
}

Tracing& Stage::PlainPair() {
  Tracing& protocol = NewProtocol("client");
  pair_peer_ = &LinkPlain(protocol, "peer");
  return protocol;
}

Peer& Stage::Link(Tracing& protocol, const std::string& name) {
  return is_tls_ ? LinkOverTls(protocol, name) : LinkPlain(protocol, name);
}

Peer& Stage::LinkOverTls(Tracing& protocol, const std::string& name) {
  const Listener listener = Listen(name);
  const TlsTerms terms = ServerTerms();
  auto accepting = StartAccept(listener, name, [&](Peer& peer) { peer.StartTls(*terms, /*server_side=*/true); });
  Peer& peer = peers_.back();
  CreateConnectionOptions options = Remote(listener.port);
  options.tls = ClientTls();
  Connect(protocol, std::move(options));
  Wait(std::move(accepting));
  return peer;
}

Peer& Stage::LinkPlain(Tracing& protocol, const std::string& name) {
  if (is_unix()) return LinkOverUnix(protocol, name);
  const Listener listener = Listen(name);
  Connect(protocol, Remote(listener.port));
  return Accept(listener, name);
}

Peer& Stage::LinkOverUnix(Tracing& protocol, const std::string& name) {
  CreateUnixConnectionOptions options;
  options.path = folder_.PathOf(name);
  const Listener listener{.fd = BoundUnixSocket(*options.path), .port = 0};
  conformance::Listen(listener.fd, 16);
  bool done = false;
  loop_.CreateUnixConnection([&protocol] { return protocol.AsProtocol(); }, std::move(options),
                             [&](const absl::StatusOr<Connection>& connection) {
                               OnConnected(protocol, connection);
                               done = true;
                             });
  Until([&] { return done; });
  return Accept(listener, name);
}

ProtocolFactory Stage::Factory(Hooks hooks) {
  return [this, hooks = std::move(hooks), count = 0]() mutable {
    return NewProtocol(StrCat("server", ++count), hooks).AsProtocol();
  };
}

CreateServerOptions Stage::Local() const {
  CreateServerOptions options;
  options.hosts = {host_};
  if (is_tls_) options.tls = ServerTls();
  return options;
}

std::shared_ptr<Server> Stage::Serve(CreateServerOptions options, ProtocolFactory factory, Trace* trace) {
  std::optional<absl::StatusOr<std::shared_ptr<Server>>> result;
  loop_.CreateServer(std::move(factory), std::move(options), [&](absl::StatusOr<std::shared_ptr<Server>> server) {
    result = std::move(server);
    Changed();
  });
  Until([&] { return result.has_value(); });
  if (!result->ok()) {
    CHECK(trace != nullptr);
    trace->Add("create_server " + ErrorText(result->status()));
    return nullptr;
  }
  for (const SocketAddress& address : (**result)->Sockets()) NamePort(address.port, "server");
  return **result;
}

void Stage::CloseServer(Server& server) {
  bool closed = false;
  server.Close([&] {
    closed = true;
    Changed();
  });
  Until([&] { return closed; });
}

Tracing* Stage::Find(std::string_view name) {
  for (const auto& protocol : protocols_) {
    if (protocol->name() == name) return protocol.get();
  }
  return nullptr;
}

Tracing& Stage::Get(std::string_view name) {
  Tracing* protocol = Find(name);
  CHECK(protocol != nullptr);
  return *protocol;
}

bool Stage::IsMade(std::string_view name) {
  Tracing* protocol = Find(name);
  return protocol != nullptr && protocol->made();
}

bool Stage::ServersLost() {
  for (const auto& protocol : protocols_) {
    if (protocol->name().starts_with("server") && !protocol->lost()) return false;
  }
  return true;
}

std::string Stage::Finish() {
  if (probe_ != nullptr) {
    probe_->transport().Close();
    UntilLost(*probe_);
  }
  std::string open;
  for (const auto& protocol : protocols_) {
    if (protocol->made() && !protocol->lost()) open += StrCat(protocol->name(), " was left open\n");
  }
  for (auto& [name, trace] : traces_) trace.EndData();
  traces_.erase("probe");
  traces_.erase("probe_peer");
  return open;
}

}  // namespace transportd::conformance
