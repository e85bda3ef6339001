// A socket of the service that is no transport yet.
#ifndef TRANSPORTD_CLIENTS_CPP_REMOTE_SOCKET_H_
#define TRANSPORTD_CLIENTS_CPP_REMOTE_SOCKET_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "clients/cpp/remote_session.h"
#include "transports/api/existing_socket.h"

namespace transportd {

// Threading: loop thread only.
class RemoteSocket final : public ExistingSocket {
 public:
  // One end of a pair in the service.
  RemoteSocket(std::weak_ptr<RemoteSession> session, uint32_t id, const SocketKind& kind);
  ~RemoteSocket() override { Close(); }

  bool IsOf(const RemoteSession& session) const { return session_.lock().get() == &session; }
  // The id, to the command that makes a transport of it; unset when it is closed or handed over.
  std::optional<uint32_t> Take();

  // ExistingSocket
  bool IsOpen() const override { return is_open_; }
  void Close() override;
  const SocketKind& Kind() const override { return kind_; }
  const SocketAddress& Sockname() const override { return sockname_; }
  const std::optional<SocketAddress>& Peername() const override { return peername_; }

 private:
  // Weak: a handle may outlive its loop.
  const std::weak_ptr<RemoteSession> session_;
  const uint32_t id_;
  const SocketKind kind_;
  const SocketAddress sockname_;
  const std::optional<SocketAddress> peername_;
  bool is_open_ = true;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_REMOTE_SOCKET_H_
