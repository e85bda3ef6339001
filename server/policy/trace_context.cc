#include "server/policy/trace_context.h"

namespace transportd {
namespace {

// VERSION-TRACE-SPAN-FLAGS of version 00.
constexpr size_t kLength = 55;
constexpr size_t kTraceAt = 3;
constexpr size_t kTraceLength = 32;
constexpr size_t kSpanAt = 36;
constexpr size_t kSpanLength = 16;
constexpr size_t kFlagsAt = 53;

bool IsHex(std::string_view text) { return text.find_first_not_of("0123456789abcdef") == std::string_view::npos; }
bool IsId(std::string_view text) { return IsHex(text) && text.find_first_not_of('0') != std::string_view::npos; }

}  // namespace

TraceContext ParseTraceparent(std::string_view text) {
  if (text.size() < kLength || text[kTraceAt - 1] != '-' || text[kSpanAt - 1] != '-' || text[kFlagsAt - 1] != '-') {
    return {};
  }
  const std::string_view version = text.substr(0, 2);
  if (!IsHex(version) || version == "ff" || !IsHex(text.substr(kFlagsAt, 2))) return {};
  const bool is_longer = text.size() > kLength;
  if (is_longer && (version == "00" || text[kLength] != '-')) return {};
  const std::string_view trace = text.substr(kTraceAt, kTraceLength);
  const std::string_view span = text.substr(kSpanAt, kSpanLength);
  if (!IsId(trace) || !IsId(span)) return {};
  return {.trace_id = std::string(trace), .span_id = std::string(span)};
}

}  // namespace transportd
