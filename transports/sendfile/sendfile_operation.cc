#include "transports/sendfile/sendfile_operation.h"

#include <algorithm>
#include <climits>
#include <limits>
#include <utility>

#include "transports/api/error.h"

namespace transportd {
namespace {

// How far the executor reads ahead of a native sendfile, and what the loop sends in one turn.
constexpr size_t kWindowBytes = 1024 * 1024;
constexpr size_t kSliceBytes = 256 * 1024;
// What is read and written at once by fallback.
constexpr size_t kBlockBytes = 64 * 1024;

constexpr uint64_t kMaxOffsetBytes = static_cast<uint64_t>(std::numeric_limits<off_t>::max());

absl::Status WithSentBytes(const absl::Status& status, uint64_t sent_bytes) {
  TransportError error = ToTransportError(status);
  error.sent_bytes = sent_bytes;
  return ToStatus(error);
}

}  // namespace

absl::Status ValidateSendfile(const SendfileOptions& options) {
  if (options.path.empty()) return InvalidArgument("INVALID_PATH", "path", "the path is empty");
  if (options.path.find('\0') != std::string::npos) return InvalidArgument("INVALID_PATH", "path", "holds a byte 0");
  if (options.path.size() >= PATH_MAX) return InvalidArgument("INVALID_PATH", "path", "a path has at most 4095 bytes");
  if (options.offset_bytes > kMaxOffsetBytes) return InvalidArgument("INVALID_OFFSET", "offset_bytes", "below 2^63");
  if (options.count_bytes == 0u) return InvalidArgument("INVALID_COUNT", "count_bytes", "at least 1, or unset");
  return absl::OkStatus();
}

SendfileOperation::SendfileOperation(LoopContext& context, LoopExecutor& executor,
                                     std::shared_ptr<StreamTransport> transport, SendfileOptions options, Done done)
    : context_(context),
      executor_(executor),
      transport_(std::move(transport)),
      options_(std::move(options)),
      done_(std::move(done)) {}

SendfileOperation::~SendfileOperation() {
  executor_.Cancel(fetching_);
  transport_->EndSendfile(*this);
}

void SendfileOperation::Start() {
  if (absl::Status status = ValidateSendfile(options_); !status.ok()) return Finish(status, 0);
  native_ = transport_->CanSendfile();
  if (!native_ && !options_.fallback && !transport_->IsClosing()) {
    return Finish(MakeError(absl::StatusCode::kFailedPrecondition, "SENDFILE_NOT_AVAILABLE",
                            "fallback is disabled and native sendfile is not supported for this transport"),
                  0);
  }
  if (absl::Status status = transport_->BeginSendfile(*this); !status.ok()) return Finish(status, 0);
  start_ = offset_ = fetched_end_ = static_cast<off_t>(options_.offset_bytes);
  FetchMore();
}

SendfileOperation::Fetched SendfileOperation::Fetch(std::shared_ptr<SourceFile> file, const SendfileOptions& options,
                                                    int descriptor_limit, off_t offset, size_t size_bytes,
                                                    bool native) {
  Fetched fetched;
  if (file == nullptr) {
    absl::StatusOr<std::shared_ptr<SourceFile>> opened =
        SourceFile::Open(options.path, descriptor_limit, options.gate.get());
    if (!opened.ok()) return Fetched(opened.status());
    file = fetched.file = *std::move(opened);
  }
  if (native) {
    const absl::StatusOr<size_t> size = file->Prefetch(offset, size_bytes);
    fetched.status = size.status();
    if (size.ok()) fetched.size_bytes = *size;
  } else {
    absl::StatusOr<std::string> block = file->Read(offset, size_bytes);
    fetched.status = block.status();
    if (block.ok()) fetched.block = *std::move(block);
    fetched.size_bytes = fetched.block.size();
  }
  fetched.at_end = fetched.size_bytes < size_bytes;
  return fetched;
}

void SendfileOperation::FetchMore() {
  if (fetching_ != 0 || at_end_) return;
  // A window is fetched while the second half of the one before it is sent.
  const auto ahead_bytes = static_cast<size_t>(fetched_end_ - offset_);
  if (native_ ? ahead_bytes > kWindowBytes / 2 : !block_.empty()) return;
  const uint64_t count_bytes = std::min(kMaxOffsetBytes, options_.count_bytes.value_or(kMaxOffsetBytes));
  const uint64_t end_bytes = std::min(kMaxOffsetBytes, options_.offset_bytes + count_bytes);
  const uint64_t size_bytes =
      std::min<uint64_t>(native_ ? kWindowBytes : kBlockBytes, end_bytes - static_cast<uint64_t>(fetched_end_));
  // The first visit opens the file, whatever is to be read of it.
  if (size_bytes == 0 && file_ != nullptr) {
    at_end_ = true;
    return;
  }
  fetching_ = executor_.Run<Fetched>([file = file_, options = options_, limit = context_.descriptor_limit(),
                                      offset = fetched_end_, size = static_cast<size_t>(size_bytes),
                                      native = native_] { return Fetch(file, options, limit, offset, size, native); },
                                     [this](Fetched fetched) { OnFetched(std::move(fetched)); });
}

void SendfileOperation::OnFetched(Fetched fetched) {
  fetching_ = 0;
  if (!fetched.status.ok()) return Finish(fetched.status, HandedBytes());
  if (fetched.file != nullptr) file_ = std::move(fetched.file);
  block_ = std::move(fetched.block);
  fetched_end_ += static_cast<off_t>(fetched.size_bytes);
  at_end_ = fetched.at_end;
  FetchMore();
  UpdateReady();
}

bool SendfileOperation::IsComplete() const { return at_end_ && offset_ == fetched_end_; }

// When all is handed over, it waits for room once more: then all is in the kernel.
void SendfileOperation::UpdateReady() {
  if (!result_) transport_->SetSenderReady(IsComplete() || offset_ < fetched_end_);
}

void SendfileOperation::OnRoom() {
  if (IsComplete()) return Finish(absl::OkStatus(), HandedBytes());
  if (native_) {
    SendNatively();
  } else {
    SendBlock();
  }
  if (result_) return;  // The transport ended of it, or the file did.
  if (native_ && IsComplete()) return Finish(absl::OkStatus(), HandedBytes());
  FetchMore();
  UpdateReady();
}

void SendfileOperation::SendNatively() {
  const auto size_bytes = std::min(kSliceBytes, static_cast<size_t>(fetched_end_ - offset_));
  const IoResult result = transport_->SendfileSlice(file_->fd(), offset_, size_bytes);
  switch (result.kind) {
    case IoResult::Kind::kBytes:
    case IoResult::Kind::kWouldBlock:
    case IoResult::Kind::kFailed:  // OnTransportEnded was called.
      return;
    case IoResult::Kind::kEof:  // It has become shorter meanwhile.
      Finish(absl::OkStatus(), HandedBytes());
      return;
    case IoResult::Kind::kFileFailed:
      break;
  }
  if (!options_.fallback) {
    TransportError error = ToTransportError(result.status);
    error.code = absl::StatusCode::kFailedPrecondition;
    error.reason = "SENDFILE_NOT_AVAILABLE";
    return Finish(ToStatus(error), HandedBytes());
  }
  // Perhaps it can be read all the same; if not, reading tells.
  native_ = false;
  executor_.Cancel(std::exchange(fetching_, 0));
  fetched_end_ = offset_;
  at_end_ = false;
}

void SendfileOperation::SendBlock() {
  const std::string block = std::exchange(block_, std::string());
  offset_ = fetched_end_;
  transport_->WriteFromFile(block);
}

void SendfileOperation::OnTransportEnded(const absl::Status& status) {
  const uint64_t handed_bytes = HandedBytes();
  // What was queued before the first byte of this file is none of it.
  const uint64_t sent_bytes = handed_bytes == 0 ? 0 : handed_bytes - transport_->QueuedFileBytes();
  Finish(status.ok() ? MakeError(absl::StatusCode::kFailedPrecondition, "TRANSPORT_LOST",
                                 "the transport was aborted before the file was sent")
                     : status,
         sent_bytes);
}

uint64_t SendfileOperation::HandedBytes() const { return static_cast<uint64_t>(offset_ - start_); }

void SendfileOperation::Cancel() {
  if (done_) Finish(MakeError(absl::StatusCode::kCancelled, "CANCELLED", "cancelled"), HandedBytes());
}

void SendfileOperation::Finish(const absl::Status& status, uint64_t sent_bytes) {
  const bool is_queued = result_.has_value();
  executor_.Cancel(std::exchange(fetching_, 0));
  if (status.ok()) {
    result_ = sent_bytes;
  } else {
    result_ = WithSentBytes(status, sent_bytes);
  }
  if (is_queued) return;
  // In this order, so that `done` comes before the ConnectionLost of a transport that only waited for the file.
  context_.reactor().CallSoon([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Deliver();
  });
  transport_->EndSendfile(*this);
}

void SendfileOperation::Deliver() { std::exchange(done_, nullptr)(*std::move(result_)); }

}  // namespace transportd
