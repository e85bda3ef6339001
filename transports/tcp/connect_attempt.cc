#include "transports/tcp/connect_attempt.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <utility>

#include "transports/base/admit_socket.h"
#include "transports/base/gated_bind.h"
#include "transports/base/sockaddr.h"

namespace transportd {

bool ConnectAttempt::Start(const SocketAddress& remote, const std::vector<SocketAddress>* locals,
                           absl::AnyInvocable<void()> on_decided) {
  remote_ = remote;
  const absl::StatusOr<RawAddress> address = ToRawAddress(remote);
  if (!address.ok()) {
    Fail(address.status());
    return true;
  }
  if (gate_ != nullptr) {
    if (const absl::Status status = gate_->MayConnect(remote); !status.ok()) {
      Fail(status);
      return true;
    }
  }
  fd_ = AdmitSocket(
      ::socket(AddressFamilyToNumber(remote.family), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP),
      descriptor_limit_);
  int err = errno;
  if (!fd_.valid()) {
    Fail(ErrnoToStatus(err, "socket", remote.ToString()));
    return true;
  }
  if (locals != nullptr && !Bind(*locals)) return true;

  if (::connect(fd_.get(), address->get(), address->length) == 0) {
    connected_ = true;
    return true;
  }
  err = errno;
  // Within one machine it is mostly decided by now, and connect(2), asked again, says how.
  if (err == EINPROGRESS) err = ::connect(fd_.get(), address->get(), address->length) == 0 ? EISCONN : errno;
  if (err == EISCONN) {
    connected_ = true;
    return true;
  }
  // connect(2): interrupted, it goes on by itself, as when it would block.
  if (err != EALREADY && err != EINTR) {
    Fail(ErrnoToStatus(err, "connect", remote.ToString()));
    return true;
  }
  on_decided_ = std::move(on_decided);
  watch_ = reactor_.AddWatch(fd_.get(), *this);
  reactor_.SetWatch(watch_, /*readable=*/false, /*writable=*/true);
  return false;
}

bool ConnectAttempt::Bind(const std::vector<SocketAddress>& locals) {
  for (const SocketAddress& local : locals) {
    if (local.family != remote_.family) continue;
    const absl::Status status = BindAllowed(fd_.get(), local, NamesASource(local) ? gate_ : nullptr);
    if (status.ok()) return true;
    errors_.push_back(ToTransportError(status));
  }
  if (errors_.empty()) {
    TransportError error;
    error.code = absl::StatusCode::kFailedPrecondition;
    error.reason = "NO_MATCHING_LOCAL_ADDRESS";
    error.message = "no local address of the family of " + remote_.ToString() + " was found";
    error.address = remote_.ToString();
    error.operation = "bind";
    errors_.push_back(std::move(error));
  }
  Cancel();
  return false;
}

void ConnectAttempt::OnWritable() {
  int err = 0;
  socklen_t size = sizeof(err);
  if (::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &err, &size) != 0) err = errno;
  reactor_.RemoveWatch(std::exchange(watch_, 0));
  if (err == 0) {
    connected_ = true;
  } else {
    Fail(ErrnoToStatus(err, "connect", remote_.ToString()));
  }
  on_decided_();
}

void ConnectAttempt::Fail(const absl::Status& status) {
  errors_.push_back(ToTransportError(status));
  Cancel();
}

UniqueFd ConnectAttempt::TakeFd() { return std::move(fd_); }

void ConnectAttempt::Cancel() {
  if (watch_ != 0) reactor_.RemoveWatch(std::exchange(watch_, 0));
  fd_.Reset();
}

}  // namespace transportd
