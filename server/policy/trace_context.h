// Which trace a call belongs to. https://www.w3.org/TR/trace-context/
#ifndef TRANSPORTD_SERVER_POLICY_TRACE_CONTEXT_H_
#define TRANSPORTD_SERVER_POLICY_TRACE_CONTEXT_H_

#include <string>
#include <string_view>

namespace transportd {

// Both empty: there is none. Threading: a value.
struct TraceContext {
  std::string trace_id = {};  // 32 lower-case hexadecimal digits, not all 0.
  std::string span_id = {};   // 16 of them: the caller's.
};

// The header `traceparent`. What is not well formed is no trace, as the specification wants it; of a later version the
// part that is known. Any thread.
TraceContext ParseTraceparent(std::string_view text);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_TRACE_CONTEXT_H_
