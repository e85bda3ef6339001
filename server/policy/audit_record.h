// One line of the audit log.
#ifndef TRANSPORTD_SERVER_POLICY_AUDIT_RECORD_H_
#define TRANSPORTD_SERVER_POLICY_AUDIT_RECORD_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "server/policy/audit_events.h"

namespace transportd {

// What the log knows of a session: the first characters of its id, for the whole of it opens the session; and how many
// records it has had, so that a missing one shows. Threading: any thread.
class AuditSession final {
 public:
  explicit AuditSession(std::string_view session_id) : prefix_(session_id.substr(0, 8)) {}

  const std::string& prefix() const { return prefix_; }
  // 0, 1, 2, …
  uint64_t TakeIndex() { return next_index_.fetch_add(1, std::memory_order_relaxed); }

 private:
  const std::string prefix_;
  std::atomic<uint64_t> next_index_{0};
};

enum class AuditDecision { kNone, kAllow, kDeny };

// What it was about. Threading: a value, for the time of a call: it points to what its maker holds.
struct AuditResource {
  std::string_view requested = {};      // As the client said it: `db.lab:5432`, an option's or method's name.
  std::string_view resolved = {};       // Where it really leads: `10.1.2.3:5432`. Never told to the client.
  std::string_view address_class = {};  // Of `resolved`: `PRIVATE`, …
  std::string_view path = {};           // In the file system; of a configuration's file, too.
  std::string_view program = {};
  std::span<const std::string_view> args = {};
  std::span<const std::string_view> env_names = {};  // Names only: values may be secrets.
};

// What is empty or unset is not in the line. Never payload, never a secret. Threading: as AuditResource.
struct AuditRecord {
  AuditEvent event = AuditEvent::kServiceStart;
  std::string_view uid = {};        // Of AuditLog::NewUid, when an error names it to the client; else one is made.
  AuditSession* session = nullptr;  // Gives one of its indices to the record.
  std::string_view principal = {};
  std::string_view auth_method = {};  // `mtls`, `token`, `jwt`, `unix`.
  std::string_view credential = {};   // Which one: a serial number, the beginning of a hash; never the thing itself.
  std::string_view peer = {};
  std::string_view trace_id = {};  // Of the caller's traceparent, as is span_id.
  std::string_view span_id = {};
  std::string_view action = {};  // The method that was called.
  AuditResource resource = {};
  AuditDecision decision = AuditDecision::kNone;
  std::string_view rule = {};  // What decided: ROLE/GRANT, deny/NAME, builtin/REASON.
  std::string_view policy_version = {};
  std::string_view policy_sha256 = {};
  AuditDecision shadow = AuditDecision::kNone;  // What the shadow policy would have decided.
  std::string_view shadow_rule = {};
  std::string_view quota = {};             // The name of the one that was used up.
  std::optional<uint64_t> transport = {};  // Its id, or a server's.
  std::optional<uint64_t> bytes_in = {};   // From the peer.
  std::optional<uint64_t> bytes_out = {};
  std::optional<uint64_t> count = {};  // Of what the event sums up: datagrams, records.
  std::optional<std::chrono::microseconds> duration = {};
  std::optional<int> returncode = {};  // Of a process; -N: it died of signal N.
  std::string_view confinement = {};   // What the kernel could not do of it.
  std::string_view cause = {};         // Why it ended, or failed: a reason of proto/README.md or a message.
};

// What the log adds to a record. Threading: as AuditResource.
struct AuditStamp {
  std::chrono::system_clock::time_point time = {};
  std::string_view uid = {};
  uint64_t session_index = 0;  // Only with a session.
};

// Bounds of one line, in bytes between the quotes, after escaping.
inline constexpr size_t kMaxAuditStringBytes = 1024;
inline constexpr size_t kMaxAuditListBytes = 4096;  // Of args together, of env_names together.
inline constexpr size_t kMaxAuditListCount = 128;
// More than any line has.
inline constexpr size_t kMaxAuditLineBytes = 64 * 1024;

// Appends the record as one line of JSON, with its end. What was cut short is named in the line's `truncated`, as
// `resource.args`. Any thread.
void AppendAuditLine(const AuditRecord& record, const AuditStamp& stamp, std::string& out);

// `I`, `W` or `E`: the last letter of the record's code.
AuditSeverity SeverityOf(const AuditRecord& record);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_AUDIT_RECORD_H_
