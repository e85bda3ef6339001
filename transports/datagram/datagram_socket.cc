#include "transports/datagram/datagram_socket.h"

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "transports/api/datagram.h"
#include "transports/api/error.h"
#include "transports/base/sockaddr.h"

namespace transportd {
namespace {

constexpr size_t kMaxUdpBytes = 64 * 1024;  // A length of 16 bits.

// What one message of several segments may hold: the longest UDP payload of IPv4, and the number of segments that every
// kernel takes.
constexpr size_t kMaxRunBytes = 65507;
constexpr size_t kMaxRunCount = 64;

// EINVAL: a segment is longer than the route's MTU, which a datagram alone may be, in fragments. EIO: no checksum
// offload. EMSGSIZE, ENOBUFS: together they are too much.
bool MayWorkOneByOne(int error_number) {
  return error_number == EINVAL || error_number == EIO || error_number == EMSGSIZE || error_number == ENOBUFS ||
         error_number == EOPNOTSUPP;
}

}  // namespace

void DatagramSocket::Receive(std::span<char> buffer, size_t max_count, ReceiveBatch& batch) const {
  const size_t room_bytes = family_ == AddressFamily::kUnix ? kMaxDatagramBytes : kMaxUdpBytes;
  const size_t count = std::min(max_count, buffer.size() / room_bytes);
  // NOLINTBEGIN(cppcoreguidelines-pro-type-member-init): only the first `count` are used
  std::array<mmsghdr, kMaxReceiveCount> messages;
  std::array<iovec, kMaxReceiveCount> pieces;
  // NOLINTEND(cppcoreguidelines-pro-type-member-init)
  for (size_t i = 0; i < count; ++i) {
    pieces[i] = {.iov_base = buffer.data() + i * room_bytes, .iov_len = room_bytes};
    messages[i] = {};
    messages[i].msg_hdr.msg_name = &batch.addresses[i];
    messages[i].msg_hdr.msg_namelen = sizeof(batch.addresses[i]);
    messages[i].msg_hdr.msg_iov = &pieces[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }

  const int received =
      ::recvmmsg(fd_.get(), messages.data(), static_cast<unsigned>(count), MSG_DONTWAIT, /*timeout=*/nullptr);
  const int err = errno;
  batch.count = received > 0 ? static_cast<size_t>(received) : 0;
  batch.error_number = received > 0 ? 0 : err == EINTR ? EAGAIN : err;
  for (size_t i = 0; i < batch.count; ++i) {
    batch.items[i] = {.data = {buffer.data() + i * room_bytes, messages[i].msg_len},
                      .address_length = messages[i].msg_hdr.msg_namelen,
                      .truncated = (messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0};
  }
}

size_t DatagramSocket::RunLength(std::span<const Outgoing> datagrams) const {
  const Outgoing& first = datagrams.front();
  size_t count = 1;
  size_t size_bytes = first.data.size();
  if (!segmentation_ || family_ == AddressFamily::kUnix || size_bytes == 0) return count;
  while (count < std::min(datagrams.size(), kMaxRunCount)) {
    const Outgoing& next = datagrams[count];
    if (next.data.empty() || next.data.size() > first.data.size() || next.address != first.address) break;
    size_bytes += next.data.size();
    if (size_bytes > kMaxRunBytes) break;
    ++count;
    // Only the last segment may be shorter.
    if (next.data.size() < first.data.size()) break;
  }
  return count;
}

DatagramSocket::SendResult DatagramSocket::SendOnce(std::span<const Outgoing> datagrams, bool in_runs) const {
  struct Control {
    alignas(cmsghdr) char bytes[CMSG_SPACE(sizeof(uint16_t))];
  };
  // NOLINTBEGIN(cppcoreguidelines-pro-type-member-init): only as many as there are messages are used
  std::array<mmsghdr, kMaxSendCount> messages;
  std::array<iovec, kMaxSendCount> pieces;
  std::array<Control, kMaxSendCount> controls;
  std::array<size_t, kMaxSendCount> run_lengths;
  // NOLINTEND(cppcoreguidelines-pro-type-member-init)

  size_t message_count = 0;
  for (size_t begin = 0; begin < datagrams.size();) {
    const size_t run_length = in_runs ? RunLength(datagrams.subspan(begin)) : 1;
    for (size_t i = begin; i < begin + run_length; ++i) {
      pieces[i] = {.iov_base = const_cast<char*>(datagrams[i].data.data()), .iov_len = datagrams[i].data.size()};
    }
    msghdr& header = messages[message_count].msg_hdr;
    header = {};
    const std::string_view address = datagrams[begin].address;
    header.msg_name = address.empty() ? nullptr : const_cast<char*>(address.data());
    header.msg_namelen = static_cast<socklen_t>(address.size());
    header.msg_iov = &pieces[begin];
    header.msg_iovlen = run_length;
    if (run_length > 1) {
      Control& control = controls[message_count];
      control = {};
      header.msg_control = control.bytes;
      header.msg_controllen = sizeof(control.bytes);
      cmsghdr* const segment = CMSG_FIRSTHDR(&header);
      segment->cmsg_level = IPPROTO_UDP;
      segment->cmsg_type = UDP_SEGMENT;
      segment->cmsg_len = CMSG_LEN(sizeof(uint16_t));
      const auto segment_bytes = static_cast<uint16_t>(datagrams[begin].data.size());
      std::memcpy(CMSG_DATA(segment), &segment_bytes, sizeof(segment_bytes));
    }
    run_lengths[message_count++] = run_length;
    begin += run_length;
  }

  const int sent =
      ::sendmmsg(fd_.get(), messages.data(), static_cast<unsigned>(message_count), MSG_DONTWAIT | MSG_NOSIGNAL);
  const int err = errno;
  SendResult result;
  for (int i = 0; i < sent; ++i) result.sent_count += run_lengths[static_cast<size_t>(i)];
  if (sent < 0) result.error_number = err == EINTR ? EAGAIN : err;
  return result;
}

DatagramSocket::SendResult DatagramSocket::SendWithoutSymlinks(std::span<const Outgoing> datagrams) const {
  std::array<Outgoing, kMaxSendCount> pinned;
  size_t sent_count = 0;
  while (sent_count < datagrams.size()) {
    const auto left = datagrams.subspan(sent_count);
    const std::string_view address = left.front().address;
    SocketTarget target;
    if (!address.empty()) {
      const SocketAddress asked =
          FromRawAddress(reinterpret_cast<const sockaddr*>(address.data()), static_cast<socklen_t>(address.size()));
      absl::StatusOr<SocketTarget> found = FindSocketTarget(asked, symlinks_, "sendto");
      if (!found.ok()) {
        const int err = ToTransportError(found.status()).errno_number;
        return {.sent_count = sent_count, .error_number = err != 0 ? err : EINVAL};
      }
      target = *std::move(found);
    }
    size_t count = 0;
    for (; count < std::min(left.size(), kMaxSendCount) && left[count].address == address; ++count) {
      pinned[count] = {.data = left[count].data,
                       .address = {reinterpret_cast<const char*>(&target.raw.storage), target.raw.length}};
    }
    const SendResult result = SendOnce({pinned.data(), count}, /*in_runs=*/false);
    sent_count += result.sent_count;
    if (result.error_number != 0) return {.sent_count = sent_count, .error_number = result.error_number};
  }
  return {.sent_count = sent_count};
}

DatagramSocket::SendResult DatagramSocket::Send(std::span<const Outgoing> datagrams) {
  if (symlinks_ == Symlinks::kForbid) return SendWithoutSymlinks(datagrams);
  size_t sent_count = 0;
  while (sent_count < datagrams.size()) {
    const auto left = datagrams.subspan(sent_count);
    SendResult result = SendOnce(left, /*in_runs=*/true);
    if (result.error_number != 0 && MayWorkOneByOne(result.error_number)) {
      if (const size_t run_length = RunLength(left); run_length > 1) {
        if (result.error_number != ENOBUFS) segmentation_ = false;
        result = SendOnce(left.first(run_length), /*in_runs=*/false);
      }
    }
    sent_count += result.sent_count;
    if (result.error_number != 0) return {.sent_count = sent_count, .error_number = result.error_number};
  }
  return {.sent_count = sent_count};
}

uint64_t DatagramSocket::DroppedCount() const {
  std::array<uint32_t, SK_MEMINFO_VARS> values{};
  socklen_t length = sizeof(values);
  if (::getsockopt(fd_.get(), SOL_SOCKET, SO_MEMINFO, values.data(), &length) == 0) {
    dropped_count_ += static_cast<uint32_t>(values[SK_MEMINFO_DROPS] - static_cast<uint32_t>(dropped_count_));
  }
  return dropped_count_;
}

}  // namespace transportd
