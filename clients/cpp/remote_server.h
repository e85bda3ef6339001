// A server whose listening sockets are in the service.
#ifndef TRANSPORTD_CLIENTS_CPP_REMOTE_SERVER_H_
#define TRANSPORTD_CLIENTS_CPP_REMOTE_SERVER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "clients/cpp/remote_session.h"
#include "clients/cpp/remote_transport.h"
#include "transports/api/event_loop.h"
#include "transports/api/server.h"

namespace transportd {

// Knows the transports that it accepted: what concerns them (WaitClosed, CloseClients, AbortClients) is decided here.
//
// shared_ptr: owned by the session until it is closed and its last transport is lost, and by whoever keeps it.
// Threading: loop thread only.
class RemoteServer final : public Server, public std::enable_shared_from_this<RemoteServer> {
 public:
  RemoteServer(RemoteSession& session, uint32_t id, ProtocolFactory factory, WriteBufferMarks marks,
               std::vector<SocketAddress> sockets, bool is_serving);
  ~RemoteServer() override;

  // The service's name for it.
  uint32_t id() const { return id_; }

  // The service accepted a connection.
  void Accept(uint32_t transport_id, ExtraInfo extra_info);
  // Its transports are told by the session.
  void OnSessionLost();
  // Becomes inert without calling anybody.
  void OnLoopDestroyed();

  // Server
  void StartServing(absl::AnyInvocable<void(absl::Status)> done) override;
  bool IsServing() const override { return state_ == State::kOpen && is_serving_; }
  void Close(absl::AnyInvocable<void()> done) override;
  void WaitClosed(absl::AnyInvocable<void()> done) override;
  void CloseClients(absl::AnyInvocable<void(size_t)> done) override;
  void AbortClients(absl::AnyInvocable<void(size_t)> done) override;
  std::vector<SocketAddress> Sockets() const override { return sockets_; }
  void Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) override;
  void Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) override;

 private:
  // Closing: until the service has said that nothing listens any more.
  enum class State { kOpen, kClosing, kClosed };

  void OnClosed();
  void OnTransportLost(RemoteTransport& transport);
  // Calls who waits, and leaves the session, once closed and without transports.
  void CheckEnded();

  RemoteSession* session_;  // Null once it has left it.
  const uint32_t id_;
  ProtocolFactory factory_;
  const WriteBufferMarks marks_;
  std::vector<SocketAddress> sockets_;
  State state_ = State::kOpen;
  bool is_serving_;
  absl::flat_hash_map<RemoteTransport*, std::weak_ptr<RemoteTransport>> transports_;
  std::vector<absl::AnyInvocable<void()>> close_waiters_;
  std::vector<absl::AnyInvocable<void()>> end_waiters_;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_REMOTE_SERVER_H_
