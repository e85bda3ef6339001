// An address where a connect is neither accepted nor refused.
#ifndef TRANSPORTD_TESTS_UNIT_TCP_FULL_LISTENER_H_
#define TRANSPORTD_TESTS_UNIT_TCP_FULL_LISTENER_H_

#include "tests/support/raw_peer.h"

namespace transportd {

// A loopback listener whose queue of connections is full: Linux drops further SYNs, and the connect goes on and on.
// Threading: one thread at a time.
class FullListener final {
 public:
  explicit FullListener(AddressFamily family = AddressFamily::kInet)
      : listener_(family, /*backlog=*/0), filler_(RawPeer::Connect(listener_.address())) {}

  const SocketAddress& address() const { return listener_.address(); }
  // Makes room: the kernel takes the next SYN that is sent again, after a second or so.
  RawPeer Accept() { return listener_.Accept(); }

 private:
  RawListener listener_;
  RawPeer filler_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_UNIT_TCP_FULL_LISTENER_H_
