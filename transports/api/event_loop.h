// The event loop: timers, callbacks, and the calls that make transports.
// https://docs.python.org/3.13/library/asyncio-eventloop.html
//
// EpollEventLoop (transports/loop) has its sockets here; RemoteEventLoop (clients/cpp) has them in the service.
#ifndef TRANSPORTD_TRANSPORTS_API_EVENT_LOOP_H_
#define TRANSPORTD_TRANSPORTS_API_EVENT_LOOP_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/address.h"
#include "transports/api/datagram.h"
#include "transports/api/existing_socket.h"
#include "transports/api/name_lookup.h"
#include "transports/api/pipe.h"
#include "transports/api/protocol.h"
#include "transports/api/sendfile.h"
#include "transports/api/server.h"
#include "transports/api/socket_gate.h"
#include "transports/api/subprocess.h"
#include "transports/api/time.h"
#include "transports/api/tls_options.h"
#include "transports/api/transport.h"
#include "transports/api/unix.h"

namespace transportd {

// Names a timer, or a create_* call under way; never used twice by one loop. 0 names nothing.
using TimerId = uint64_t;
using OperationId = uint64_t;

// Makes the protocol of a new transport: a Protocol or a BufferedProtocol, not null. For a server, once for each
// accepted connection.
using ProtocolFactory = absl::AnyInvocable<std::shared_ptr<BaseProtocol>()>;

// asyncio's (transport, protocol).
struct Connection {
  std::shared_ptr<Transport> transport;
  std::shared_ptr<BaseProtocol> protocol;
};

// CreateConnectionRequest in proto/transportd/v1/event_loop.proto says what each means, unset and 0 included.
struct CreateConnectionOptions {
  HostPort remote = {};
  std::shared_ptr<ExistingSocket> sock = nullptr;  // Connected; then neither `remote` nor `local`.
  AddressFamily family = AddressFamily::kUnspecified;
  int flags = 0;
  int proto = 0;
  std::optional<HostPort> local = {};
  std::optional<Duration> happy_eyeballs_delay = {};
  std::optional<uint32_t> interleave = {};
  std::optional<Duration> timeout = {};  // Unset: the loop's default, 60 s.
  WriteBufferLimits write_buffer_limits = {};
  std::optional<TlsOptions> tls = {};     // Unset: no TLS.
  std::shared_ptr<SocketGate> gate = {};  // Null: everything is allowed. EpollEventLoop only.
  // Whose names these are, to whoever shares a resolver: one's slow ones delay no other's. Empty: nobody's in
  // particular. EpollEventLoop only.
  std::string asker = {};
};

// CreateServerRequest in proto/transportd/v1/event_loop.proto says what each means, unset and 0 included.
struct CreateServerOptions {
  std::vector<std::string> hosts = {};
  std::optional<uint32_t> port = {};
  std::shared_ptr<ExistingSocket> sock = nullptr;  // Bound; then neither `hosts` nor `port`.
  AddressFamily family = AddressFamily::kUnspecified;
  std::optional<int> flags = {};
  uint32_t backlog = 100;
  bool reuse_address = true;
  bool reuse_port = false;
  bool keep_alive = false;
  bool start_serving = true;
  WriteBufferLimits write_buffer_limits = {};
  std::optional<Duration> timeout = {};   // Unset: the loop's default, 60 s.
  std::optional<TlsOptions> tls = {};     // Unset: no TLS.
  std::shared_ptr<SocketGate> gate = {};  // Null: everything is allowed. EpollEventLoop only.
  // Whose names these are, to whoever shares a resolver: one's slow ones delay no other's. Empty: nobody's in
  // particular. EpollEventLoop only.
  std::string asker = {};
};

// What the exception handler is told: something that no protocol hears of.
struct ExceptionContext {
  std::string message = {};
  absl::Status status = {};  // OK when there is no error behind it.
  // What it happened to; null: none. Valid during the call only.
  const Server* server = nullptr;
  const DatagramTransport* datagram_transport = nullptr;
};

// Threading: loop thread only, but for CallSoonThreadsafe and Stop.
class EventLoop {
 public:
  virtual ~EventLoop() = default;

  // In the next turn, after what was asked for before.
  virtual void CallSoon(absl::AnyInvocable<void()> callback) = 0;
  // As CallSoon, from any thread; the only way in. FIFO for each calling thread. On a loop that was closed the
  // callback is destroyed uncalled.
  virtual void CallSoonThreadsafe(absl::AnyInvocable<void()> callback) = 0;
  // Once, at or after the time; callbacks of the same time in the order they were asked for. A time in the past
  // counts as now.
  virtual TimerId CallLater(Duration delay, absl::AnyInvocable<void()> callback) = 0;
  virtual TimerId CallAt(TimePoint when, absl::AnyInvocable<void()> callback) = 0;
  // True when the timer had not fired; its callback is then destroyed uncalled.
  virtual bool CancelTimer(TimerId timer) = 0;
  // Constant within a turn.
  virtual TimePoint Time() const = 0;

  // Runs until Stop. May be run again.
  virtual void RunForever() = 0;
  // Any thread. RunForever returns at the end of the turn; one that is not running returns at the end of its first.
  virtual void Stop() = 0;

  // Opens a TCP connection. The factory is called when it is there; then ConnectionMade, after the handshake when there
  // is TLS; then, in a later turn, `done`, before any DataReceived. When the handshake fails, the protocol is never
  // called. `done` is called exactly once, never before this returns. Errors:
  // EventLoop.CreateConnection in proto/transportd/v1/event_loop.proto.
  virtual OperationId CreateConnection(ProtocolFactory factory, CreateConnectionOptions options,
                                       absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) = 0;

  // Listens on TCP. `done` as above; no connection is accepted before it. A connection whose TLS handshake fails just
  // ends: its protocol, where one was made for it already, is never called, and the exception handler hears nothing.
  virtual OperationId CreateServer(ProtocolFactory factory, CreateServerOptions options,
                                   absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)> done) = 0;

  // The same with Unix stream sockets. Errors: EventLoop.CreateUnixConnection and EventLoop.CreateUnixServer there.
  virtual OperationId CreateUnixConnection(ProtocolFactory factory, CreateUnixConnectionOptions options,
                                           absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) = 0;
  virtual OperationId CreateUnixServer(ProtocolFactory factory, CreateUnixServerOptions options,
                                       absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)> done) = 0;

  // Makes a UDP or Unix datagram endpoint. `done` as that of CreateConnection, before any DatagramReceived. Errors:
  // EventLoop.CreateDatagramEndpoint in proto/transportd/v1/event_loop.proto.
  virtual OperationId CreateDatagramEndpoint(DatagramProtocolFactory factory, CreateDatagramEndpointOptions options,
                                             absl::AnyInvocable<void(absl::StatusOr<DatagramEndpoint>)> done) = 0;

  // Opens the read end of a pipe: what path or descriptor names. Events as above. Errors: EventLoop.ConnectReadPipe in
  // proto/transportd/v1/event_loop.proto. A transport for reading only: Write is UNIMPLEMENTED / WRONG_KIND; what
  // EofReceived returns is ignored.
  virtual OperationId ConnectReadPipe(ProtocolFactory factory, ConnectPipeOptions options,
                                      absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) = 0;
  // The write end. A transport for writing only: nothing is read, WriteEof is Close, and the reader's end is noticed
  // without writing. A program whose SIGPIPE is at its default ignores it from then on.
  virtual OperationId ConnectWritePipe(ProtocolFactory factory, ConnectPipeOptions options,
                                       absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) = 0;

  // Starts a process: `program` with the arguments `args`; any bytes but 0. The factory is called when the program
  // runs; then ConnectionMade; then, in a later turn, `done`; then data. Errors: EventLoop.SubprocessExec in
  // proto/transportd/v1/event_loop.proto. SIGPIPE as above.
  virtual OperationId SubprocessExec(SubprocessProtocolFactory factory, std::string program,
                                     std::vector<std::string> args, SubprocessOptions options,
                                     absl::AnyInvocable<void(absl::StatusOr<Subprocess>)> done) = 0;
  // The same with `/bin/sh -c cmd`.
  virtual OperationId SubprocessShell(SubprocessProtocolFactory factory, std::string cmd, SubprocessOptions options,
                                      absl::AnyInvocable<void(absl::StatusOr<Subprocess>)> done) = 0;

  // A pair of sockets that are connected to each other, for what takes a `sock`. Errors: EventLoop.Socketpair.
  virtual OperationId Socketpair(SocketpairOptions options,
                                 absl::AnyInvocable<void(absl::StatusOr<SocketPair>)> done) = 0;

  // Makes a transport of a connected socket. `done` as of CreateConnection. Errors: EventLoop.ConnectAcceptedSocket.
  virtual OperationId ConnectAcceptedSocket(ProtocolFactory factory, ConnectAcceptedSocketOptions options,
                                            absl::AnyInvocable<void(absl::StatusOr<Connection>)> done) = 0;

  // The resolver's answers, in its order. Errors: EventLoop.Getaddrinfo and EventLoop.Getnameinfo.
  virtual OperationId Getaddrinfo(GetaddrinfoOptions options,
                                  absl::AnyInvocable<void(absl::StatusOr<std::vector<AddressInfo>>)> done) = 0;
  virtual OperationId Getnameinfo(SocketAddress address, int flags,
                                  absl::AnyInvocable<void(absl::StatusOr<NameInfo>)> done) = 0;

  // Sends a file of the machine where the transport is, after what was written before; until it is sent, Write refuses,
  // and Close and WriteEof wait. `done` gets the number of bytes; an error tells it in TransportError::sent_bytes.
  // Errors: EventLoop.Sendfile.
  virtual OperationId Sendfile(std::shared_ptr<Transport> transport, SendfileOptions options,
                               absl::AnyInvocable<void(absl::StatusOr<uint64_t>)> done) = 0;

  // Puts TLS over `transport`, which was made by this loop and is open both ways; TLS over TLS too. It stays the same
  // object with the same protocol, whose ConnectionMade is not called again. What was written before goes out plain,
  // what is written from now on through TLS; nothing more is read before. `done` as above, and before data. A failed
  // handshake, and a cancelled one, ends the transport: `done`, then ConnectionLost. Bad options leave it as it was.
  // Errors: EventLoop.StartTls in proto/transportd/v1/event_loop.proto.
  virtual OperationId StartTls(std::shared_ptr<Transport> transport, StartTlsOptions options,
                               absl::AnyInvocable<void(absl::Status)> done) = 0;

  // Cancels a create_* call or start_tls: its `done` gets CANCELLED / CANCELLED in a later turn, and nothing stays
  // behind: of a process that runs already it comes when that has been killed and reaped. Nothing when it is done
  // already.
  virtual void CancelOperation(OperationId operation) = 0;

  // Unset: logged to standard error.
  virtual void SetExceptionHandler(absl::AnyInvocable<void(const ExceptionContext&)> handler) = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_API_EVENT_LOOP_H_
