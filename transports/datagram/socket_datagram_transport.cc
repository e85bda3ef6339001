#include "transports/datagram/socket_datagram_transport.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/gated_path.h"
#include "transports/base/owned_socket.h"
#include "transports/base/socket_option_table.h"
#include "transports/base/str_cat.h"
#include "transports/base/transport_lost.h"
#include "transports/datagram/multicast.h"

namespace transportd {
namespace {

constexpr size_t kMaxWaitingErrorCount = 64;
constexpr size_t kFirstReceiveCount = 4;
// What one read may bring, by the experience of the one before.
constexpr size_t kReceiveBytes = 64 * 1024;
constexpr Duration kFirstRetryDelay = std::chrono::milliseconds(1);
constexpr Duration kLastRetryDelay = std::chrono::milliseconds(128);

size_t Weight(size_t data_bytes) { return data_bytes + kDatagramHeaderBytes; }

bool IsInternet(AddressFamily family) { return family == AddressFamily::kInet || family == AddressFamily::kInet6; }

absl::Status InvalidAddress(std::string_view message) { return InvalidArgument("INVALID_ADDRESS", "address", message); }

}  // namespace

DatagramSocket::Outgoing SocketDatagramTransport::Queued::ToOutgoing() const {
  const std::string_view all = bytes;
  return {.data = all.substr(address_bytes), .address = all.substr(0, address_bytes)};
}

std::shared_ptr<SocketDatagramTransport> SocketDatagramTransport::Create(LoopContext& context, UniqueFd fd,
                                                                         AddressFamily family,
                                                                         std::shared_ptr<DatagramProtocol> protocol,
                                                                         Options options) {
  // Not make_shared: the constructor is private.
  std::shared_ptr<SocketDatagramTransport> transport(
      new SocketDatagramTransport(context, std::move(fd), family, std::move(protocol), std::move(options)));
  context.transports().Add(transport);
  return transport;
}

SocketDatagramTransport::SocketDatagramTransport(LoopContext& context, UniqueFd fd, AddressFamily family,
                                                 std::shared_ptr<DatagramProtocol> protocol, Options options)
    : context_(&context),
      socket_(std::in_place, std::move(fd), family,
              family == AddressFamily::kUnix && ForbidsSymlinks(options.gate.get()) ? Symlinks::kForbid
                                                                                    : Symlinks::kFollow),
      protocol_(std::move(protocol)),
      receive_count_(kFirstReceiveCount),
      gate_(std::move(options.gate)),
      watermarks_(options.write_buffer_marks),
      retry_delay_(kFirstRetryDelay),
      remote_(std::move(options.remote)) {
  AssertInLoopThread();
  CHECK(protocol_ != nullptr);
  if (absl::StatusOr<SocketAddress> name = GetSockname(socket_->fd()); name.ok()) extra_info_.sockname = *name;
  if (absl::StatusOr<SocketAddress> name = GetPeername(socket_->fd()); name.ok()) extra_info_.peername = *name;
  extra_info_.socket = GetSocketKind(socket_->fd());
  asks_receive_ = gate_ != nullptr && (options.local || !IsConnected());
  if (family == AddressFamily::kUnix && ForbidsSymlinks(gate_.get())) {
    // The kernel has names that lead through descriptors.
    if (options.local) extra_info_.sockname = std::move(options.local);
    if (IsConnected()) extra_info_.peername = remote_;
  }
  waits_by_time_ = family == AddressFamily::kUnix && !IsConnected();
  watch_ = context_->reactor().AddWatch(socket_->fd(), *this);
}

SocketDatagramTransport::~SocketDatagramTransport() { CHECK(state_ == State::kLost); }

void SocketDatagramTransport::Start(absl::AnyInvocable<void()> on_ready) {
  AssertInLoopThread();
  // The raw pointer holds, here and wherever this queues a call: what the registry owns lives until CallConnectionLost,
  // which is queued later; and a loop that is destroyed destroys its queue uncalled.
  context_->reactor().CallSoon([this, on_ready = std::move(on_ready)]() mutable {
    if (on_ready) {
      context_->reactor().CallSoon([self = shared_from_this(), on_ready = std::move(on_ready)]() mutable {
        on_ready();
        self->BeginReading();
      });
      CallConnectionMade();
      return;
    }
    CallConnectionMade();
    BeginReading();
  });
}

void SocketDatagramTransport::CallConnectionMade() {
  if (state_ == State::kOpening) SetState(State::kOpen);
  protocol_->ConnectionMade(shared_from_this());
}

void SocketDatagramTransport::BeginReading() {
  can_read_ = true;
  UpdateWatch();
}

// Receiving.

void SocketDatagramTransport::OnReadable() {
  if (!watches_readable_) return;
  DatagramSocket::ReceiveBatch batch;
  socket_->Receive(context_->batch_buffer(), receive_count_, batch);
  if (batch.count == 0) {
    if (batch.error_number != EAGAIN) protocol_->ErrorReceived(ErrnoToStatus(batch.error_number, "recvfrom"));
    return;
  }
  size_t longest_bytes = 1;
  for (size_t i = 0; i < batch.count; ++i) longest_bytes = std::max(longest_bytes, batch.items[i].data.size());
  AdaptReceiveCount(batch.count, longest_bytes);

  // Inside each call the protocol may pause reading, or end the endpoint.
  for (size_t i = 0; i < batch.count; ++i) {
    const DatagramSocket::ReceiveBatch::Item& item = batch.items[i];
    if (item.truncated || IsClosing()) {
      ++counts_.dropped_received_count;
      continue;
    }
    const SocketAddress* const sender = Sender(batch.address(i), item.address_length);
    if (asks_receive_ && !MayReceive(sender)) {
      ++counts_.dropped_received_count;
      continue;
    }
    if (IsReading()) {
      Deliver(item.data, sender);
    } else {
      held_.push_back({.data = std::string(item.data),
                       .address = sender == nullptr ? std::nullopt : std::optional<SocketAddress>(*sender)});
    }
  }
  UpdateWatch();
}

void SocketDatagramTransport::AdaptReceiveCount(size_t received_count, size_t longest_bytes) {
  const size_t wanted =
      received_count >= receive_count_ ? 2 * receive_count_ : std::max(received_count + 1, kFirstReceiveCount);
  receive_count_ =
      std::min({wanted, std::max<size_t>(kReceiveBytes / longest_bytes, 1), DatagramSocket::kMaxReceiveCount});
}

const SocketAddress* SocketDatagramTransport::Sender(const sockaddr* address, socklen_t length) {
  if (length != last_sender_raw_.length || std::memcmp(address, &last_sender_raw_.storage, length) != 0) {
    length = std::min<socklen_t>(length, sizeof(last_sender_raw_.storage));
    std::memcpy(&last_sender_raw_.storage, address, length);
    last_sender_raw_.length = length;
    last_sender_ = FromRawAddress(address, length);
    allowed_sender_generation_.reset();
  }
  return last_sender_.family == AddressFamily::kUnspecified ? nullptr : &last_sender_;
}

bool SocketDatagramTransport::MayReceive(const SocketAddress* sender) {
  const uint64_t generation = gate_->Generation();
  if (allowed_sender_generation_ == generation) return true;
  allowed_sender_generation_.reset();
  if (!gate_->MayReceive(sender != nullptr ? *sender : SocketAddress{.family = socket_->family()})) return false;
  allowed_sender_generation_ = generation;
  return true;
}

void SocketDatagramTransport::Deliver(std::string_view data, const SocketAddress* address) {
  ++counts_.received_count;
  counts_.received_bytes += data.size();
  protocol_->DatagramReceived(data, address);
}

void SocketDatagramTransport::DeliverHeld() {
  held_queued_ = false;
  while (!held_.empty() && IsReading()) {
    const Held held = std::move(held_.front());
    held_.pop_front();
    Deliver(held.data, held.address ? &*held.address : nullptr);
  }
  UpdateWatch();
}

bool SocketDatagramTransport::IsReading() const { return !IsClosing() && !paused_reading_; }

void SocketDatagramTransport::PauseReading() {
  AssertInLoopThread();
  if (!IsReading()) return;
  paused_reading_ = true;
  UpdateWatch();
}

void SocketDatagramTransport::ResumeReading() {
  AssertInLoopThread();
  if (IsClosing() || !paused_reading_) return;
  paused_reading_ = false;
  if (!held_.empty() && !held_queued_) {
    held_queued_ = true;
    context_->reactor().CallSoon([this] { DeliverHeld(); });
  }
  UpdateWatch();
}

// Sending.

absl::Status SocketDatagramTransport::SendTo(std::string_view data, const SocketAddress* address) {
  const OutgoingDatagram datagram{.data = data, .address = address};
  RawAddress raw;
  DatagramSocket::Outgoing outgoing;
  return SendSome({&datagram, 1}, {&raw, 1}, {&outgoing, 1});
}

absl::Status SocketDatagramTransport::SendMany(std::span<const OutgoingDatagram> datagrams) {
  const size_t count = std::min(datagrams.size(), DatagramSocket::kMaxSendCount);
  std::vector<RawAddress> raw(count);
  std::vector<DatagramSocket::Outgoing> outgoing(count);
  absl::Status first;
  while (!datagrams.empty()) {
    const auto some = datagrams.first(std::min(count, datagrams.size()));
    first.Update(SendSome(some, raw, outgoing));
    datagrams = datagrams.subspan(some.size());
  }
  return first;
}

absl::Status SocketDatagramTransport::SendSome(std::span<const OutgoingDatagram> datagrams, std::span<RawAddress> raw,
                                               std::span<DatagramSocket::Outgoing> outgoing) {
  AssertInLoopThread();
  absl::Status refused;
  size_t count = 0;
  for (size_t i = 0; i < datagrams.size(); ++i) {
    const auto& [data, address] = datagrams[i];
    if (remote_ && address != nullptr && *address != *remote_) {
      refused.Update(InvalidAddress(StrCat("must be none or ", remote_->ToString())));
      continue;
    }
    if (!IsWritable()) {
      Dropped(data.size());
      continue;
    }
    const SocketAddress* const to = address != nullptr ? address : remote_ ? &*remote_ : nullptr;
    if (IsConnected()) {
      outgoing[count++] = {.data = data, .address = {}};
    } else if (to == nullptr || IsInternet(to->family) != IsInternet(socket_->family()) ||
               to->family == AddressFamily::kUnspecified) {
      // What came before it still goes.
      SendNow(outgoing.first(count));
      count = 0;
      Dropped(data.size());
      FailForAddress(to);
    } else if (const absl::Status status = ToDestination(*to, raw[i]); status.ok()) {
      outgoing[count++] = {.data = data, .address = {reinterpret_cast<const char*>(&raw[i].storage), raw[i].length}};
    } else {
      Dropped(data.size());
      QueueError(status);
    }
  }
  SendNow(outgoing.first(count));
  return refused;
}

absl::Status SocketDatagramTransport::ToDestination(const SocketAddress& address, RawAddress& raw) {
  // The kernel would take an IPv4 address on an IPv6 socket; Python does not.
  if (address.family != socket_->family()) return ErrnoToStatus(EAFNOSUPPORT, "sendto", address.ToString());
  absl::StatusOr<RawAddress> converted = ToRawAddress(address);
  if (!converted.ok()) return converted.status();
  raw = *converted;
  if (gate_ == nullptr) return absl::OkStatus();
  return AskToSend({reinterpret_cast<const char*>(&raw.storage), raw.length});
}

absl::Status SocketDatagramTransport::AskToSend(std::string_view address) {
  const uint64_t generation = gate_->Generation();
  if (allowed_destination_generation_ == generation && allowed_destination_ == address) return absl::OkStatus();
  const absl::Status status = gate_->MaySend(
      FromRawAddress(reinterpret_cast<const sockaddr*>(address.data()), static_cast<socklen_t>(address.size())));
  if (!status.ok()) return status;
  allowed_destination_generation_ = generation;
  allowed_destination_ = address;
  return absl::OkStatus();
}

void SocketDatagramTransport::FailForAddress(const SocketAddress* address) {
  const absl::Status status =
      InvalidAddress(address == nullptr ? "the endpoint has no remote address: sendto needs one"
                                        : StrCat(address->ToString(), " is of another kind of socket"));
  Fail(EndCause::kLocalAbort, status);
  context_->ReportException(
      {.message = "Fatal write error on datagram transport", .status = status, .datagram_transport = this});
}

void SocketDatagramTransport::SendNow(std::span<const DatagramSocket::Outgoing> datagrams) {
  if (!IsWritable()) {
    for (const auto& [data, address] : datagrams) Dropped(data.size());
    return;
  }
  size_t done = 0;
  while (queue_.empty() && done < datagrams.size()) {
    const DatagramSocket::SendResult result = socket_->Send(datagrams.subspan(done));
    for (size_t i = 0; i < result.sent_count; ++i) Sent(datagrams[done++].data.size());
    if (result.error_number == EAGAIN) break;
    if (result.error_number == 0) continue;
    QueueError(SendError(result.error_number, datagrams[done].address));
    Dropped(datagrams[done++].data.size());
  }

  for (const auto& [data, address] : datagrams.subspan(done)) {
    Queued& queued = queue_.emplace_back();
    queued.address_bytes = address.size();
    queued.bytes.reserve(address.size() + data.size());
    queued.bytes.append(address).append(data);
    queue_bytes_ += Weight(data.size());
  }
  WaitForRoom();
  // Only now, because the protocol may send again inside.
  TellProgress();
  if (IsWritable() && watermarks_.Grew(queue_bytes_)) protocol_->PauseWriting();
}

void SocketDatagramTransport::OnWritable() {
  if (watches_writable_) SendQueued();
}

void SocketDatagramTransport::SendQueued() {
  std::array<DatagramSocket::Outgoing, DatagramSocket::kMaxSendCount> outgoing;
  size_t count = 0;
  absl::Status refused;  // What comes behind them, and may not be sent any more.
  for (; count < std::min(queue_.size(), outgoing.size()); ++count) {
    outgoing[count] = queue_[count].ToOutgoing();
    if (gate_ == nullptr || outgoing[count].address.empty()) continue;
    refused = AskToSend(outgoing[count].address);
    if (!refused.ok()) break;
  }
  const DatagramSocket::SendResult result = socket_->Send({outgoing.data(), count});

  absl::Status error;
  if (result.sent_count == count) {
    error = std::move(refused);
  } else if (result.error_number != EAGAIN) {
    error = SendError(result.error_number, outgoing[result.sent_count].address);
  }
  const size_t done = result.sent_count + (error.ok() ? 0 : 1);
  for (size_t i = 0; i < done; ++i) {
    const size_t data_bytes = queue_.front().data_bytes();
    queue_.pop_front();
    queue_bytes_ -= Weight(data_bytes);
    if (i < result.sent_count) {
      Sent(data_bytes);
    } else {
      Dropped(data_bytes);
    }
  }
  retry_delay_ = done > 0 ? kFirstRetryDelay : std::min(2 * retry_delay_, kLastRetryDelay);

  TellProgress();
  if (!error.ok() && IsWritable()) protocol_->ErrorReceived(error);
  if (IsWritable() && watermarks_.Shrank(queue_bytes_)) protocol_->ResumeWriting();
  if (IsWritable() && queue_.empty() && state_ == State::kClosing) {
    FinishClose();
  } else {
    WaitForRoom();
  }
}

void SocketDatagramTransport::WaitForRoom() {
  if (waits_by_time_ && IsWritable() && !queue_.empty() && retry_timer_ == 0) {
    retry_timer_ = context_->reactor().CallLater(retry_delay_, [this] {
      retry_timer_ = 0;
      SendQueued();
    });
  }
  UpdateWatch();
}

absl::Status SocketDatagramTransport::SendError(int error_number, std::string_view address) const {
  const SocketAddress to = address.empty() ? extra_info_.peername.value_or(SocketAddress())
                                           : FromRawAddress(reinterpret_cast<const sockaddr*>(address.data()),
                                                            static_cast<socklen_t>(address.size()));
  return ErrnoToStatus(error_number, "sendto", to.ToString());
}

void SocketDatagramTransport::Sent(size_t data_bytes) {
  ++counts_.sent_count;
  counts_.sent_bytes += data_bytes;
  settled_bytes_ += Weight(data_bytes);
}

void SocketDatagramTransport::Dropped(size_t data_bytes) {
  ++counts_.dropped_sent_count;
  counts_.dropped_sent_bytes += data_bytes;
  settled_bytes_ += Weight(data_bytes);
}

void SocketDatagramTransport::TellProgress() {
  if (settled_bytes_ == told_settled_bytes_ || !IsWritable()) return;
  told_settled_bytes_ = settled_bytes_;
  protocol_->WriteProgress(settled_bytes_);
}

void SocketDatagramTransport::QueueError(absl::Status status) {
  if (errors_.size() >= kMaxWaitingErrorCount) return;
  if (errors_.empty()) context_->reactor().CallSoon([this] { DeliverErrors(); });
  errors_.push_back(std::move(status));
}

void SocketDatagramTransport::DeliverErrors() {
  for (const absl::Status& error : std::exchange(errors_, {})) protocol_->ErrorReceived(error);
}

absl::Status SocketDatagramTransport::SetWriteBufferLimits(const WriteBufferLimits& limits) {
  AssertInLoopThread();
  const absl::StatusOr<WriteBufferMarks> marks = ResolveWriteBufferLimits(limits);
  if (!marks.ok()) return marks.status();
  if (watermarks_.SetMarks(*marks, queue_bytes_) && IsWritable()) protocol_->PauseWriting();
  return absl::OkStatus();
}

WriteBufferMarks SocketDatagramTransport::GetWriteBufferLimits() const { return watermarks_.marks(); }

size_t SocketDatagramTransport::GetWriteBufferSize() const { return queue_bytes_; }

// The end.

void SocketDatagramTransport::Close() {
  AssertInLoopThread();
  if (IsClosing()) return;
  DropHeld();
  if (queue_.empty()) {
    FinishClose();
  } else {
    SetState(State::kClosing);
  }
}

void SocketDatagramTransport::FinishClose() { Finish(EndCause::kLocalClose, absl::OkStatus()); }

void SocketDatagramTransport::Abort() { Fail(EndCause::kLocalAbort, absl::OkStatus()); }

void SocketDatagramTransport::Fail(EndCause cause, absl::Status status) {
  AssertInLoopThread();
  if (IsWritable()) Finish(cause, std::move(status));
}

void SocketDatagramTransport::DropHeld() {
  counts_.dropped_received_count += held_.size();
  held_.clear();
}

void SocketDatagramTransport::Finish(EndCause cause, absl::Status status) {
  DropHeld();
  for (const Queued& queued : queue_) Dropped(queued.data_bytes());
  queue_.clear();
  queue_bytes_ = 0;
  end_cause_ = cause;
  end_status_ = std::move(status);
  SetState(State::kEnding);
  context_->reactor().CallSoon([this] { CallConnectionLost(); });
}

void SocketDatagramTransport::CallConnectionLost() {
  const DatagramEnd end{.cause = end_cause_, .status = std::move(end_status_), .counts = GetCounts()};
  const std::shared_ptr<DatagramProtocol> protocol = std::move(protocol_);
  counts_ = end.counts;
  context_->reactor().DeferredDelete(context_->transports().Remove(this));
  SetState(State::kLost);
  protocol->ConnectionLost(end);
}

void SocketDatagramTransport::OnLoopDestroyed() {
  // Moved out, because its destructor may call back.
  const std::shared_ptr<DatagramProtocol> protocol = std::move(protocol_);
  counts_ = GetCounts();
  queue_.clear();
  queue_bytes_ = 0;
  held_.clear();
  errors_.clear();
  SetState(State::kLost);
}

void SocketDatagramTransport::SetState(State state) {
  state_ = state;
  if (IsWritable()) return UpdateWatch();
  watches_readable_ = watches_writable_ = false;
  if (watch_ != 0) context_->reactor().RemoveWatch(std::exchange(watch_, 0));
  if (retry_timer_ != 0) context_->reactor().CancelTimer(std::exchange(retry_timer_, 0));
  if (state == State::kLost) {
    socket_.reset();
    context_ = nullptr;
  }
}

void SocketDatagramTransport::UpdateWatch() {
  if (watch_ == 0) return;
  const bool readable = can_read_ && IsReading() && held_.empty();
  const bool writable = IsWritable() && !queue_.empty() && !waits_by_time_;
  if (readable == watches_readable_ && writable == watches_writable_) return;
  watches_readable_ = readable;
  watches_writable_ = writable;
  context_->reactor().SetWatch(watch_, readable, writable);
}

// What is asked.

bool SocketDatagramTransport::IsClosing() const { return state_ != State::kOpening && state_ != State::kOpen; }

const std::optional<SocketAddress>& SocketDatagramTransport::RemoteAddress() const { return remote_; }

const ExtraInfo& SocketDatagramTransport::GetExtraInfo() const { return extra_info_; }

void SocketDatagramTransport::SetProtocol(std::shared_ptr<DatagramProtocol> protocol) {
  AssertInLoopThread();
  CHECK(protocol != nullptr);
  if (state_ == State::kLost) return;
  // The old one may be what called this.
  context_->reactor().DeferredDelete(std::exchange(protocol_, std::move(protocol)));
}

std::shared_ptr<DatagramProtocol> SocketDatagramTransport::GetProtocol() const { return protocol_; }

DatagramCounts SocketDatagramTransport::GetCounts() const {
  DatagramCounts counts = counts_;
  if (socket_) counts.dropped_received_count += socket_->DroppedCount();
  return counts;
}

void SocketDatagramTransport::Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) {
  AssertInLoopThread();
  done(socket_ ? GetSocketOption(socket_->fd(), option) : absl::StatusOr<int>(TransportLost()));
}

void SocketDatagramTransport::Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) {
  AssertInLoopThread();
  done(socket_ ? SetSocketOption(socket_->fd(), option, value) : TransportLost());
}

void SocketDatagramTransport::JoinGroup(const MulticastGroup& group, absl::AnyInvocable<void(absl::Status)> done) {
  AssertInLoopThread();
  done(socket_ ? transportd::JoinGroup(socket_->fd(), socket_->family(), group) : TransportLost());
}

void SocketDatagramTransport::LeaveGroup(const MulticastGroup& group, absl::AnyInvocable<void(absl::Status)> done) {
  AssertInLoopThread();
  done(socket_ ? transportd::LeaveGroup(socket_->fd(), socket_->family(), group) : TransportLost());
}

void SocketDatagramTransport::AssertInLoopThread() const {
  if (context_ != nullptr) context_->reactor().AssertInLoopThread();
}

}  // namespace transportd
