// The other end of a scenario's connections: plain blocking sockets, the same as in stage.py.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_PEER_H_
#define TRANSPORTD_TESTS_CONFORMANCE_PEER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tests/conformance/trace.h"
#include "transports/api/address.h"
#include "transports/base/unique_fd.h"

namespace transportd::conformance {

// The longest that anything in a scenario may take.
inline constexpr std::chrono::seconds kPatience{60};

// A bound socket with little room, so that what is "more than the kernel takes" does not depend on its tuning.
// Nothing when the address cannot be had. `host` is numeric.
UniqueFd BoundSocket(const std::string& host, uint16_t port);
SocketAddress SocknameOf(const UniqueFd& fd);
void Listen(const UniqueFd& fd, int backlog);
// Waits; not valid after kPatience.
UniqueFd AcceptFrom(const UniqueFd& listener);

// Every method waits for the kernel and traces what came of it. Threading: one thread at a time; see Stage::Run.
class Peer final {
 public:
  // `trace` must outlive the peer.
  Peer(std::shared_ptr<UniqueFd> fd, Trace& trace);

  bool Connect(const std::string& host, uint16_t port);
  void Send(std::string_view data);
  // Exactly `size_bytes`.
  void Recv(size_t size_bytes);
  // Until the other side ends.
  void RecvAll();
  // Until the other side ends, however it ends, whatever it sent.
  void Drain();
  void Shutdown();
  void Close();
  // Closes with RST.
  void Reset();

  uint64_t received_bytes() const { return received_bytes_; }
  const std::shared_ptr<UniqueFd>& fd() const { return fd_; }

 private:
  // Appends to `data` until it holds `size_bytes`, or to the end when unset. Says how it ended: "", "eof", an errno.
  std::string Receive(std::optional<size_t> size_bytes, std::string& data);

  std::shared_ptr<UniqueFd> fd_;  // Shared by peers that send and receive at once.
  Trace& trace_;
  uint64_t received_bytes_ = 0;
};

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_PEER_H_
