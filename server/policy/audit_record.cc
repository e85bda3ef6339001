#include "server/policy/audit_record.h"

#include <array>
#include <charconv>
#include <concepts>

#include "server/policy/json_string.h"
#include "transports/base/check.h"

namespace transportd {
namespace {

std::string_view NameOf(AuditDecision decision) {
  switch (decision) {
    case AuditDecision::kAllow:
      return "allow";
    case AuditDecision::kDeny:
      return "deny";
    case AuditDecision::kNone:
      break;
  }
  return "";
}

template <std::integral Number>
void AppendNumber(Number number, std::string& out) {
  std::array<char, 24> digits{};
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out.append(digits.data(), result.ptr);
}

// With zeros before it: `007` for 7 and 3.
void AppendPadded(uint64_t number, size_t digit_count, std::string& out) {
  std::array<char, 24> digits{};
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  const auto size = static_cast<size_t>(result.ptr - digits.data());
  if (size < digit_count) out.append(digit_count - size, '0');
  out.append(digits.data(), size);
}

// RFC 3339, UTC, microseconds: `2026-01-31T23:59:59.123456Z`.
void AppendTime(std::chrono::system_clock::time_point time, std::string& out) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::microseconds>(time - day));
  const auto part = [&](auto number, size_t digit_count, char after) {
    AppendPadded(static_cast<uint64_t>(number), digit_count, out);
    out += after;
  };
  part(static_cast<int>(date.year()), 4, '-');
  part(static_cast<unsigned>(date.month()), 2, '-');
  part(static_cast<unsigned>(date.day()), 2, 'T');
  part(clock.hours().count(), 2, ':');
  part(clock.minutes().count(), 2, ':');
  part(clock.seconds().count(), 2, '.');
  part(clock.subseconds().count(), 6, 'Z');
}

// Writes the members of one line's objects, and remembers which were cut short.
class Line final {
 public:
  explicit Line(std::string& out) : out_(out) { out_ += '{'; }

  void Text(std::string_view key, std::string_view text) {
    if (text.empty()) return;
    Key(key);
    if (!AppendJsonString(text, kMaxAuditStringBytes, out_)) Truncated(key);
  }
  template <std::integral Number>
  void Count(std::string_view key, Number number) {
    Key(key);
    AppendNumber(number, out_);
  }
  template <std::integral Number>
  void Count(std::string_view key, const std::optional<Number>& number) {
    if (number.has_value()) Count(key, *number);
  }
  void Time(std::string_view key, std::chrono::system_clock::time_point time) {
    Key(key);
    out_ += '"';
    AppendTime(time, out_);
    out_ += '"';
  }
  void Seconds(std::string_view key, const std::optional<std::chrono::microseconds>& duration) {
    if (!duration.has_value()) return;
    const int64_t microseconds = duration->count() < 0 ? 0 : duration->count();
    Key(key);
    AppendNumber(microseconds / 1000000, out_);
    out_ += '.';
    AppendPadded(static_cast<uint64_t>(microseconds % 1000000), 6, out_);
  }
  void List(std::string_view key, std::span<const std::string_view> texts) {
    if (texts.empty()) return;
    Key(key);
    out_ += '[';
    const size_t begin = out_.size();
    bool whole = true;
    for (size_t i = 0; i < texts.size() && whole; ++i) {
      // Quotes and commas count too, so that a thousand empty ones do not come through.
      const size_t used_bytes = out_.size() - begin;
      if (i == kMaxAuditListCount || used_bytes + 3 > kMaxAuditListBytes) {
        whole = false;
        break;
      }
      if (i > 0) out_ += ',';
      const size_t left_bytes = kMaxAuditListBytes - used_bytes - 3;
      whole = AppendJsonString(texts[i], left_bytes, out_);
    }
    out_ += ']';
    if (!whole) Truncated(key);
  }

  // An object of one level. Without a member it is not there.
  void Begin(std::string_view key) {
    object_ = key;
    begun_ = out_.size();
    Key(key);
    out_ += '{';
    empty_ = out_.size();
  }
  void End() {
    object_ = {};
    if (out_.size() == empty_) {
      out_.resize(begun_);
    } else {
      out_ += '}';
    }
  }

  void Finish() {
    if (truncated_count_ > 0) {
      Key("truncated");
      for (size_t i = 0; i < truncated_count_; ++i) {
        out_ += i == 0 ? "[\"" : ",\"";
        if (!truncated_[i].object.empty()) {
          out_ += truncated_[i].object;
          out_ += '.';
        }
        out_ += truncated_[i].key;
        out_ += '"';
      }
      out_ += ']';
    }
    out_ += "}\n";
  }

 private:
  struct Path {
    std::string_view object = {};
    std::string_view key = {};
  };

  void Key(std::string_view key) {
    if (out_.back() != '{') out_ += ',';
    out_ += '"';
    out_ += key;
    out_ += "\":";
  }
  void Truncated(std::string_view key) {
    CHECK(truncated_count_ < truncated_.size());
    truncated_[truncated_count_++] = {object_, key};
  }

  std::string& out_;
  std::string_view object_;
  size_t begun_ = 0;
  size_t empty_ = 0;
  std::array<Path, 32> truncated_;
  size_t truncated_count_ = 0;
};

}  // namespace

AuditSeverity SeverityOf(const AuditRecord& record) {
  const AuditSeverity severity = InfoOf(record.event).severity;
  const bool denied_info = record.decision == AuditDecision::kDeny && severity == AuditSeverity::kInfo;
  return denied_info ? AuditSeverity::kWarning : severity;
}

void AppendAuditLine(const AuditRecord& record, const AuditStamp& stamp, std::string& out) {
  const AuditEventInfo& info = InfoOf(record.event);
  std::array<char, 16> code{};
  CHECK(info.code.size() < code.size());
  info.code.copy(code.data(), info.code.size());
  code[info.code.size()] = static_cast<char>(SeverityOf(record));

  Line line(out);
  line.Count("v", 1);
  line.Time("time", stamp.time);
  line.Text("event", info.name);
  line.Text("code", {code.data(), info.code.size() + 1});
  line.Text("uid", stamp.uid);
  if (record.session != nullptr) {
    line.Text("session", record.session->prefix());
    line.Count("ei", stamp.session_index);
  }
  line.Text("principal", record.principal);
  line.Begin("auth");
  line.Text("method", record.auth_method);
  line.Text("credential", record.credential);
  line.End();
  line.Text("peer", record.peer);
  line.Text("trace_id", record.trace_id);
  line.Text("span_id", record.span_id);
  line.Text("action", record.action);
  line.Begin("resource");
  line.Text("requested", record.resource.requested);
  line.Text("resolved", record.resource.resolved);
  line.Text("class", record.resource.address_class);
  line.Text("path", record.resource.path);
  line.Text("program", record.resource.program);
  line.List("args", record.resource.args);
  line.List("env", record.resource.env_names);
  line.End();
  line.Text("decision", NameOf(record.decision));
  line.Text("rule", record.rule);
  line.Begin("policy");
  line.Text("version", record.policy_version);
  line.Text("sha256", record.policy_sha256);
  line.End();
  line.Text("shadow", NameOf(record.shadow));
  line.Text("shadow_rule", record.shadow_rule);
  line.Text("quota", record.quota);
  line.Count("transport", record.transport);
  line.Count("bytes_in", record.bytes_in);
  line.Count("bytes_out", record.bytes_out);
  line.Count("count", record.count);
  line.Seconds("duration_s", record.duration);
  line.Count("returncode", record.returncode);
  line.Text("confinement", record.confinement);
  line.Text("cause", record.cause);
  line.Finish();
}

}  // namespace transportd
