#include "server/policy/audit_log.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include "absl/strings/str_format.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/clock.h"
#include "transports/base/logging.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

absl::Status CannotAudit() {
  return MakeError(absl::StatusCode::kUnavailable, "CANNOT_AUDIT",
                   "the audit log cannot be written: nothing new is allowed until it can");
}

// The thread gets no signals: SIGPIPE and SIGXFSZ, which its writes raise, tell nothing that their errors do not, and
// all others are main's.
std::thread StartWithoutSignals(std::function<void()> run) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  CHECK(::pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
  std::thread thread;
  try {
    thread = std::thread(std::move(run));
  } catch (const std::system_error&) {  // EAGAIN: the system has no more threads.
  }
  CHECK(::pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
  return thread;
}

}  // namespace

absl::StatusOr<std::unique_ptr<AuditLog>> AuditLog::Create(AuditLogOptions options) {
  // Half of it must have room for a line.
  options.max_queue_bytes = std::max(options.max_queue_bytes, 4 * kMaxAuditLineBytes);
  options.max_queue_count = std::max<size_t>(options.max_queue_count, 4);

  uint64_t instance = 0;
  CHECK(::getrandom(&instance, sizeof(instance), 0) == static_cast<ssize_t>(sizeof(instance)));
  std::optional<AuditSink> sink;
  UniqueFd wake_fd;
  const bool on = options.target.kind != AuditTarget::Kind::kOff;
  if (on) {
    absl::StatusOr<AuditSink> opened = AuditSink::Open(options.target);
    if (!opened.ok()) return opened.status();
    sink = *std::move(opened);
    wake_fd.Reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_fd.valid()) {
      int error_number = errno;
      return ErrnoToStatus(error_number, "eventfd");
    }
  }
  std::unique_ptr<AuditLog> log(new AuditLog(std::move(options), std::move(sink), std::move(wake_fd), instance));
  if (on) {
    log->thread_ = StartWithoutSignals([&log = *log] { log.Run(); });
    if (!log->thread_.joinable()) return ErrnoToStatus(EAGAIN, "pthread_create");
  }
  return log;
}

AuditLog::AuditLog(AuditLogOptions options, std::optional<AuditSink> sink, UniqueFd wake_fd, uint64_t instance)
    : options_(std::move(options)), wake_fd_(std::move(wake_fd)), instance_(instance), sink_(std::move(sink)) {}

AuditLog::~AuditLog() {
  if (!thread_.joinable()) return;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  Wake();
  thread_.join();
}

absl::Status AuditLog::Ready() const {
  if (options_.on_failure == AuditOnFailure::kDeny && !Healthy()) return CannotAudit();
  return absl::OkStatus();
}

std::string AuditLog::NewUid() {
  return absl::StrFormat("%016x-%d", instance_, next_number_.fetch_add(1, std::memory_order_relaxed));
}

absl::Status AuditLog::Write(const AuditRecord& record) {
  tally_.Count(record, record.uid, options_.now());
  if (options_.target.kind == AuditTarget::Kind::kOff) return absl::OkStatus();
  const bool denies_on_failure = options_.on_failure == AuditOnFailure::kDeny;
  const bool allows = record.decision == AuditDecision::kAllow;
  if (allows && denies_on_failure && !Healthy()) {
    if (record.session != nullptr) record.session->TakeIndex();
    MutexLock lock(mutex_);
    ++counts_.refused_count;
    return CannotAudit();
  }

  std::string line;
  line.reserve(1024);
  AppendLine(record, line);
  absl::Status result;
  bool wake = false;
  {
    MutexLock lock(mutex_);
    if (HasRoom(line.size(), allows)) {
      Enqueue(line);
      wake = std::exchange(idle_, false);
    } else {
      if (Healthy()) {
        Fail(MakeError(
            absl::StatusCode::kUnavailable, "CANNOT_AUDIT",
            StrCat("the queue of the audit log is full: ", queued_count_, " records, ", queued_bytes_, " bytes")));
        wake = true;
      }
      if (denies_on_failure) result = CannotAudit();
      if (denies_on_failure && allows) {
        ++counts_.refused_count;
      } else {
        ++counts_.lost_count;
        ++untold_count_;
      }
    }
  }
  if (wake) Wake();
  return result;
}

absl::Status AuditLog::Reopen() {
  if (options_.target.kind != AuditTarget::Kind::kFile) return absl::OkStatus();
  absl::StatusOr<AuditSink> opened = AuditSink::Open(options_.target);
  if (!opened.ok()) return opened.status();
  {
    MutexLock lock(mutex_);
    new_sink_ = *std::move(opened);
  }
  Wake();
  return Write({.event = AuditEvent::kAuditReopen, .resource = {.path = options_.target.path}});
}

AuditCounts AuditLog::Counts() const {
  MutexLock lock(mutex_);
  AuditCounts counts = counts_;
  counts.queued_bytes = queued_bytes_;
  counts.queued_count = queued_count_;
  return counts;
}

void AuditLog::AppendLine(const AuditRecord& record, std::string& out) {
  std::string uid;
  if (record.uid.empty()) uid = NewUid();
  AppendAuditLine(record,
                  {.time = options_.now(),
                   .uid = record.uid.empty() ? std::string_view(uid) : record.uid,
                   .session_index = record.session != nullptr ? record.session->TakeIndex() : 0},
                  out);
}

bool AuditLog::HasRoom(size_t line_bytes, bool allows) const {
  const auto bound = [&](size_t max) { return allows ? max - max / 4 : max; };
  return queued_count_ < bound(options_.max_queue_count) &&
         queued_bytes_ + line_bytes <= bound(options_.max_queue_bytes);
}

void AuditLog::Enqueue(std::string_view line) {
  queue_ += line;
  queued_bytes_ += line.size();
  ++queued_count_;
}

void AuditLog::Fail(absl::Status why) {
  if (!Healthy()) return;
  failure_ = std::move(why);
  ++counts_.failure_count;
  healthy_.store(false, std::memory_order_relaxed);
}

void AuditLog::Recover() {
  if (Healthy() || sink_failed_ || queued_count_ > options_.max_queue_count / 2 ||
      queued_bytes_ > options_.max_queue_bytes / 2) {
    return;
  }
  healthy_.store(true, std::memory_order_relaxed);
  if (const uint64_t lost_count = std::exchange(untold_count_, 0); lost_count > 0) {
    std::string line;
    AppendLine({.event = AuditEvent::kAuditLost, .count = lost_count}, line);
    Enqueue(line);
  }
}

void AuditLog::Wake() const {
  const uint64_t one = 1;
  // Fails only when it is far from 0, and the thread is awake.
  (void)!::write(wake_fd_.get(), &one, sizeof(one));
}

void AuditLog::Run() {
  ::pthread_setname_np(::pthread_self(), "audit");
  const Clock& clock = SystemClock();
  std::optional<decltype(clock.Now())> deadline;
  while (true) {
    TellHealth();
    bool stopping = false;
    bool has_work = false;
    {
      MutexLock lock(mutex_);
      if (new_sink_.has_value()) TakeNewSink();
      has_work = TakeBatch();
      stopping = stopping_;
      idle_ = !has_work;
    }
    if (stopping && !has_work) return;
    if (!has_work) {
      Wait(-1, std::nullopt);
      continue;
    }
    if (stopping && !deadline.has_value()) deadline = clock.Now() + options_.flush_timeout;
    switch (WriteBatch()) {
      case Progress::kDone:
        break;
      case Progress::kFailed:
        if (stopping) return LeaveRest();
        Wait(-1, options_.retry_interval);
        break;
      case Progress::kWouldBlock: {
        if (!deadline.has_value()) {
          Wait(sink_->fd(), std::nullopt);
          break;
        }
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - clock.Now());
        if (left.count() <= 0) return LeaveRest();
        Wait(sink_->fd(), left);
        break;
      }
    }
  }
}

bool AuditLog::TakeBatch() {
  if (written_bytes_ < batch_.size()) return true;
  batch_.clear();
  written_bytes_ = 0;
  batch_.swap(queue_);
  return !batch_.empty();
}

void AuditLog::TakeNewSink() {
  sink_ = *std::move(new_sink_);
  new_sink_.reset();
  if (written_bytes_ == 0 || written_bytes_ == batch_.size()) return;
  const size_t end_of_last = batch_.rfind('\n', written_bytes_ - 1);
  const size_t begin = end_of_last == batch_.npos ? 0 : end_of_last + 1;
  queued_bytes_ += written_bytes_ - begin;
  written_bytes_ = begin;
}

AuditLog::Progress AuditLog::WriteBatch() {
  while (written_bytes_ < batch_.size()) {
    const std::string_view rest = std::string_view(batch_).substr(written_bytes_);
    const absl::StatusOr<size_t> written = sink_->Write(rest);
    MutexLock lock(mutex_);
    sink_failed_ = !written.ok();
    if (!written.ok()) {
      Fail(written.status());
      return Progress::kFailed;
    }
    if (*written == 0) return Progress::kWouldBlock;
    const std::string_view piece = rest.substr(0, *written);
    const auto line_count = static_cast<size_t>(std::count(piece.begin(), piece.end(), '\n'));
    written_bytes_ += piece.size();
    queued_bytes_ -= piece.size();
    queued_count_ -= line_count;
    counts_.written_count += line_count;
    Recover();
  }
  return Progress::kDone;
}

void AuditLog::Wait(int fd, std::optional<std::chrono::milliseconds> timeout) {
  TellHealth();
  std::array<pollfd, 2> watched = {
      {{.fd = wake_fd_.get(), .events = POLLIN, .revents = 0}, {.fd = fd, .events = POLLOUT, .revents = 0}}};
  constexpr std::chrono::milliseconds kLongest = std::chrono::hours(1);
  const int timeout_ms = timeout.has_value() ? static_cast<int>(std::min(*timeout, kLongest).count()) : -1;
  (void)::poll(watched.data(), watched.size(), timeout_ms);
  uint64_t wakes = 0;
  (void)!::read(wake_fd_.get(), &wakes, sizeof(wakes));
}

void AuditLog::LeaveRest() {
  size_t left_count = 0;
  {
    MutexLock lock(mutex_);
    left_count = queued_count_;
    counts_.lost_count += left_count;
  }
  LogError("audit log: ", left_count, " records are lost: they could not be written before the end");
}

void AuditLog::TellHealth() {
  absl::Status failure;
  bool works_again = false;
  {
    MutexLock lock(mutex_);
    // One that is over already is told, too: something was refused or lost.
    if (counts_.failure_count != told_failure_count_) {
      told_failure_count_ = counts_.failure_count;
      told_healthy_ = false;
      failure = failure_;
    }
    if (!told_healthy_ && Healthy()) works_again = told_healthy_ = true;
  }
  if (!failure.ok()) {
    LogError("audit log: ", ToTransportError(failure).message,
             options_.on_failure == AuditOnFailure::kDeny ? "; nothing new is allowed until it works again" : "");
    options_.on_health(failure);
  }
  if (works_again) {
    LogInfo("audit log: works again");
    options_.on_health(absl::OkStatus());
  }
}

}  // namespace transportd
