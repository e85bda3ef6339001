#include "server/session/datagram_handle.h"

#include <optional>
#include <utility>

#include "server/session/convert.h"
#include "server/session/session.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {

namespace {

// What are more at once than one system call takes, and fewer than fill a socket's buffer.
constexpr size_t kMaxGatheredCount = 256;

}  // namespace

DatagramHandle::DatagramHandle(std::shared_ptr<Session> session, uint32_t request_id, std::shared_ptr<void> place)
    : FlowHandle(kKind, std::move(session), /*server_id=*/0), request_id_(request_id) {
  SetPlace(std::move(place));
}

DatagramHandle::~DatagramHandle() = default;

// --- What the transport tells

void DatagramHandle::ConnectionMade(std::shared_ptr<DatagramTransport> transport) {
  transport_ = std::move(transport);
  if (!session()->Adopt(std::static_pointer_cast<DatagramHandle>(transport_->GetProtocol()))) {
    transport_->Abort();
    return;
  }
  v1::Callback callback;
  callback.set_transport_id(id());
  v1::ConnectionMade& made = *callback.mutable_connection_made();
  made.set_request_id(request_id_);
  ToProto(transport_->GetExtraInfo(), *made.mutable_extra_info());
  if (transport_->RemoteAddress()) ToProto(*transport_->RemoteAddress(), *made.mutable_remote_address());
  session()->Emit(callback);
  UpdateReading();
}

void DatagramHandle::DatagramReceived(std::string_view data, const SocketAddress* address) {
  std::optional<std::string_view> address_bytes;
  if (address != nullptr) {
    if (sender_bytes_.empty() || sender_ != *address) {
      sender_ = *address;
      v1::SocketAddress message;
      ToProto(*address, message);
      sender_bytes_ = message.SerializeAsString();
    }
    address_bytes = sender_bytes_;
  }
  if (!session()->outbox().AppendDatagramReceived(id(), data, address_bytes)) {
    ++dropped_count_;
    return;
  }
  DataSent(data.size());
}

void DatagramHandle::ErrorReceived(const absl::Status& status) {
  if (!announced()) return;
  v1::Callback callback;
  callback.set_transport_id(id());
  *callback.mutable_error_received()->mutable_error() = ErrorProto(status);
  session()->Emit(callback);
}

void DatagramHandle::PauseWriting() {
  if (!announced()) return;
  v1::Callback callback;
  callback.set_transport_id(id());
  callback.mutable_pause_writing();
  session()->Emit(callback);
}

void DatagramHandle::ResumeWriting() {
  if (!announced()) return;
  v1::Callback callback;
  callback.set_transport_id(id());
  callback.mutable_resume_writing();
  session()->Emit(callback);
}

void DatagramHandle::WriteProgress(uint64_t settled_bytes) {
  SetSentBytes(settled_bytes);
  CountSent(transport_->GetCounts().sent_bytes);
}

void DatagramHandle::ConnectionLost(const DatagramEnd& end) {
  const DatagramCounts counts = Counts(end.counts);
  Leave([&](Session& session) {
    session.EmitConnectionLost(id(),
                               {.cause = end.cause,
                                .status = end.status,
                                .received_bytes = counts.received_bytes,
                                .sent_bytes = counts.sent_bytes,
                                .dropped_bytes = counts.dropped_sent_bytes},
                               &counts);
  });
}

DatagramCounts DatagramHandle::Counts(DatagramCounts counts) const {
  counts.received_count -= dropped_count_;
  counts.dropped_received_count += dropped_count_;
  return counts;
}

// --- What the client asks for

absl::Status DatagramHandle::Gather(std::string_view data, const SocketAddress* address) {
  const std::optional<SocketAddress>& remote = transport_->RemoteAddress();
  if (remote && address != nullptr && *address != *remote) {
    return InvalidArgument("INVALID_ADDRESS", "address", StrCat("must be unset or ", remote->ToString()));
  }
  if (gathered_.size() == kMaxGatheredCount) SendGathered();
  const SocketAddress* kept = nullptr;
  if (address != nullptr && !remote) {
    if (gathered_addresses_.empty() || gathered_addresses_.back() != *address) gathered_addresses_.push_back(*address);
    kept = &gathered_addresses_.back();
  }
  gathered_.push_back({.data = data, .address = kept});
  return absl::OkStatus();
}

void DatagramHandle::SendGathered() {
  if (gathered_.empty()) return;
  // Only what Gather has refused already is refused.
  transport_->SendMany(gathered_).IgnoreError();
  gathered_.clear();
  gathered_addresses_.clear();
  Wrote();
}

void DatagramHandle::End() { transport_->Abort(); }

absl::Status DatagramHandle::Close() {
  transport_->Close();
  return absl::OkStatus();
}

absl::Status DatagramHandle::Abort(bool /*reset*/) {
  transport_->Abort();
  return absl::OkStatus();
}

absl::Status DatagramHandle::SetWriteBufferLimits(const WriteBufferLimits& limits) {
  return transport_->SetWriteBufferLimits(limits);
}

absl::StatusOr<WriteBufferMarks> DatagramHandle::GetWriteBufferLimits() const {
  return transport_->GetWriteBufferLimits();
}

absl::Status DatagramHandle::GetState(v1::GetStateResponse& state) const {
  const DatagramCounts counts = Counts(transport_->GetCounts());
  state.set_is_closing(transport_->IsClosing());
  state.set_is_reading(!transport_->IsClosing() && !paused_by_client());
  state.set_write_buffer_size_bytes(transport_->GetWriteBufferSize());
  ToProto(transport_->GetWriteBufferLimits(), *state.mutable_write_buffer_limits());
  ToProto(transport_->GetExtraInfo(), *state.mutable_extra_info());
  state.set_received_bytes(counts.received_bytes);
  state.set_sent_bytes(counts.sent_bytes);
  ToProto(counts, *state.mutable_datagrams());
  return absl::OkStatus();
}

void DatagramHandle::Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) {
  transport_->Getsockopt(option, std::move(done));
}

void DatagramHandle::Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) {
  transport_->Setsockopt(option, value, std::move(done));
}

bool DatagramHandle::IsStillAllowed() const {
  if (gate() == nullptr) return true;
  const std::optional<SocketAddress>& sockname = transport_->GetExtraInfo().sockname;
  const std::optional<SocketAddress>& remote = transport_->RemoteAddress();
  return gate()->StillAllows(sockname ? &*sockname : nullptr, remote ? &*remote : nullptr, /*accepted=*/false);
}

void DatagramHandle::Describe(v1::TransportInfo& info) const {
  const DatagramCounts counts = Counts(transport_->GetCounts());
  info.set_kind(v1::TRANSPORT_KIND_DATAGRAM);
  if (transport_->GetExtraInfo().sockname) ToProto(*transport_->GetExtraInfo().sockname, *info.mutable_sockname());
  if (transport_->RemoteAddress()) ToProto(*transport_->RemoteAddress(), *info.mutable_peername());
  info.set_received_bytes(counts.received_bytes);
  info.set_sent_bytes(counts.sent_bytes);
  info.set_unacknowledged_bytes(window().WeightBytes());
  info.set_write_buffer_size_bytes(transport_->GetWriteBufferSize());
  info.set_reading_paused(!reading());
  info.set_reading_pause(WhyPaused());
  info.set_is_closing(transport_->IsClosing());
  ToProto(counts, *info.mutable_datagrams());
}

}  // namespace transportd
