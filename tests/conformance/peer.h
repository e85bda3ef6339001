// The other end of a scenario's connections: blocking sockets, with TLS over them or not, the same as in stage.py.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_PEER_H_
#define TRANSPORTD_TESTS_CONFORMANCE_PEER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tests/conformance/tls_end.h"
#include "tests/conformance/trace.h"
#include "transports/api/address.h"
#include "transports/base/unique_fd.h"

namespace transportd::conformance {

// The longest that anything in a scenario may take.
inline constexpr std::chrono::seconds kPatience{60};

// A bound socket with little room, so that what is "more than the kernel takes" does not depend on its tuning.
// Nothing when the address cannot be had. `host` is numeric.
UniqueFd BoundSocket(const std::string& host, uint16_t port);
// A bound Unix stream socket.
UniqueFd BoundUnixSocket(const std::string& path);
SocketAddress SocknameOf(const UniqueFd& fd);
void Listen(const UniqueFd& fd, int backlog);
// Waits; not valid after kPatience.
UniqueFd AcceptFrom(const UniqueFd& listener);

// Every method waits for the kernel and traces what came of it. Threading: one thread at a time; see Stage::Run.
class Peer final {
 public:
  // `trace` must outlive the peer.
  Peer(std::shared_ptr<UniqueFd> fd, Trace& trace);
  // The same socket, and TLS if there is, as `other`.
  Peer(const Peer& other, Trace& trace);

  void Connect(const std::string& host, uint16_t port);
  // Connect succeeded.
  bool is_connected() const { return is_connected_; }
  void Send(std::string_view data);
  // Exactly `size_bytes`.
  void Recv(size_t size_bytes);
  // As Recv, of bytes that are never the same.
  void Skip(size_t size_bytes);
  // Until the other side ends.
  void RecvAll();
  // Until the other side ends, however it ends, whatever it sent.
  void Drain();
  // Ends what this side sends: close_notify with TLS, else FIN.
  void Shutdown();
  // FIN, without close_notify.
  void Cut();
  // Past TLS.
  void SendRaw(std::string_view data);
  void Close();
  // Closes with RST.
  void Reset();

  // Over what it speaks already, TLS too. `session`: to resume. Traces only what fails, which it also returns.
  std::string StartTls(SSL_CTX& terms, bool server_side, const std::string& server_hostname = "",
                       SSL_SESSION* session = nullptr);
  // The same without a trace.
  std::string TryTls(SSL_CTX& terms, bool server_side, const std::string& server_hostname = "",
                     SSL_SESSION* session = nullptr);
  // Null: it speaks no TLS.
  TlsEnd* tls() { return tls_.get(); }
  // Until the other side takes leave, or ends; then answers. Traces nothing.
  void TakeLeave();

  uint64_t received_bytes() const { return received_bytes_; }
  const std::shared_ptr<UniqueFd>& fd() const { return fd_; }

 private:
  // Appends to `data` until it holds `size_bytes`, or to the end when unset. Says how it ended: "", "eof", an errno.
  std::string Receive(std::optional<size_t> size_bytes, std::string& data);

  // Shared by peers that send and receive at once, all three.
  std::shared_ptr<UniqueFd> fd_;
  std::shared_ptr<PeerStream> stream_;
  std::shared_ptr<TlsEnd> tls_;
  Trace& trace_;
  uint64_t received_bytes_ = 0;
  bool is_connected_ = false;
};

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_PEER_H_
