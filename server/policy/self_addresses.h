// The service's own ports, and those of its cluster and node: what clients must not reach through it.
#ifndef TRANSPORTD_SERVER_POLICY_SELF_ADDRESSES_H_
#define TRANSPORTD_SERVER_POLICY_SELF_ADDRESSES_H_

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/policy/action.h"
#include "server/policy/ip_address.h"

namespace transportd {

// Filled once, then asked from any thread. Threading: a value.
class SelfAddresses final {
 public:
  // This port at every address of this host: loopback, the wildcards, and what AddLocal has told.
  void AddOwnPort(uint16_t port, ActionProtocol protocol);
  // This port at this address.
  void Add(const IpAddress& address, uint16_t port, ActionProtocol protocol);
  // An address of this host.
  void AddLocal(const IpAddress& address);
  // AddLocal for each of this host's interfaces, as they are now: getifaddrs(3)'s error.
  absl::Status AddLocalOfInterfaces();
  // The Kubernetes API server (KUBERNETES_SERVICE_HOST with KUBERNETES_SERVICE_PORT or _HTTPS), and this node's kubelet
  // (NODE_IP and HOST_IP, ports 10250 and 10255), as far as `environment`, getenv(3) say, has them as numbers. Null:
  // unset.
  void AddEnvironment(const std::function<const char*(const char*)>& environment);

  // Whether somebody who uses this address and port reaches one of them. Allocates nothing.
  bool Contains(const IpAddress& address, uint16_t port, ActionProtocol protocol) const;
  // The ports of them at this address.
  std::vector<uint16_t> PortsAt(const IpAddress& address, ActionProtocol protocol) const;
  // 127.0.0.0/8, ::1, 0.0.0.0, ::, and what was added.
  bool IsLocal(const IpAddress& address) const;

 private:
  struct Entry {
    bool any_local = false;
    IpAddress address;
    uint16_t port = 0;
    ActionProtocol protocol = ActionProtocol::kNone;
  };
  bool Matches(const Entry& entry, const IpAddress& address) const;

  std::vector<Entry> entries_;
  std::vector<IpAddress> local_;  // Sorted.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_SELF_ADDRESSES_H_
