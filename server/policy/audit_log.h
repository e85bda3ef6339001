// The audit log: JSON Lines (https://jsonlines.org), one for each decision and each end.
#ifndef TRANSPORTD_SERVER_POLICY_AUDIT_LOG_H_
#define TRANSPORTD_SERVER_POLICY_AUDIT_LOG_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/policy/audit_record.h"
#include "server/policy/audit_sink.h"
#include "server/policy/audit_tally.h"
#include "transports/base/mutex.h"
#include "transports/base/unique_fd.h"

namespace transportd {

// What when a record cannot be written.
enum class AuditOnFailure {
  kDeny,      // Nothing new is allowed until records can be written again.
  kContinue,  // Work goes on; records that find no room are counted.
};

// Threading: a value.
struct AuditLogOptions {
  AuditTarget target = {};
  AuditOnFailure on_failure = AuditOnFailure::kDeny;
  // What waits to be written, at most; the last quarter is kept for records of ends.
  size_t max_queue_bytes = 4 * 1024 * 1024;
  size_t max_queue_count = 16384;
  // After a failed write, until the next attempt.
  std::chrono::milliseconds retry_interval = std::chrono::seconds(1);
  // How long the destructor waits for a reader that does not read.
  std::chrono::milliseconds flush_timeout = std::chrono::seconds(2);
  // The date.
  std::function<std::chrono::system_clock::time_point()> now = [] {
    return std::chrono::system_clock::now();  // lint: allow date: records say when, for people
  };
  // Called when it stops working, with why, and when it works again, with OK; the service's own log says so, too. In
  // the log's own thread; must not block.
  std::function<void(const absl::Status&)> on_health = [](const absl::Status&) {};
};

// For metrics. Threading: a value.
struct AuditCounts {
  uint64_t written_count = 0;  // Records that the kernel took.
  uint64_t lost_count = 0;     // Found no room, or were left at the end.
  uint64_t refused_count = 0;  // Would have allowed something while that could not be written.
  uint64_t failure_count = 0;  // Times that it stopped working.
  size_t queued_count = 0;
  size_t queued_bytes = 0;
};

// Records are made into lines by whoever writes them and written by a thread of the log's own: nobody waits for a disk
// or a reader. They are in the kernel's hands then, not necessarily on the disk.
//
// It stops working when a write fails (ENOSPC, EPIPE) or the queue is full. Then it tries again, and works again when
// the sink does and half the queue is free; the first record that follows, `audit.lost`, says how many are missing, if
// any. A line that was cut off by a failure is completed, or, in a new file, written anew.
//
// Threading: any thread.
class AuditLog final {
 public:
  // Opens the sink and starts the thread. See AuditSink::Open; RESOURCE_EXHAUSTED when there is no thread to be had.
  static absl::StatusOr<std::unique_ptr<AuditLog>> Create(AuditLogOptions options);
  // Writes what is queued, as far as that works within flush_timeout.
  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // Queues the record. With kDeny, UNAVAILABLE / CANNOT_AUDIT: what it allows must not be done, and it is not written.
  // With kContinue, OK. Does not block.
  absl::Status Write(const AuditRecord& record);

  // Whether new work may begin: OK, or the error of Write. For work that is about to be decided.
  absl::Status Ready() const;
  // Whether records can be written; whatever that means for new work.
  bool Healthy() const { return healthy_.load(std::memory_order_relaxed); }

  // For an error that names its record to the client: unique among all records of all services.
  std::string NewUid();

  // Opens the file again, after somebody has moved it away (SIGHUP). The kernel's error: the open one is used on. OK
  // without a file.
  absl::Status Reopen();

  AuditCounts Counts() const;
  // Of the records so far, written or not.
  const AuditTally& tally() const { return tally_; }

 private:
  AuditLog(AuditLogOptions options, std::optional<AuditSink> sink, UniqueFd wake_fd, uint64_t instance);

  // --- The thread.
  void Run();
  // Gets what is to be written into batch_. False: there is nothing.
  bool TakeBatch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes over a sink that Reopen has opened; a line of which a part is written begins anew.
  void TakeNewSink() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  enum class Progress { kDone, kWouldBlock, kFailed };
  Progress WriteBatch();
  // Until Wake, the time has passed, or `fd` can be written to, if there is one.
  void Wait(int fd, std::optional<std::chrono::milliseconds> timeout);
  // Gives up what is queued.
  void LeaveRest();
  void TellHealth();

  // --- Any thread.
  void Wake() const;
  bool HasRoom(size_t line_bytes, bool allows) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Enqueue(std::string_view line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Fail(absl::Status why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Recover() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AppendLine(const AuditRecord& record, std::string& out);

  const AuditLogOptions options_;
  const UniqueFd wake_fd_;
  const uint64_t instance_;  // Random: before every uid.
  std::atomic<uint64_t> next_number_{1};
  std::atomic<bool> healthy_{true};
  AuditTally tally_;

  mutable Mutex mutex_;
  std::string queue_ ABSL_GUARDED_BY(mutex_);        // Lines that the thread has not taken.
  size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // Of queue_ and of what the thread has not written.
  size_t queued_count_ ABSL_GUARDED_BY(mutex_) = 0;
  bool idle_ ABSL_GUARDED_BY(mutex_) = false;  // The thread sleeps until there is a record.
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool sink_failed_ ABSL_GUARDED_BY(mutex_) = false;   // By the last attempt to write.
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);       // The last one.
  uint64_t untold_count_ ABSL_GUARDED_BY(mutex_) = 0;  // Lost, and no record says so.
  AuditCounts counts_ ABSL_GUARDED_BY(mutex_);
  std::optional<AuditSink> new_sink_ ABSL_GUARDED_BY(mutex_);

  // The thread's alone.
  std::optional<AuditSink> sink_;  // None: `off`, and there is no thread.
  std::string batch_;
  size_t written_bytes_ = 0;  // Of batch_.
  bool told_healthy_ = true;
  uint64_t told_failure_count_ = 0;

  std::thread thread_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_AUDIT_LOG_H_
