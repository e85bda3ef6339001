#include "transports/stream/stream_transport.h"

#include <algorithm>
#include <climits>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/socket_option_table.h"

namespace transportd {
namespace {

// Pieces handed to the kernel at once: enough that one sendmsg(2) fills a socket's buffer.
constexpr size_t kMaxPieces = 64;
static_assert(kMaxPieces <= IOV_MAX);

iovec ToIovec(std::string_view data) { return {.iov_base = const_cast<char*>(data.data()), .iov_len = data.size()}; }

absl::Status TransportLost() {
  return MakeError(absl::StatusCode::kFailedPrecondition, "TRANSPORT_LOST", "the connection is lost");
}

}  // namespace

std::shared_ptr<StreamTransport> StreamTransport::Create(LoopContext& context, std::unique_ptr<StreamSocket> socket,
                                                         std::shared_ptr<BaseProtocol> protocol, Options options) {
  // Not make_shared: the constructor is private.
  std::shared_ptr<StreamTransport> transport(
      new StreamTransport(context, std::move(socket), std::move(protocol), std::move(options)));
  context.transports().Add(transport);
  return transport;
}

StreamTransport::StreamTransport(LoopContext& context, std::unique_ptr<StreamSocket> socket,
                                 std::shared_ptr<BaseProtocol> protocol, Options options)
    : context_(&context),
      socket_(std::move(socket)),
      watermarks_(options.write_buffer_marks),
      extra_info_(std::move(options.extra_info)),
      on_lost_(std::move(options.on_lost)) {
  AssertInLoopThread();
  BindProtocol(std::move(protocol));
  watch_ = context_->reactor().AddWatch(socket_->fd(), *this);
}

StreamTransport::~StreamTransport() { CHECK(state_ == State::kLost); }

void StreamTransport::Start(absl::AnyInvocable<void()> on_ready) {
  AssertInLoopThread();
  // The raw pointer holds: what the registry owns lives until CallConnectionLost, which is queued later than this; and
  // a loop that is destroyed destroys its queue uncalled.
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

void StreamTransport::CallConnectionMade() {
  if (state_ == State::kOpening) SetState(State::kOpen);
  protocol_->ConnectionMade(shared_from_this());
}

void StreamTransport::BeginReading() {
  can_read_ = true;
  UpdateWatch();
}

void StreamTransport::OnReadable() {
  if (!watches_readable_) return;
  BufferedProtocol* const buffered_protocol = buffered_protocol_;
  std::span<char> buffer;
  if (buffered_protocol != nullptr) {
    buffer = buffered_protocol->GetBuffer(0);
    if (buffer.empty()) {
      const absl::Status status =
          MakeError(absl::StatusCode::kInternal, "EMPTY_BUFFER", "the protocol's GetBuffer returned an empty buffer");
      Fail(EndCause::kLocalAbort, status);
      context_->ReportException({.message = "Fatal error: protocol.get_buffer() call failed.", .status = status});
      return;
    }
  } else {
    buffer = context_->read_buffer();
  }

  IoResult result = socket_->DoRead(buffer);
  switch (result.kind) {
    case IoResult::Kind::kWouldBlock:
      return;
    case IoResult::Kind::kBytes:
      received_bytes_ += result.size_bytes;
      if (buffered_protocol != nullptr) {
        buffered_protocol->BufferUpdated(result.size_bytes);
      } else {
        plain_protocol_->DataReceived({buffer.data(), result.size_bytes});
      }
      return;
    case IoResult::Kind::kEof:
      OnEof();
      return;
    case IoResult::Kind::kFailed:
      Fail(result.cause, std::move(result.status));
      return;
  }
}

void StreamTransport::OnEof() {
  received_eof_ = true;
  // A descriptor at its end stays readable for ever.
  UpdateWatch();
  const bool keeps_open =
      buffered_protocol_ != nullptr ? buffered_protocol_->EofReceived() : plain_protocol_->EofReceived();
  if (!keeps_open) Close();
}

void StreamTransport::OnWritable() {
  if (!watches_writable_) return;
  iovec pieces[kMaxPieces];
  const size_t count = write_buffer_.Peek(pieces);
  IoResult result = socket_->DoWrite({pieces, count});
  if (result.kind == IoResult::Kind::kFailed) {
    Fail(result.cause, std::move(result.status));
    return;
  }
  if (result.kind != IoResult::Kind::kBytes) return;

  write_buffer_.Consume(result.size_bytes);
  sent_bytes_ += result.size_bytes;
  protocol_->BytesSent(sent_bytes_);
  if (IsWritable() && watermarks_.Shrank(write_buffer_.size())) protocol_->ResumeWriting();
  if (IsWritable() && write_buffer_.empty()) OnFlushed();
}

void StreamTransport::OnFlushed() {
  if (state_ == State::kClosing) {
    FinishClose();
    return;
  }
  UpdateWatch();
  if (write_eof_ == WriteEofState::kAsked) SendEof();
}

void StreamTransport::FinishClose() {
  Finish(received_eof_ ? EndCause::kEof : EndCause::kLocalClose, absl::OkStatus());
}

absl::Status StreamTransport::Write(std::string_view data) { return Writelines({&data, 1}); }

absl::Status StreamTransport::Writelines(std::span<const std::string_view> lines) {
  AssertInLoopThread();
  if (write_eof_ != WriteEofState::kNone) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "WRITE_AFTER_EOF", "write after write_eof");
  }
  size_t size_bytes = 0;
  for (const std::string_view line : lines) size_bytes += line.size();
  if (size_bytes == 0) return absl::OkStatus();
  if (!IsWritable()) {
    dropped_bytes_ += size_bytes;
    return absl::OkStatus();
  }
  WriteNow(lines, size_bytes);
  return absl::OkStatus();
}

void StreamTransport::WriteNow(std::span<const std::string_view> lines, size_t size_bytes) {
  size_t sent = 0;
  if (write_buffer_.empty()) {
    iovec pieces[kMaxPieces];
    size_t count = 0;
    for (size_t i = 0; i < lines.size() && count < kMaxPieces; ++i) {
      if (!lines[i].empty()) pieces[count++] = ToIovec(lines[i]);
    }
    IoResult result = socket_->DoWrite({pieces, count});
    if (result.kind == IoResult::Kind::kFailed) {
      dropped_bytes_ += size_bytes;
      Fail(result.cause, std::move(result.status));
      return;
    }
    sent = result.size_bytes;
  }

  if (sent < size_bytes) {
    size_t skipped = sent;
    for (const std::string_view line : lines) {
      const size_t skip = std::min(skipped, line.size());
      skipped -= skip;
      write_buffer_.Append(line.substr(skip));
    }
    UpdateWatch();
  }
  // Only now, because the protocol may write again inside.
  if (sent > 0) {
    sent_bytes_ += sent;
    protocol_->BytesSent(sent_bytes_);
  }
  if (IsWritable() && watermarks_.Grew(write_buffer_.size())) protocol_->PauseWriting();
}

void StreamTransport::WriteEof() {
  AssertInLoopThread();
  if (IsClosing() || write_eof_ != WriteEofState::kNone || !socket_->CanWriteEof()) return;
  write_eof_ = WriteEofState::kAsked;
  if (write_buffer_.empty()) SendEof();
}

void StreamTransport::SendEof() {
  write_eof_ = WriteEofState::kSent;
  IoResult result = socket_->ShutdownWrite();
  if (result.kind == IoResult::Kind::kFailed) Fail(result.cause, std::move(result.status));
}

bool StreamTransport::CanWriteEof() const { return socket_ == nullptr || socket_->CanWriteEof(); }

void StreamTransport::Close() {
  AssertInLoopThread();
  if (IsClosing()) return;
  if (write_buffer_.empty()) {
    FinishClose();
  } else {
    SetState(State::kClosing);
  }
}

void StreamTransport::Abort(bool reset) {
  AssertInLoopThread();
  if (!IsWritable()) return;
  if (reset) socket_->ResetOnClose();
  Finish(EndCause::kLocalAbort, absl::OkStatus());
}

void StreamTransport::Fail(EndCause cause, absl::Status status) {
  AssertInLoopThread();
  if (IsWritable()) Finish(cause, std::move(status));
}

void StreamTransport::Finish(EndCause cause, absl::Status status) {
  dropped_bytes_ += write_buffer_.size();
  write_buffer_.Clear();
  end_cause_ = cause;
  end_status_ = std::move(status);
  SetState(State::kEnding);
  // The raw pointer holds as in Start.
  context_->reactor().CallSoon([this] { CallConnectionLost(); });
}

void StreamTransport::CallConnectionLost() {
  const ConnectionEnd end{.cause = end_cause_,
                          .status = std::move(end_status_),
                          .received_bytes = received_bytes_,
                          .sent_bytes = sent_bytes_,
                          .dropped_bytes = dropped_bytes_};
  const std::shared_ptr<BaseProtocol> protocol = std::move(protocol_);
  auto on_lost = std::move(on_lost_);
  context_->reactor().DeferredDelete(context_->transports().Remove(this));
  SetState(State::kLost);
  protocol->ConnectionLost(end);
  if (on_lost) on_lost(*this);
}

void StreamTransport::OnLoopDestroyed() {
  // Moved out, because its destructor may call back.
  const std::shared_ptr<BaseProtocol> protocol = std::move(protocol_);
  const auto on_lost = std::move(on_lost_);
  write_buffer_.Clear();
  SetState(State::kLost);
}

void StreamTransport::SetState(State state) {
  state_ = state;
  if (state == State::kEnding || state == State::kLost) {
    watches_readable_ = watches_writable_ = false;
    if (watch_ != 0) context_->reactor().RemoveWatch(std::exchange(watch_, 0));
  }
  if (state == State::kLost) {
    socket_.reset();
    plain_protocol_ = nullptr;
    buffered_protocol_ = nullptr;
    context_ = nullptr;
  }
  UpdateWatch();
}

void StreamTransport::UpdateWatch() {
  if (watch_ == 0) return;
  const bool readable = can_read_ && IsReading() && !received_eof_;
  const bool writable = IsWritable() && !write_buffer_.empty();
  if (readable == watches_readable_ && writable == watches_writable_) return;
  watches_readable_ = readable;
  watches_writable_ = writable;
  context_->reactor().SetWatch(watch_, readable, writable);
}

bool StreamTransport::IsClosing() const { return state_ != State::kOpening && state_ != State::kOpen; }

bool StreamTransport::IsReading() const { return !IsClosing() && !paused_reading_; }

void StreamTransport::PauseReading() {
  AssertInLoopThread();
  if (!IsReading()) return;
  paused_reading_ = true;
  UpdateWatch();
}

void StreamTransport::ResumeReading() {
  AssertInLoopThread();
  if (IsClosing() || !paused_reading_) return;
  paused_reading_ = false;
  UpdateWatch();
}

const ExtraInfo& StreamTransport::GetExtraInfo() const { return extra_info_; }

void StreamTransport::SetProtocol(std::shared_ptr<BaseProtocol> protocol) {
  AssertInLoopThread();
  if (state_ == State::kLost) return;
  // The old one may be what called this.
  context_->reactor().DeferredDelete(std::move(protocol_));
  BindProtocol(std::move(protocol));
}

void StreamTransport::BindProtocol(std::shared_ptr<BaseProtocol> protocol) {
  protocol_ = std::move(protocol);
  plain_protocol_ = dynamic_cast<Protocol*>(protocol_.get());
  buffered_protocol_ = dynamic_cast<BufferedProtocol*>(protocol_.get());
  CHECK(plain_protocol_ != nullptr || buffered_protocol_ != nullptr);
}

std::shared_ptr<BaseProtocol> StreamTransport::GetProtocol() const { return protocol_; }

absl::Status StreamTransport::SetWriteBufferLimits(const WriteBufferLimits& limits) {
  AssertInLoopThread();
  const absl::StatusOr<WriteBufferMarks> marks = ResolveWriteBufferLimits(limits);
  if (!marks.ok()) return marks.status();
  if (watermarks_.SetMarks(*marks, write_buffer_.size()) && IsWritable()) protocol_->PauseWriting();
  return absl::OkStatus();
}

WriteBufferMarks StreamTransport::GetWriteBufferLimits() const { return watermarks_.marks(); }

size_t StreamTransport::GetWriteBufferSize() const { return write_buffer_.size(); }

uint64_t StreamTransport::ReceivedBytes() const { return received_bytes_; }

uint64_t StreamTransport::SentBytes() const { return sent_bytes_; }

void StreamTransport::Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) {
  AssertInLoopThread();
  done(socket_ == nullptr ? absl::StatusOr<int>(TransportLost()) : GetSocketOption(socket_->fd(), option));
}

void StreamTransport::Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) {
  AssertInLoopThread();
  done(socket_ == nullptr ? TransportLost() : SetSocketOption(socket_->fd(), option, value));
}

void StreamTransport::AssertInLoopThread() const {
  if (context_ != nullptr) context_->reactor().AssertInLoopThread();
}

}  // namespace transportd
