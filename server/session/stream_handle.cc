#include "server/session/stream_handle.h"

#include <algorithm>
#include <utility>

#include "server/session/convert.h"
#include "server/session/session.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {

namespace {

// What one read may take. A read that fills its buffer is followed by a larger one: few large frames for bulk, small
// blocks for the rest.
constexpr size_t kSmallestReadBytes = 4 * 1024;
constexpr size_t kLargestReadBytes = 256 * 1024;

}  // namespace

StreamHandle::StreamHandle(std::shared_ptr<Session> session, Origin origin)
    : FlowHandle(kKind, std::move(session), origin.server_id),
      request_id_(origin.request_id),
      subprocess_id_(origin.subprocess_id),
      close_on_eof_(origin.close_on_eof),
      read_bytes_(kSmallestReadBytes) {
  SetPlace(std::move(origin.place));
  SetGate(std::move(origin.gate));
  AddSettings(origin.settings);
}

StreamHandle::~StreamHandle() = default;

void StreamHandle::ConnectionMade(std::shared_ptr<Transport> transport) {
  if (Take(std::move(transport))) {
    Announce();
  } else {
    transport_->Abort(/*reset=*/true);
  }
}

bool StreamHandle::Take(std::shared_ptr<Transport> transport) {
  transport_ = std::move(transport);
  return session()->Adopt(std::static_pointer_cast<StreamHandle>(transport_->GetProtocol()));
}

void StreamHandle::Announce() {
  v1::Callback callback;
  callback.set_transport_id(id());
  v1::ConnectionMade& made = *callback.mutable_connection_made();
  made.set_request_id(request_id_);
  made.set_server_id(server_id());
  made.set_subprocess_id(subprocess_id_);
  ToProto(transport_->GetExtraInfo(), *made.mutable_extra_info());
  session()->Emit(callback);
  UpdateReading();
}

void StreamHandle::ConnectionLost(const ConnectionEnd& end) {
  CountSent(end.sent_bytes);  // What sendfile has sent, too.
  Leave([&](Session& session) { session.EmitConnectionLost(id(), end); });
}

void StreamHandle::PauseWriting() {
  if (!announced()) return;
  v1::Callback callback;
  callback.set_transport_id(id());
  callback.mutable_pause_writing();
  session()->Emit(callback);
}

void StreamHandle::ResumeWriting() {
  if (!announced()) return;
  v1::Callback callback;
  callback.set_transport_id(id());
  callback.mutable_resume_writing();
  session()->Emit(callback);
}

void StreamHandle::BytesSent(uint64_t sent_bytes) {
  SetSentBytes(sent_bytes);
  CountSent(transport_->SentBytes());
}

bool StreamHandle::IsQuiet() const { return read_bytes_ == kSmallestReadBytes && window().WeightBytes() == 0; }

std::span<char> StreamHandle::GetBuffer(size_t /*size_hint_bytes*/) {
  // Reading is paused while the window's room is not worth a read; the session's is noticed here.
  if (!SessionMayReceive()) {
    UpdateReading();
    return {};
  }
  offered_bytes_ = std::min<uint64_t>(read_bytes_, window().RoomBytes());
  return session()->outbox().BeginDataReceived(id(), offered_bytes_);
}

void StreamHandle::BufferUpdated(size_t size_bytes) {
  if (size_bytes == read_bytes_) {
    read_bytes_ = std::min(4 * read_bytes_, kLargestReadBytes);
  } else if (size_bytes < read_bytes_ / 4 && offered_bytes_ == read_bytes_) {
    read_bytes_ = std::max(read_bytes_ / 2, kSmallestReadBytes);
  }
  session()->outbox().EndDataReceived(id(), size_bytes);
  DataSent(size_bytes);
}

bool StreamHandle::EofReceived() {
  if (!announced()) return false;
  v1::Callback callback;
  callback.set_transport_id(id());
  callback.mutable_eof_received();
  session()->Emit(callback);
  return !close_on_eof_;
}

absl::Status StreamHandle::Write(std::string_view data) {
  absl::Status status = transport_->Write(data);
  Wrote();
  return status;
}

absl::Status StreamHandle::Writelines(std::span<const std::string_view> lines) {
  absl::Status status = transport_->Writelines(lines);
  Wrote();
  return status;
}

absl::Status StreamHandle::WriteEof() {
  if (!CanWrite()) return WrongKind();
  if (!transport_->CanWriteEof()) {
    return MakeError(absl::StatusCode::kUnimplemented, "WRONG_KIND",
                     StrCat(id(), " has TLS or is a terminal, and cannot end one direction alone"));
  }
  transport_->WriteEof();
  return absl::OkStatus();
}

absl::Status StreamHandle::SetPausedByClient(bool paused) {
  return CanRead() ? FlowHandle::SetPausedByClient(paused) : WrongKind();
}

bool StreamHandle::CanRead() const {
  const ExtraInfo& extra_info = transport_->GetExtraInfo();
  return !extra_info.pipe || extra_info.pipe->can_read;
}

bool StreamHandle::CanWrite() const {
  const ExtraInfo& extra_info = transport_->GetExtraInfo();
  return !extra_info.pipe || extra_info.pipe->can_write;
}

bool StreamHandle::IsStillAllowed() const {
  if (gate() == nullptr) return true;
  const ExtraInfo& extra_info = transport_->GetExtraInfo();
  return gate()->StillAllows(extra_info.sockname ? &*extra_info.sockname : nullptr,
                             extra_info.peername ? &*extra_info.peername : nullptr, server_id() != 0);
}

void StreamHandle::End() { transport_->Abort(); }

absl::Status StreamHandle::Close() {
  transport_->Close();
  return absl::OkStatus();
}

absl::Status StreamHandle::Abort(bool reset) {
  transport_->Abort(reset);
  return absl::OkStatus();
}

absl::Status StreamHandle::SetWriteBufferLimits(const WriteBufferLimits& limits) {
  return transport_->SetWriteBufferLimits(limits);
}

absl::StatusOr<WriteBufferMarks> StreamHandle::GetWriteBufferLimits() const {
  return transport_->GetWriteBufferLimits();
}

absl::Status StreamHandle::GetState(v1::GetStateResponse& state) const {
  state.set_is_closing(transport_->IsClosing());
  state.set_is_reading(CanRead() && !transport_->IsClosing() && !paused_by_client());
  state.set_can_write_eof(transport_->CanWriteEof());
  state.set_write_buffer_size_bytes(transport_->GetWriteBufferSize());
  ToProto(transport_->GetWriteBufferLimits(), *state.mutable_write_buffer_limits());
  ToProto(transport_->GetExtraInfo(), *state.mutable_extra_info());
  state.set_received_bytes(transport_->ReceivedBytes());
  state.set_sent_bytes(transport_->SentBytes());
  return absl::OkStatus();
}

void StreamHandle::Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) {
  transport_->Getsockopt(option, std::move(done));
}

void StreamHandle::Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) {
  transport_->Setsockopt(option, value, std::move(done));
}

void StreamHandle::Describe(v1::TransportInfo& info) const {
  info.set_kind(v1::TRANSPORT_KIND_STREAM);
  v1::ExtraInfo extra_info;
  ToProto(transport_->GetExtraInfo(), extra_info);
  info.mutable_sockname()->Swap(extra_info.mutable_sockname());
  info.mutable_peername()->Swap(extra_info.mutable_peername());
  if (extra_info.has_pipe()) info.mutable_pipe()->Swap(extra_info.mutable_pipe());
  info.set_subprocess_id(subprocess_id_);
  info.set_received_bytes(transport_->ReceivedBytes());
  info.set_sent_bytes(transport_->SentBytes());
  info.set_unacknowledged_bytes(window().WeightBytes());
  info.set_write_buffer_size_bytes(transport_->GetWriteBufferSize());
  info.set_reading_paused(CanRead() && !reading());
  if (info.reading_paused()) info.set_reading_pause(WhyPaused());
  info.set_is_closing(transport_->IsClosing());
}

}  // namespace transportd
