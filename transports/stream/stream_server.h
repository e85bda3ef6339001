// asyncio's Server: listening sockets, and the transports they accepted.
#ifndef TRANSPORTD_TRANSPORTS_STREAM_STREAM_SERVER_H_
#define TRANSPORTD_TRANSPORTS_STREAM_STREAM_SERVER_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/event_loop.h"
#include "transports/api/server.h"
#include "transports/stream/acceptor.h"
#include "transports/stream/loop_context.h"
#include "transports/stream/stream_transport.h"

namespace transportd {

// A bound socket and its address.
struct BoundSocket {
  UniqueFd fd;
  SocketAddress address;
};

// shared_ptr: owned by the loop's registry until it is closed and its last transport is lost, by its transports, and by
// whoever keeps it.
// Threading: loop thread only.
class StreamServer final : public Server, public LoopOwned, public std::enable_shared_from_this<StreamServer> {
 public:
  struct Options {
    uint32_t backlog = 100;
    // As in ConnectedSocketOptions.
    WriteBufferLimits write_buffer_limits = {};
    std::shared_ptr<const StreamLayer> layer = {};
    // Asked for each connection; see Acceptor. shared_ptr: owned by this and by whoever made it.
    std::shared_ptr<SocketGate> gate = {};
    // Once: just before the listening sockets are closed, by Close or with the loop. Must not use the server.
    absl::AnyInvocable<void()> on_closing = nullptr;
  };

  // Registered with `context`, which must outlive it or destroy it. Neither listens nor accepts yet. CHECK-fails
  // without a socket.
  static std::shared_ptr<StreamServer> Create(LoopContext& context, std::vector<BoundSocket> sockets,
                                              ProtocolFactory factory, Options options);
  ~StreamServer() override;

  // listen(2) on every socket: connects succeed and wait. SERVER_CLOSED; the kernel's error, with some sockets
  // listening.
  absl::Status Listen();
  // Accepts from the next turn on, when it listens. Nothing when closed.
  void StartAccepting();

  // Connections that were reset because options.gate did not let them in.
  uint64_t RefusedCount() const;

  // Server
  void StartServing(absl::AnyInvocable<void(absl::Status)> done) override;
  bool IsServing() const override;
  void Close(absl::AnyInvocable<void()> done) override;
  void WaitClosed(absl::AnyInvocable<void()> done) override;
  void CloseClients(absl::AnyInvocable<void(size_t)> done) override;
  void AbortClients(absl::AnyInvocable<void(size_t)> done) override;
  std::vector<SocketAddress> Sockets() const override;
  void Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) override;
  void Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) override;

  // LoopOwned
  void OnLoopDestroyed() override;

 private:
  StreamServer(LoopContext& context, std::vector<BoundSocket> sockets, ProtocolFactory factory, Options options);

  void OnAccepted(Acceptor::Accepted accepted);
  void OnTransportLost(StreamTransport& transport);
  void CallOnClosing();
  // Closed and without transports: leaves the registry and tells those who wait.
  void FinishIfDone();
  void AssertInLoopThread() const;

  // Null when the loop is gone.
  LoopContext* context_;
  ProtocolFactory factory_;
  Options options_;
  bool is_listening_ = false;
  bool is_closed_ = false;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  // Alive: each leaves the set when it is lost, before the registry lets go of it.
  absl::flat_hash_set<StreamTransport*> transports_;
  std::vector<absl::AnyInvocable<void()>> closed_waiters_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_STREAM_STREAM_SERVER_H_
