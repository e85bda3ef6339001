// What a scenario is played on: a loop under test, raw peers, and a trace of all they do.
//
// stage.py is the same in Python, on asyncio; names and trace lines must be the same on both sides.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_STAGE_H_
#define TRANSPORTD_TESTS_CONFORMANCE_STAGE_H_

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/conformance/peer.h"
#include "tests/conformance/temporary_folder.h"
#include "tests/conformance/trace.h"
#include "tests/conformance/tracing_protocol.h"
#include "transports/api/error.h"
#include "transports/api/event_loop.h"
#include "transports/base/str_cat.h"

namespace transportd::conformance {

// A listening socket of a peer.
struct Listener {
  UniqueFd fd;
  uint16_t port = 0;
};

// Blocking calls of peers, under way in a thread of their own; joined when it goes.
class Job final {
 public:
  Job(EventLoop& loop, std::function<void()> work, std::function<void()> changed);
  ~Job() { thread_.join(); }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  bool done() const { return done_; }

 private:
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

// A scenario is straight-line code on the loop's thread. Nothing happens on the loop but inside Until, Run, Wait,
// Connect and their like, so that what stands between two of them is one turn of the loop, as between two awaits.
// Threading: the test's thread, which is the loop's; jobs use peers only.
class Stage final {
 public:
  // `is_tls`: connections have TLS over them, but for that of Settle.
  Stage(EventLoop& loop, AddressFamily family, bool is_tls = false);

  EventLoop& loop() { return loop_; }
  bool is_v4() const { return family_ == AddressFamily::kInet; }
  bool is_unix() const { return family_ == AddressFamily::kUnix; }
  bool is_tls() const { return is_tls_; }
  // The family's loopback address; with Unix sockets the one of IPv4.
  const std::string& host() const { return host_; }

  // Traces.
  Trace& NewTrace(const std::string& name);
  const std::map<std::string, Trace>& traces() const { return traces_; }
  std::string TracesText() const;
  // From now on this port is written as `name`; the first name stays.
  void NamePort(uint16_t port, const std::string& name);
  std::string AddressText(const std::optional<SocketAddress>& address) const;
  // A failed create_* call: reason and address, or those of each attempt.
  std::string ErrorText(const absl::Status& status) const;

  // Running.
  // Something may have become true.
  void Changed() { loop_.Stop(); }
  // Runs the loop until the condition, which callbacks make true, holds. Ends the program when it never does.
  void Until(const std::function<bool()>& condition);
  // With TLS the peer takes leave meanwhile, for which a transport that closes waits.
  void UntilLost(Tracing& protocol);
  // Until the write buffer is empty.
  void UntilDrained(Tracing& protocol);
  // Runs `work` in a thread of its own.
  std::unique_ptr<Job> Start(std::function<void()> work);
  void Wait(std::unique_ptr<Job> job);
  void Run(std::function<void()> work) { Wait(Start(std::move(work))); }
  // Several round trips on a connection of its own: what the loop could have noticed before, it has.
  void Settle();
  bool is_running() const { return is_running_; }
  int callback_depth = 0;

  // Where `name` is in the scenario's own folder, or would be.
  std::string PathOf(const std::string& name) { return folder_.PathOf(name); }

  // Peers.
  Listener Listen(const std::string& name = "peer", int backlog = 16);
  // A port of both loopback addresses that is taken and does not listen.
  uint16_t ClosedPort(const std::string& name = "closed");
  // As above, but it listens on 127.0.0.1.
  Listener ListenOnV4Only(const std::string& name = "peer");
  // Listens on 127.0.0.1, and as `silent` on ::1 with no room for a second connection.
  Listener ListenOnBoth(Listener& silent, const std::string& name = "peer");
  // Accepts in a thread, then runs `work` there with the new peer.
  std::unique_ptr<Job> StartAccept(const Listener& listener, const std::string& name, std::function<void(Peer&)> work);
  Peer& Accept(const Listener& listener, const std::string& name = "peer");
  // Connects a peer to a server, with TLS where that is what this stage is about.
  Peer& Dial(uint16_t port, const std::string& name = "peer", const std::string& host = "");
  // The same without TLS, whatever this stage is about.
  Peer& DialPlain(uint16_t port, const std::string& name = "peer", const std::string& host = "");
  // The same socket as `peer`, with a trace of its own: to send and receive at once.
  Peer& SecondHand(const Peer& peer, const std::string& name);

  // TLS with the tests' certificates.
  static TlsOptions ClientTls();
  static TlsOptions ServerTls();

  // Transports.
  Tracing& NewProtocol(const std::string& name, Hooks hooks = {});
  Tracing& NewBuffered(const std::string& name, size_t buffer_bytes, Hooks hooks = {});
  CreateConnectionOptions Remote(uint32_t port) const;
  // No host: ::1, then 127.0.0.1.
  static CreateConnectionOptions BothLoopbacks(uint32_t port);
  OperationId BeginConnect(Tracing& protocol, CreateConnectionOptions options, bool& done);
  void Connect(Tracing& protocol, CreateConnectionOptions options);
  // A connected protocol `client`; its peer is peer().
  Tracing& Pair(Hooks hooks = {}) { return Pair(NewProtocol("client", std::move(hooks))); }
  Tracing& Pair(Tracing& protocol);
  // Without TLS, whatever this stage is about.
  Tracing& PlainPair();
  Peer& peer() { return *pair_peer_; }
  // For servers: protocols server1, server2, … in the order of acceptance.
  ProtocolFactory Factory(Hooks hooks = {});
  CreateServerOptions Local() const;
  // Null when it failed, which goes to `trace`.
  std::shared_ptr<Server> Serve(CreateServerOptions options, ProtocolFactory factory, Trace* trace = nullptr);
  std::shared_ptr<Server> Serve(Hooks hooks = {}) { return Serve(Local(), Factory(std::move(hooks))); }
  void CloseServer(Server& server);
  // The protocol of this name; it must be there: see IsMade.
  Tracing& Get(std::string_view name);
  bool IsMade(std::string_view name);
  // Every protocol whose name starts with `server` is lost.
  bool ServersLost();

  // After the scenario: closes what the stage itself opened; names every protocol that was left open.
  std::string Finish();

 private:
  // Null: there is none of that name yet.
  Tracing* Find(std::string_view name);
  // Connects the protocol to a new peer, over what this stage is about.
  Peer& Link(Tracing& protocol, const std::string& name);
  Peer& LinkOverTls(Tracing& protocol, const std::string& name);
  Peer& LinkPlain(Tracing& protocol, const std::string& name);
  Peer& LinkOverUnix(Tracing& protocol, const std::string& name);
  // What a create_* call does when its connection is there, or is not.
  void OnConnected(Tracing& protocol, const absl::StatusOr<Connection>& connection);
  // Sockets of both loopback addresses with the same port.
  void BindBothLoopbacks(const std::string& name, Listener& v4, Listener& v6);
  Peer& NewPeer(std::shared_ptr<UniqueFd> fd, const std::string& name);

  EventLoop& loop_;
  const AddressFamily family_;
  const bool is_tls_;
  const std::string host_;
  std::map<std::string, Trace> traces_;
  std::map<uint16_t, std::string> ports_;
  TemporaryFolder folder_;
  std::vector<std::shared_ptr<Tracing>> protocols_;
  std::deque<Peer> peers_;
  std::vector<UniqueFd> fds_;
  Peer* pair_peer_ = nullptr;
  Tracing* probe_ = nullptr;
  Peer* probe_peer_ = nullptr;
  bool is_running_ = false;
};

// Runs the loop until the value is there.
template <typename T, typename Begin>
absl::StatusOr<T> Await(Stage& s, Begin begin) {
  std::optional<absl::StatusOr<T>> result;
  begin([&](absl::StatusOr<T> value) {
    result = std::move(value);
    s.Changed();
  });
  s.Until([&] { return result.has_value(); });
  return *std::move(result);
}

// Of a transport, an endpoint or a server; as text, or the reason of the failure.
template <typename Socket>
std::string OptionText(Stage& s, Socket& socket, SocketOption option) {
  const auto value = Await<int>(s, [&](auto done) { socket.Getsockopt(option, std::move(done)); });
  return value.ok() ? StrCat(*value) : ToTransportError(value.status()).reason;
}

inline uint16_t PortOf(const Server& server) { return server.Sockets()[0].port; }

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_STAGE_H_
