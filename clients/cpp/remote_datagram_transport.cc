#include "clients/cpp/remote_datagram_transport.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "clients/cpp/convert.h"
#include "clients/cpp/remote_socket_option.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"
#include "transports/base/transport_lost.h"

namespace transportd {
namespace {

// As ErrorReceived promises.
constexpr size_t kMaxWaitingErrorCount = 64;

uint64_t Weight(size_t data_bytes) { return data_bytes + kDatagramHeaderBytes; }

absl::Status InvalidAddress(std::string_view message) { return InvalidArgument("INVALID_ADDRESS", "address", message); }

bool IsInternet(AddressFamily family) { return family == AddressFamily::kInet || family == AddressFamily::kInet6; }

}  // namespace

RemoteDatagramTransport::RemoteDatagramTransport(RemoteSession& session, uint32_t id,
                                                 std::shared_ptr<DatagramProtocol> protocol, Options options)
    : RemoteFlow(session, id),
      extra_info_(std::move(options.extra_info)),
      remote_(std::move(options.remote)),
      protocol_(std::move(protocol)),
      watermarks_(options.write_buffer_marks) {
  CHECK(protocol_ != nullptr);
}

RemoteDatagramTransport::~RemoteDatagramTransport() { CHECK(state_ == State::kLost); }

void RemoteDatagramTransport::Start() { protocol_->ConnectionMade(Self()); }

void RemoteDatagramTransport::Release() {
  held_ = false;
  DeliverHeld();
}

void RemoteDatagramTransport::SetProtocol(std::shared_ptr<DatagramProtocol> protocol) {
  AssertInLoopThread();
  CHECK(protocol != nullptr);
  if (state_ == State::kLost) return;
  // The old one may be what called this.
  session()->reactor().DeferredDelete(std::exchange(protocol_, std::move(protocol)));
}

bool RemoteDatagramTransport::OnCallback(const v1::Callback& callback) {
  switch (callback.callback_case()) {
    case v1::Callback::kDatagramReceived: {
      const v1::Datagram& datagram = callback.datagram_received();
      if (!datagram.has_address()) return OnDatagramReceived(datagram.data(), std::nullopt);
      return OnDatagramReceived(datagram.data(), datagram.address().SerializeAsString());
    }
    case v1::Callback::kErrorReceived:
      OnErrorReceived(remote::ToStatus(callback.error_received().error()));
      return true;
    case v1::Callback::kConnectionLost:
      return OnConnectionLost(remote::DatagramEndFromProto(callback.connection_lost()));
    default:
      // The watermarks are kept here, so what the service says of its own is of no interest.
      return true;
  }
}

// --- Receiving

bool RemoteDatagramTransport::OnDataReceived(std::string_view /*data*/, bool /*is_last*/) { return false; }

bool RemoteDatagramTransport::OnDatagramReceived(std::string_view data, std::optional<std::string_view> address) {
  if (!address.has_value()) {
    sender_.reset();
  } else if (!sender_.has_value() || *address != sender_bytes_) {
    v1::SocketAddress message;
    if (!message.ParseFromArray(address->data(), static_cast<int>(address->size()))) return false;
    sender_ = remote::FromProto(message);
    sender_bytes_ = *address;
  }
  if (state_ != State::kOpen || held_end_.has_value()) {
    AddConsumed(data.size(), 1);
  } else if (CanDeliver() && held_data_.empty()) {
    Deliver(data, sender_);
    if (state_ != State::kLost) AddConsumed(data.size(), 1);
  } else {
    held_data_.push_back({.data = std::string(data), .address = sender_});
  }
  return true;
}

void RemoteDatagramTransport::Deliver(std::string_view data, const std::optional<SocketAddress>& address) {
  ++counts_.received_count;
  counts_.received_bytes += data.size();
  protocol_->DatagramReceived(data, address.has_value() ? &*address : nullptr);
}

void RemoteDatagramTransport::OnErrorReceived(absl::Status status) {
  if (!IsWritable()) return;
  if (held_) {
    if (held_errors_.size() < kMaxWaitingErrorCount) held_errors_.push_back(std::move(status));
    return;
  }
  protocol_->ErrorReceived(status);
}

void RemoteDatagramTransport::DeliverHeld() {
  if (state_ == State::kLost) return;
  if (!held_) {
    for (const absl::Status& error : std::exchange(held_errors_, {})) {
      if (IsWritable()) protocol_->ErrorReceived(error);
    }
  }
  while (CanDeliver() && !held_data_.empty()) {
    // Out of the queue, which Close and Abort empty.
    const Held held = std::move(held_data_.front());
    held_data_.pop_front();
    Deliver(held.data, held.address);
    if (!held.is_acknowledged && state_ != State::kLost) AddConsumed(held.data.size(), 1);
  }
  const bool can_end = !held_ && (state_ != State::kOpen || held_data_.empty());
  if (held_end_.has_value() && can_end) return CallConnectionLost(*std::exchange(held_end_, std::nullopt));
  SyncReadingSoon();
}

void RemoteDatagramTransport::DeliverHeldSoon() {
  if (std::exchange(delivery_is_due_, true)) return;
  session()->reactor().CallSoon([self = Self()] {
    self->delivery_is_due_ = false;
    self->DeliverHeld();
  });
}

void RemoteDatagramTransport::DropHeld() {
  AcknowledgeHeld();
  held_data_.clear();
}

void RemoteDatagramTransport::AcknowledgeHeld() {
  for (Held& held : held_data_) {
    if (!std::exchange(held.is_acknowledged, true)) AddConsumed(held.data.size(), 1);
  }
}

void RemoteDatagramTransport::PauseReading() {
  AssertInLoopThread();
  if (!IsReading()) return;
  paused_reading_ = true;
  SyncReadingSoon();
}

void RemoteDatagramTransport::ResumeReading() {
  AssertInLoopThread();
  if (state_ != State::kOpen || !paused_reading_) return;
  paused_reading_ = false;
  if (!held_data_.empty() || held_end_.has_value()) DeliverHeldSoon();
  SyncReadingSoon();
}

// --- Sending

absl::Status RemoteDatagramTransport::SendMany(std::span<const OutgoingDatagram> datagrams) {
  absl::Status first;
  for (const auto& [data, address] : datagrams) first.Update(SendTo(data, address));
  return first;
}

absl::Status RemoteDatagramTransport::SendTo(std::string_view data, const SocketAddress* address) {
  AssertInLoopThread();
  if (remote_ && address != nullptr && *address != *remote_) {
    return InvalidAddress(StrCat("must be none or ", remote_->ToString()));
  }
  if (!IsWritable() || held_end_.has_value()) {
    DropSent(data.size());
    return absl::OkStatus();
  }
  const AddressFamily family = extra_info_.sockname ? extra_info_.sockname->family : AddressFamily::kUnspecified;
  if (!remote_ && (address == nullptr || address->family == AddressFamily::kUnspecified ||
                   (family != AddressFamily::kUnspecified && IsInternet(address->family) != IsInternet(family)))) {
    DropSent(data.size());
    FailForAddress(address);
    return absl::OkStatus();
  }
  std::optional<std::string_view> address_bytes;
  if (!remote_) {
    if (absl::Status status = Serialize(*address); !status.ok()) {
      DropSent(data.size());
      QueueError(std::move(status));
      return absl::OkStatus();
    }
    address_bytes = destination_bytes_;
  }
  if (data.size() + destination_bytes_.size() > session()->max_datagram_bytes()) {
    DropSent(data.size());
    QueueError(ErrnoToStatus(EMSGSIZE, "sendto", address == nullptr ? "" : address->ToString()));
    return absl::OkStatus();
  }

  accepted_bytes_ += Weight(data.size());
  if (pending_.empty() && MayIssue(data.size()) && session()->HasCreditFor(Weight(data.size()))) {
    Issue(data, address_bytes);
  } else {
    Pending& pending = pending_.emplace_back(Pending{.data = std::string(data), .address = {}});
    if (address_bytes.has_value()) pending.address = std::string(*address_bytes);
    Pump();  // Nothing can be sent, but somebody must wake it.
  }
  if (watermarks_.Grew(GetWriteBufferSize())) PauseProtocol();
  return absl::OkStatus();
}

absl::Status RemoteDatagramTransport::Serialize(const SocketAddress& address) {
  if (!destination_bytes_.empty() && destination_ == address) return absl::OkStatus();
  v1::SocketAddress message;
  if (absl::Status status = remote::ToProto(address, message); !status.ok()) return status;
  destination_ = address;
  destination_bytes_ = message.SerializeAsString();
  return absl::OkStatus();
}

bool RemoteDatagramTransport::MayIssue(size_t data_bytes) const {
  // One may always be on its way, however long: it cannot go in pieces.
  const uint64_t in_flight_bytes = issued_bytes_ - settled_bytes_;
  return in_flight_bytes == 0 || in_flight_bytes + Weight(data_bytes) <= session()->limits().send_window_bytes;
}

void RemoteDatagramTransport::Issue(std::string_view data, std::optional<std::string_view> address) {
  session()->SendTo(id(), data, address, Weight(data.size()));
  issued_bytes_ += Weight(data.size());
  issued_.push_back(data.size());
}

void RemoteDatagramTransport::Pump() {
  if (!IsWritable()) return;
  while (!pending_.empty()) {
    const Pending& next = pending_.front();
    if (!MayIssue(next.data.size())) return;  // The next write_progress comes back here.
    if (!session()->HasCreditFor(Weight(next.data.size()))) {
      WaitForCredit();
      return;
    }
    Issue(next.data, next.address ? std::optional<std::string_view>(*next.address) : std::nullopt);
    pending_.pop_front();
  }
  if (close_ == CloseState::kDue) SendClose();
}

bool RemoteDatagramTransport::OnWriteProgress(uint64_t settled_bytes) {
  if (settled_bytes > issued_bytes_) return false;
  if (settled_bytes <= settled_bytes_) return true;
  const uint64_t newly_bytes = settled_bytes - std::exchange(settled_bytes_, settled_bytes);
  for (uint64_t left_bytes = newly_bytes; left_bytes > 0 && !issued_.empty();) {
    if (Weight(issued_.front()) > left_bytes) return false;  // Not whole datagrams.
    left_bytes -= Weight(issued_.front());
    ++counts_.sent_count;
    counts_.sent_bytes += issued_.front();
    issued_.pop_front();
  }
  session()->Written(newly_bytes);
  if (!IsWritable()) return true;
  Pump();
  protocol_->WriteProgress(settled_bytes_);
  if (IsWritable() && watermarks_.Shrank(GetWriteBufferSize())) ResumeProtocol();
  if (state_ == State::kClosing && close_ == CloseState::kSent && settled_bytes_ == accepted_bytes_) {
    EnterEnding(EndCause::kLocalClose, absl::OkStatus());
  }
  return true;
}

void RemoteDatagramTransport::DropSent(size_t data_bytes) {
  ++counts_.dropped_sent_count;
  counts_.dropped_sent_bytes += data_bytes;
}

void RemoteDatagramTransport::QueueError(absl::Status status) {
  if (queued_error_count_ == kMaxWaitingErrorCount) return;
  ++queued_error_count_;
  session()->reactor().CallSoon([self = Self(), status = std::move(status)] {
    --self->queued_error_count_;
    self->OnErrorReceived(status);
  });
}

void RemoteDatagramTransport::FailForAddress(const SocketAddress* address) {
  const absl::Status status =
      InvalidAddress(address == nullptr ? "the endpoint has no remote address: sendto needs one"
                                        : StrCat(address->ToString(), " is of another kind of socket"));
  SendAbort();
  EnterEnding(EndCause::kLocalAbort, status);
  session()->observer().ReportException({.message = "Fatal write error on datagram transport",
                                         .status = status,
                                         .server = nullptr,
                                         .datagram_transport = this});
}

void RemoteDatagramTransport::PauseProtocol() {
  paused_writer_.Set(*session(), true);
  protocol_->PauseWriting();
}

void RemoteDatagramTransport::ResumeProtocol() {
  paused_writer_.Set(*session(), false);
  protocol_->ResumeWriting();
}

size_t RemoteDatagramTransport::GetWriteBufferSize() const {
  return IsWritable() ? accepted_bytes_ - settled_bytes_ : 0;
}

absl::Status RemoteDatagramTransport::SetWriteBufferLimits(const WriteBufferLimits& limits) {
  AssertInLoopThread();
  const absl::StatusOr<WriteBufferMarks> marks = ResolveWriteBufferLimits(limits);
  if (!marks.ok()) return marks.status();
  if (watermarks_.SetMarks(*marks, GetWriteBufferSize()) && IsWritable()) PauseProtocol();
  return absl::OkStatus();
}

// --- Ending

void RemoteDatagramTransport::Close() {
  AssertInLoopThread();
  if (IsClosing()) return;
  if (settled_bytes_ == accepted_bytes_) {
    SendClose();
    EnterEnding(EndCause::kLocalClose, absl::OkStatus());
    return;
  }
  state_ = State::kClosing;
  DropHeld();
  close_ = CloseState::kAsked;
  // Not before the end of the turn, so that what is sent after this call goes first.
  session()->reactor().AtTurnEnd([self = Self()] {
    if (self->state_ != State::kClosing) return;
    self->close_ = CloseState::kDue;
    self->Pump();
  });
}

void RemoteDatagramTransport::SendClose() {
  close_ = CloseState::kSent;
  if (held_end_.has_value()) return;
  v1::Command command;
  command.mutable_close()->set_transport_id(id());
  session()->Send(command);
}

void RemoteDatagramTransport::Abort() {
  AssertInLoopThread();
  if (!IsWritable()) return;
  SendAbort();
  EnterEnding(EndCause::kLocalAbort, absl::OkStatus());
}

void RemoteDatagramTransport::SendAbort() {
  if (!held_end_.has_value()) session()->RefuseTransport(id(), /*reset=*/false);
}

void RemoteDatagramTransport::EnterEnding(std::optional<EndCause> cause, absl::Status status) {
  state_ = State::kEnding;
  ending_cause_ = cause;
  ending_status_ = std::move(status);
  for (const Pending& pending : pending_) DropSent(pending.data.size());
  pending_.clear();
  DropHeld();
  if (held_end_.has_value()) DeliverHeldSoon();
}

bool RemoteDatagramTransport::OnConnectionLost(DatagramEnd end) {
  if (held_end_.has_value()) return true;
  if (held_ || (state_ == State::kOpen && !paused_reading_ && !held_data_.empty())) {
    held_end_ = std::move(end);
  } else {
    CallConnectionLost(std::move(end));
  }
  return true;
}

void RemoteDatagramTransport::OnSessionLost(const absl::Status& status) {
  if (state_ == State::kLost) return;
  ending_cause_.reset();
  // As far as is known here: what is settled was sent or refused.
  DatagramEnd end{.cause = EndCause::kSessionLost, .status = status, .counts = {}};
  end.counts.received_count = counts_.received_count;
  end.counts.sent_count = counts_.sent_count;
  end.counts.sent_bytes = counts_.sent_bytes;
  for (const size_t data_bytes : issued_) DropSent(data_bytes);
  CallConnectionLost(std::move(end));
}

void RemoteDatagramTransport::CallConnectionLost(DatagramEnd end) {
  if (ending_cause_.has_value()) {
    end.cause = *ending_cause_;
    end.status = ending_status_;
  }
  for (const Pending& pending : pending_) DropSent(pending.data.size());
  pending_.clear();
  // What the service has given to this side, and this side not to the protocol.
  end.counts.dropped_received_count +=
      end.counts.received_count - std::min(end.counts.received_count, counts_.received_count);
  end.counts.received_count = counts_.received_count;
  end.counts.received_bytes = counts_.received_bytes;
  end.counts.dropped_sent_count += counts_.dropped_sent_count;
  end.counts.dropped_sent_bytes += counts_.dropped_sent_bytes;
  counts_ = end.counts;
  const std::shared_ptr<DatagramProtocol> protocol = std::move(protocol_);
  Reactor& reactor = session()->reactor();
  reactor.DeferredDelete(Detach());
  protocol->ConnectionLost(end);
}

std::shared_ptr<RemoteHandle> RemoteDatagramTransport::Detach() {
  RemoteSession* const session = LeaveSession();
  state_ = State::kLost;
  held_data_.clear();
  held_errors_.clear();
  held_end_.reset();
  issued_.clear();
  std::shared_ptr<RemoteHandle> self = session->RemoveTransport(id());
  paused_writer_.Set(*session, false);
  session->Written(issued_bytes_ - settled_bytes_);
  return self;
}

void RemoteDatagramTransport::OnLoopDestroyed() {
  // Moved out, because its destructor may call back.
  const std::shared_ptr<DatagramProtocol> protocol = std::move(protocol_);
  LeaveSession();
  state_ = State::kLost;
  held_data_.clear();
  held_errors_.clear();
  held_end_.reset();
  pending_.clear();
  issued_.clear();
}

// --- What the service is asked

void RemoteDatagramTransport::Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) {
  AssertInLoopThread();
  if (session() == nullptr) return done(TransportLost());
  RequestGetsockopt(*session(), id(), option, std::move(done));
}

void RemoteDatagramTransport::Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) {
  AssertInLoopThread();
  if (session() == nullptr) return done(TransportLost());
  RequestSetsockopt(*session(), id(), option, value, std::move(done));
}

void RemoteDatagramTransport::JoinGroup(const MulticastGroup& group, absl::AnyInvocable<void(absl::Status)> done) {
  v1::Command command;
  command.mutable_join_group()->set_transport_id(id());
  command.mutable_join_group()->set_address(group.address);
  command.mutable_join_group()->set_interface_index(group.interface_index);
  ChangeGroup(std::move(command), std::move(done));
}

void RemoteDatagramTransport::LeaveGroup(const MulticastGroup& group, absl::AnyInvocable<void(absl::Status)> done) {
  v1::Command command;
  command.mutable_leave_group()->set_transport_id(id());
  command.mutable_leave_group()->set_address(group.address);
  command.mutable_leave_group()->set_interface_index(group.interface_index);
  ChangeGroup(std::move(command), std::move(done));
}

void RemoteDatagramTransport::ChangeGroup(v1::Command command, absl::AnyInvocable<void(absl::Status)> done) {
  AssertInLoopThread();
  if (session() == nullptr) return done(TransportLost());
  session()->Request(std::move(command), [done = std::move(done)](const absl::StatusOr<v1::Reply>& reply) mutable {
    done(reply.status());
  });
}

}  // namespace transportd
