#include "transports/base/gated_bind.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "absl/status/statusor.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/sockaddr.h"

namespace transportd {
namespace {

// About 10 ms of the loop's time, at worst.
constexpr uint32_t kMaxTryCount = 4096;

// errno; 0: it is bound.
int Bind(int fd, const RawAddress& address) { return ::bind(fd, address.get(), address.length) == 0 ? 0 : errno; }

// The port at `index` of all that the ranges have.
uint16_t PortAt(const std::vector<PortRange>& ranges, uint32_t index) {
  for (const auto [first, last] : ranges) {
    const uint32_t count = uint32_t{last} - first + 1;
    if (index < count) return static_cast<uint16_t>(first + index);
    index -= count;
  }
  CHECK(false);
}

// Off for as long as this lives: with it, a port may be bound that somebody else has.
class SwitchedOff final {
 public:
  SwitchedOff(int fd, int option) : fd_(fd), option_(option) {
    socklen_t size = sizeof(value_);
    if (::getsockopt(fd_, SOL_SOCKET, option_, &value_, &size) == 0 && value_ != 0) Set(0);
  }
  SwitchedOff(const SwitchedOff&) = delete;
  SwitchedOff& operator=(const SwitchedOff&) = delete;
  ~SwitchedOff() {
    if (value_ != 0) Set(value_);
  }

 private:
  void Set(int value) { static_cast<void>(::setsockopt(fd_, SOL_SOCKET, option_, &value, sizeof(value))); }

  const int fd_;
  const int option_;
  int value_ = 0;
};

// `address` without its port is a good one.
int BindWithin(int fd, SocketAddress address, const std::vector<PortRange>& ranges) {
  uint32_t port_count = 0;
  for (const auto [first, last] : ranges) {
    CHECK(first >= 1 && first <= last);
    port_count += uint32_t{last} - first + 1;
  }
  CHECK(port_count > 0);
  const SwitchedOff reuse_address(fd, SO_REUSEADDR);
  const SwitchedOff reuse_port(fd, SO_REUSEPORT);
  std::random_device random;
  const uint64_t start = random() % port_count;
  // Steps that have no divisor in common with the number of ports come to each of them once.
  uint64_t step = random() % port_count + 1;
  while (std::gcd(step, uint64_t{port_count}) != 1) ++step;

  bool is_in_use = false;
  int err = 0;
  for (uint64_t i = 0; i < std::min(port_count, kMaxTryCount); ++i) {
    address.port = PortAt(ranges, static_cast<uint32_t>((start + i * step) % port_count));
    err = Bind(fd, *ToRawAddress(address));
    // EACCES: the port is below ip_unprivileged_port_start, and others may not be.
    if (err != EADDRINUSE && err != EACCES) return err;
    is_in_use |= err == EADDRINUSE;
  }
  return is_in_use ? EADDRINUSE : err;
}

}  // namespace

absl::Status BindAllowed(int fd, const SocketAddress& address, SocketGate* gate) {
  const absl::StatusOr<RawAddress> raw = ToRawAddress(address);
  if (!raw.ok()) return raw.status();
  std::vector<PortRange> ranges;
  if (gate != nullptr) {
    absl::StatusOr<std::vector<PortRange>> allowed = gate->MayBind(address);
    if (!allowed.ok()) return allowed.status();
    if (address.port == 0) ranges = *std::move(allowed);
  }
  const int err = ranges.empty() ? Bind(fd, *raw) : BindWithin(fd, address, ranges);
  if (err != 0) return ErrnoToStatus(err, "bind", address.ToString());
  if (gate != nullptr && address.port == 0) {
    if (const absl::StatusOr<SocketAddress> bound = GetSockname(fd); bound.ok()) gate->HasBound(address, *bound);
  }
  return absl::OkStatus();
}

bool NamesASource(const SocketAddress& address) {
  return address.port != 0 || (address.host != "0.0.0.0" && address.host != "::");
}

}  // namespace transportd
