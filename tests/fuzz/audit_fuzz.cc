// Whatever a client says, it makes one line of JSON, which says the same, or which part of it was cut short.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/policy/audit_record.h"
#include "tests/fuzz/audit_steps.h"
#include "tests/fuzz/input.h"
#include "tests/support/json.h"
#include "transports/base/check.h"
#include "transports/base/utf8.h"

namespace transportd::fuzz {
namespace {

// What can be kept of it in JSON.
std::string AsUtf8(std::string_view text) {
  std::string kept;
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    kept += length == 0 ? "\xef\xbf\xbd" : text.substr(0, length);
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return kept;
}

class Checker final {
 public:
  explicit Checker(const Json& line) : line_(line) {
    for (const Json& path : line["truncated"].items) truncated_.push_back(path.text);
  }

  void Text(std::string_view path, std::string_view text) {
    const Json& found = line_.At(path);
    if (text.empty()) return CHECK(found.kind == Json::Kind::kNull);
    CHECK(found.kind == Json::Kind::kString);
    const std::string expected = AsUtf8(text);
    if (!TakeTruncated(path)) return CHECK(found.text == expected);
    CHECK(found.text.size() < expected.size() && expected.starts_with(found.text));
    // Not shorter than it must be: no byte takes more than six.
    CHECK(found.text.size() >= kMaxAuditStringBytes / 6);
  }

  void List(std::string_view path, const std::vector<std::string_view>& texts) {
    const std::vector<Json>& found = line_.At(path).items;
    CHECK(found.size() <= texts.size());
    const bool truncated = TakeTruncated(path);
    CHECK(truncated || found.size() == texts.size());
    for (size_t i = 0; i < found.size(); ++i) {
      const std::string expected = AsUtf8(texts[i]);
      CHECK(found[i].text == expected || (truncated && i + 1 == found.size() && expected.starts_with(found[i].text)));
    }
    CHECK(!truncated || found.size() < texts.size() || found.back().text.size() < AsUtf8(texts.back()).size());
  }

  // What is said to be cut short was.
  void Finish() const { CHECK(truncated_.empty()); }

 private:
  bool TakeTruncated(std::string_view path) {
    const auto found = std::find(truncated_.begin(), truncated_.end(), path);
    if (found == truncated_.end()) return false;
    truncated_.erase(found);
    return true;
  }

  const Json& line_;
  std::vector<std::string> truncated_;
};

struct Field {
  AuditStep step;
  std::string_view path;
};

constexpr std::array kFields = {
    Field{kAuditUid, "uid"},
    Field{kAuditPrincipal, "principal"},
    Field{kAuditAuthMethod, "auth.method"},
    Field{kAuditCredential, "auth.credential"},
    Field{kAuditPeer, "peer"},
    Field{kAuditAction, "action"},
    Field{kAuditRequested, "resource.requested"},
    Field{kAuditResolved, "resource.resolved"},
    Field{kAuditClass, "resource.class"},
    Field{kAuditPath, "resource.path"},
    Field{kAuditProgram, "resource.program"},
    Field{kAuditRule, "rule"},
    Field{kAuditPolicyVersion, "policy.version"},
    Field{kAuditPolicySha256, "policy.sha256"},
    Field{kAuditShadowRule, "shadow_rule"},
    Field{kAuditQuota, "quota"},
    Field{kAuditConfinement, "confinement"},
    Field{kAuditCause, "cause"},
};

void TestOneInput(const uint8_t* data, size_t size) {
  std::array<std::string_view, kAuditStepCount> texts;
  std::vector<std::string_view> args;
  std::vector<std::string_view> env_names;
  std::deque<std::string> kept;
  AuditRecord record;
  Steps steps(data, size);
  uint8_t what = 0;
  uint8_t before = 0;
  std::string_view bytes;
  size_t total_bytes = 0;
  while (steps.Next(what, bytes) && total_bytes < 65536) {
    what %= kAuditStepCount;
    if (what == kAuditRepeat) {
      std::string& repeated = kept.emplace_back();
      for (uint8_t i = 0; i < Small(bytes) && repeated.size() < 16384; ++i) repeated += texts[before];
      what = before;
      bytes = repeated;
    }
    total_bytes += bytes.size();
    texts[what] = bytes;
    before = what;
    if (what == kAuditEvent) record.event = kAuditEvents[Small(bytes) % kAuditEvents.size()].event;
    if (what == kAuditArg) args.push_back(bytes);
    if (what == kAuditEnvName) env_names.push_back(bytes);
    if (what == kAuditDecision) record.decision = static_cast<AuditDecision>(Small(bytes) % 3);
    if (what == kAuditNumber) record.transport = Small(bytes);
  }

  AuditSession session(texts[kAuditSession]);
  if (!texts[kAuditSession].empty()) record.session = &session;
  record.principal = texts[kAuditPrincipal];
  record.auth_method = texts[kAuditAuthMethod];
  record.credential = texts[kAuditCredential];
  record.peer = texts[kAuditPeer];
  record.action = texts[kAuditAction];
  record.resource = {.requested = texts[kAuditRequested],
                     .resolved = texts[kAuditResolved],
                     .address_class = texts[kAuditClass],
                     .path = texts[kAuditPath],
                     .program = texts[kAuditProgram],
                     .args = args,
                     .env_names = env_names};
  record.rule = texts[kAuditRule];
  record.policy_version = texts[kAuditPolicyVersion];
  record.policy_sha256 = texts[kAuditPolicySha256];
  record.shadow_rule = texts[kAuditShadowRule];
  record.quota = texts[kAuditQuota];
  record.confinement = texts[kAuditConfinement];
  record.cause = texts[kAuditCause];

  std::string out;
  AppendAuditLine(record, {.uid = texts[kAuditUid], .session_index = 7}, out);
  CHECK(out.size() < kMaxAuditLineBytes);
  CHECK(out.find('\n') == out.size() - 1);
  CHECK(std::none_of(out.begin(), out.end() - 1, [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; }));
  out.pop_back();
  const std::optional<Json> line = ReadJson(out);
  CHECK(line.has_value());
  CHECK((*line)["v"].text == "1");
  CHECK((*line)["event"].text == InfoOf(record.event).name);
  Checker checker(*line);
  for (const Field& field : kFields) checker.Text(field.path, texts[field.step]);
  checker.Text("session", texts[kAuditSession].substr(0, 8));
  checker.List("resource.args", args);
  checker.List("resource.env", env_names);
  checker.Finish();
}

}  // namespace
}  // namespace transportd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  transportd::fuzz::TestOneInput(data, size);
  return 0;
}
