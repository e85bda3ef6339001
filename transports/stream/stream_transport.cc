#include "transports/stream/stream_transport.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/socket_option_table.h"
#include "transports/base/transport_lost.h"

namespace transportd {
namespace {

// Pieces handed to the kernel at once: enough that one sendmsg(2) fills a socket's buffer.
constexpr size_t kMaxPieces = 64;
static_assert(kMaxPieces <= IOV_MAX);

absl::Status SendfileInProgress() {
  return MakeError(absl::StatusCode::kFailedPrecondition, "SENDFILE_IN_PROGRESS", "a file is being sent");
}

// The pieces that hold the first `size_bytes` of `pieces`, which hold that much or are all there are.
size_t Shorten(std::span<iovec> pieces, size_t size_bytes) {
  size_t count = 0;
  for (; count < pieces.size() && size_bytes > 0; ++count) {
    pieces[count].iov_len = std::min(pieces[count].iov_len, size_bytes);
    size_bytes -= pieces[count].iov_len;
  }
  return count;
}

iovec ToIovec(std::string_view data) { return {.iov_base = const_cast<char*>(data.data()), .iov_len = data.size()}; }

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
      traits_(socket_->Traits()),
      watermarks_(options.write_buffer_marks),
      extra_info_(std::move(options.extra_info)),
      on_lost_(std::move(options.on_lost)) {
  AssertInLoopThread();
  if (traits_.handshake_timeout) state_ = State::kHandshaking;
  BindProtocol(std::move(protocol));
  watch_ = context_->reactor().AddWatch(socket_->fd(), *this);
}

StreamTransport::~StreamTransport() { CHECK(state_ == State::kLost); }

void StreamTransport::Start(absl::AnyInvocable<void(absl::Status)> on_ready) {
  AssertInLoopThread();
  on_ready_ = std::move(on_ready);
  // The raw pointer holds: what the registry owns lives until CallConnectionLost, which is queued later than this; and
  // a loop that is destroyed destroys its queue uncalled.
  context_->reactor().CallSoon([this] {
    if (!traits_.handshake_timeout) {
      BecomeOpen();
    } else if (state_ == State::kHandshaking) {
      ContinueHandshake();
    }
  });
}

void StreamTransport::BecomeOpen() {
  if (!on_ready_) {
    CallConnectionMade();
    BeginReading();
    return;
  }
  context_->reactor().CallSoon([self = shared_from_this(), on_ready = std::exchange(on_ready_, nullptr)]() mutable {
    on_ready(absl::OkStatus());
    self->BeginReading();
  });
  CallConnectionMade();
}

void StreamTransport::CallConnectionMade() {
  if (state_ == State::kOpening) SetState(State::kOpen);
  is_made_ = true;
  protocol_->ConnectionMade(shared_from_this());
}

void StreamTransport::BeginReading() {
  may_read_ = true;
  UpdateWatch();
}

bool StreamTransport::WantsToRead() const {
  if (!may_read_ || layer_state_ != LayerState::kNone) return false;
  // Of a write pipe, that its reader is gone is still to be noticed while a file is sent.
  if (file_sender_ != nullptr && traits_.can_read) return false;
  return traits_.can_read ? IsReading() && !received_eof_ : traits_.watches_reader && IsWritable();
}

bool StreamTransport::WantsToWrite() const {
  if (!IsWritable()) return false;
  if (layer_state_ != LayerState::kNone) return plain_left_bytes_ > 0;
  return !write_buffer_.empty() || (file_sender_ != nullptr && file_sender_ready_);
}

void StreamTransport::OnReadable() {
  if (!watches_readable_) return;
  if (IsStepping()) {
    ContinueStep();
    return;
  }
  if (write_waits_readable_ && WantsToWrite()) Flush();
  if (!read_waits_writable_ && !read_is_queued_ && !IsStepping() && WantsToRead()) ReadOnce();
}

void StreamTransport::OnWritable() {
  if (!watches_writable_) return;
  if (IsStepping()) {
    ContinueStep();
    return;
  }
  if (!write_waits_readable_ && WantsToWrite()) Flush();
  if (read_waits_writable_ && !read_is_queued_ && !IsStepping() && WantsToRead()) ReadOnce();
}

void StreamTransport::ReadOnce() {
  if (!traits_.can_read) {
    if (socket_->DoRead(context_->read_buffer()).kind == IoResult::Kind::kEof) OnReaderGone();
    return;
  }
  BufferedProtocol* const buffered_protocol = buffered_protocol_;
  std::span<char> buffer;
  if (buffered_protocol != nullptr) {
    buffer = buffered_protocol->GetBuffer(0);
    if (buffer.empty() && !IsReading()) return;  // It paused instead.
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
  const bool had_waited_writable = read_waits_writable_;
  read_waits_writable_ = result.kind == IoResult::Kind::kWouldBlock && result.wait == IoResult::Wait::kWritable;
  socket_has_more_ = result.more;
  switch (result.kind) {
    case IoResult::Kind::kWouldBlock:
      break;
    case IoResult::Kind::kBytes:
      received_bytes_ += result.size_bytes;
      if (buffered_protocol != nullptr) {
        buffered_protocol->BufferUpdated(result.size_bytes);
      } else {
        plain_protocol_->DataReceived({buffer.data(), result.size_bytes});
      }
      break;
    case IoResult::Kind::kEof:
      OnEof(result.cause);
      return;
    case IoResult::Kind::kFailed:
      Fail(result.cause, std::move(result.status));
      return;
    case IoResult::Kind::kFileFailed:
      CHECK(false);
  }
  if (socket_has_more_ || read_waits_writable_ != had_waited_writable) UpdateWatch();
}

void StreamTransport::QueueRead() {
  if (std::exchange(read_is_queued_, true)) return;
  // Twice around, so that a transport whose socket always has more reads once a turn, as the others do.
  context_->reactor().AtTurnEnd([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr || self->context_ == nullptr) return;
    self->context_->reactor().CallSoon([weak] {
      if (const auto queued = weak.lock()) queued->OnQueuedRead();
    });
  });
}

void StreamTransport::OnQueuedRead() {
  read_is_queued_ = false;
  if (IsEnding() || !socket_has_more_) return;
  if (IsStepping()) {
    ContinueStep();
  } else if (WantsToRead()) {
    ReadOnce();
  }
}

void StreamTransport::OnEof(EndCause cause) {
  received_eof_ = true;
  eof_cause_ = cause;
  // A descriptor at its end stays readable for ever.
  UpdateWatch();
  const bool keeps_open =
      buffered_protocol_ != nullptr ? buffered_protocol_->EofReceived() : plain_protocol_->EofReceived();
  const bool decides = !traits_.eof_closes || (traits_.eof_may_wait && protocol_->DecidesOnEof());
  if (!keeps_open || !decides) Close();
}

void StreamTransport::OnReaderGone() {
  if (HasNothingToSend()) {
    Finish(EndCause::kEof, absl::OkStatus());
  } else {
    Fail(EndCause::kBrokenPipe, ErrnoToStatus(EPIPE, "write"));
  }
}

void StreamTransport::Flush() {
  if (write_buffer_.empty()) {
    file_sender_->OnRoom();
    return;
  }
  iovec pieces[kMaxPieces];
  size_t count = write_buffer_.Peek(pieces);
  if (layer_state_ != LayerState::kNone) count = Shorten({pieces, count}, plain_left_bytes_);
  IoResult result = socket_->DoWrite({pieces, count});
  if (result.kind == IoResult::Kind::kFailed) {
    Fail(result.cause, std::move(result.status));
    return;
  }
  const bool waits_readable = result.kind == IoResult::Kind::kWouldBlock && result.wait == IoResult::Wait::kReadable;
  if (std::exchange(write_waits_readable_, waits_readable) != waits_readable) UpdateWatch();
  if (result.kind != IoResult::Kind::kBytes) return;

  write_buffer_.Consume(result.size_bytes);
  if (layer_state_ != LayerState::kNone) plain_left_bytes_ -= result.size_bytes;
  const size_t of_file_bytes = std::min<uint64_t>(result.size_bytes, queued_file_bytes_);
  queued_file_bytes_ -= of_file_bytes;
  CountSent(result.size_bytes, of_file_bytes);
  if (!IsEnding() && watermarks_.Shrank(write_buffer_.size())) protocol_->ResumeWriting();
  if (!IsWritable()) return;
  if (layer_state_ != LayerState::kNone) {
    StartLayerIfReady();
  } else if (write_buffer_.empty()) {
    OnFlushed();
  }
}

void StreamTransport::CountSent(size_t size_bytes, size_t of_file_bytes) {
  sent_bytes_ += size_bytes;
  sent_file_bytes_ += of_file_bytes;
  if (size_bytes > of_file_bytes) protocol_->BytesSent(sent_bytes_ - sent_file_bytes_);
}

void StreamTransport::OnFlushed() {
  if (file_sender_ != nullptr) {
    UpdateWatch();
    return;
  }
  if (state_ == State::kClosing) {
    BeginShutdown();
    return;
  }
  UpdateWatch();
  if (write_eof_ == WriteEofState::kAsked) SendEof();
}

absl::Status StreamTransport::Write(std::string_view data) { return Writelines({&data, 1}); }

absl::Status StreamTransport::Writelines(std::span<const std::string_view> lines) {
  AssertInLoopThread();
  if (write_eof_ != WriteEofState::kNone) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "WRITE_AFTER_EOF", "write after write_eof");
  }
  if (!traits_.can_write) {
    return MakeError(absl::StatusCode::kUnimplemented, "WRONG_KIND", "this transport can only be read");
  }
  size_t size_bytes = 0;
  for (const std::string_view line : lines) size_bytes += line.size();
  if (size_bytes == 0) return absl::OkStatus();
  if (!IsWritable() || (traits_.close_ends_write && IsClosing())) {
    dropped_bytes_ += size_bytes;
    return absl::OkStatus();
  }
  if (file_sender_ != nullptr) return SendfileInProgress();
  WriteNow(lines, size_bytes);
  return absl::OkStatus();
}

void StreamTransport::WriteNow(std::span<const std::string_view> lines, size_t size_bytes) {
  size_t sent = 0;
  if (write_buffer_.empty() && layer_state_ == LayerState::kNone) {
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
    write_waits_readable_ = result.kind == IoResult::Kind::kWouldBlock && result.wait == IoResult::Wait::kReadable;
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
  if (sent > 0) CountSent(sent, 0);
  if (IsWritable() && watermarks_.Grew(write_buffer_.size())) protocol_->PauseWriting();
}

void StreamTransport::WriteEof() {
  AssertInLoopThread();
  if (IsClosing() || write_eof_ != WriteEofState::kNone || layer_state_ != LayerState::kNone) return;
  if (!socket_->CanWriteEof()) return;
  if (traits_.write_eof_closes) {
    Close();
    return;
  }
  write_eof_ = WriteEofState::kAsked;
  if (HasNothingToSend()) SendEof();
}

void StreamTransport::SendEof() {
  write_eof_ = WriteEofState::kSent;
  IoResult result = socket_->ShutdownWrite();
  if (result.kind == IoResult::Kind::kFailed) Fail(result.cause, std::move(result.status));
}

bool StreamTransport::CanWriteEof() const { return socket_ == nullptr ? can_write_eof_ : socket_->CanWriteEof(); }

void StreamTransport::Close() {
  AssertInLoopThread();
  if (IsClosing()) return;
  if (state_ == State::kHandshaking || layer_state_ != LayerState::kNone) {
    // asyncio: closing during the handshake is aborting.
    Finish(EndCause::kLocalClose, absl::OkStatus());
    return;
  }
  close_cause_ = received_eof_ ? eof_cause_ : EndCause::kLocalClose;
  if (HasNothingToSend()) {
    BeginShutdown();
  } else {
    SetState(State::kClosing);
  }
}

void StreamTransport::Abort(bool reset) {
  AssertInLoopThread();
  if (IsEnding()) return;
  if (reset) socket_->ResetOnClose();
  Finish(EndCause::kLocalAbort, absl::OkStatus());
}

void StreamTransport::Fail(EndCause cause, absl::Status status) {
  AssertInLoopThread();
  if (!IsEnding()) Finish(cause, std::move(status));
}

absl::Status StreamTransport::BeginSendfile(FileSender& sender) {
  AssertInLoopThread();
  if (!traits_.can_write) {
    return MakeError(absl::StatusCode::kUnimplemented, "WRONG_KIND", "this transport can only be read");
  }
  if (IsClosing()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "TRANSPORT_CLOSING", "the transport is closing");
  }
  if (write_eof_ != WriteEofState::kNone) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "WRITE_AFTER_EOF", "sendfile after write_eof");
  }
  if (file_sender_ != nullptr) return SendfileInProgress();
  if (layer_state_ != LayerState::kNone) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "START_TLS_IN_PROGRESS", "TLS is being started");
  }
  file_sender_ = &sender;
  file_sender_ready_ = false;
  UpdateWatch();
  return absl::OkStatus();
}

void StreamTransport::SetSenderReady(bool ready) {
  file_sender_ready_ = ready;
  UpdateWatch();
}

IoResult StreamTransport::SendfileSlice(int file_fd, off_t& offset, size_t size_bytes) {
  IoResult result = socket_->DoSendfile(file_fd, offset, size_bytes);
  if (result.kind == IoResult::Kind::kBytes) CountSent(result.size_bytes, result.size_bytes);
  if (result.kind == IoResult::Kind::kFailed) Fail(result.cause, result.status);
  return result;
}

void StreamTransport::WriteFromFile(std::string_view data) {
  const iovec piece = ToIovec(data);
  IoResult result = socket_->DoWrite({&piece, 1});
  if (result.kind == IoResult::Kind::kFailed) {
    queued_file_bytes_ = data.size();
    Fail(result.cause, std::move(result.status));
    return;
  }
  CountSent(result.size_bytes, result.size_bytes);
  queued_file_bytes_ = data.size() - result.size_bytes;
  write_buffer_.Append(data.substr(result.size_bytes));
  UpdateWatch();
}

void StreamTransport::EndSendfile(const FileSender& sender) {
  AssertInLoopThread();
  if (file_sender_ != &sender) return;
  file_sender_ = nullptr;
  UpdateWatch();
  if (write_buffer_.empty()) OnFlushed();
}

void StreamTransport::Finish(EndCause cause, absl::Status status) {
  if (FileSender* const sender = std::exchange(file_sender_, nullptr)) sender->OnTransportEnded(status);
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
  auto on_ready = std::exchange(on_ready_, nullptr);
  auto layer_done = std::exchange(layer_done_, nullptr);
  auto on_lost = std::exchange(on_lost_, nullptr);
  context_->reactor().DeferredDelete(context_->transports().Remove(this));
  SetState(State::kLost);
  const auto failure = [&end] {
    return end.status.ok() ? MakeError(absl::StatusCode::kCancelled, "CANCELLED", "the transport was closed first")
                           : end.status;
  };
  if (layer_done) layer_done(failure());
  if (is_made_) {
    protocol->ConnectionLost(end);
  } else if (on_ready) {
    on_ready(failure());
  }
  if (on_lost) on_lost(*this);
}

void StreamTransport::OnLoopDestroyed() {
  file_sender_ = nullptr;
  // Moved out, because their destructors may call back.
  const std::shared_ptr<BaseProtocol> protocol = std::move(protocol_);
  const auto on_ready = std::exchange(on_ready_, nullptr);
  const auto layer_done = std::exchange(layer_done_, nullptr);
  const auto on_lost = std::exchange(on_lost_, nullptr);
  write_buffer_.Clear();
  SetState(State::kLost);
}

void StreamTransport::SetState(State state) {
  state_ = state;
  if (state == State::kEnding || state == State::kLost) {
    EndStep();
    layer_state_ = LayerState::kNone;
    layer_.reset();
    layer_incoming_.clear();
    watches_readable_ = watches_writable_ = false;
    if (watch_ != 0) context_->reactor().RemoveWatch(std::exchange(watch_, 0));
  }
  if (state == State::kLost) {
    can_write_eof_ = socket_->CanWriteEof();
    socket_.reset();
    plain_protocol_ = nullptr;
    buffered_protocol_ = nullptr;
    context_ = nullptr;
  }
  UpdateWatch();
}

void StreamTransport::UpdateWatch() {
  if (watch_ == 0) return;
  bool readable = step_wait_ == IoResult::Wait::kReadable;
  bool writable = step_wait_ == IoResult::Wait::kWritable;
  bool reads = IsStepping();
  if (!reads) {
    reads = WantsToRead();
    const bool writes = WantsToWrite();
    readable = (reads && !read_waits_writable_) || (writes && write_waits_readable_);
    writable = (writes && !write_waits_readable_) || (reads && read_waits_writable_);
  }
  if (reads && socket_has_more_) QueueRead();
  if (readable == watches_readable_ && writable == watches_writable_) return;
  watches_readable_ = readable;
  watches_writable_ = writable;
  context_->reactor().SetWatch(watch_, readable, writable);
}

bool StreamTransport::IsClosing() const {
  return state_ != State::kHandshaking && state_ != State::kOpening && state_ != State::kOpen;
}

bool StreamTransport::IsReading() const { return traits_.can_read && !IsClosing() && !paused_reading_; }

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
  const absl::StatusOr<WriteBufferMarks> marks = ResolveWriteBufferLimits(limits, traits_.write_buffer_marks);
  if (!marks.ok()) return marks.status();
  if (watermarks_.SetMarks(*marks, write_buffer_.size()) && !IsEnding()) protocol_->PauseWriting();
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
