// A file that an operator writes, read into its message.
#ifndef TRANSPORTD_SERVER_POLICY_CONFIG_TEXT_H_
#define TRANSPORTD_SERVER_POLICY_CONFIG_TEXT_H_

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"
#include "google/protobuf/message.h"

namespace transportd {

inline constexpr size_t kMaxConfigBytes = 4 * 1024 * 1024;

// `text` as textproto (https://protobuf.dev/reference/protobuf/textformat-spec/), or, when it begins with `{`, as JSON
// (https://protobuf.dev/programming-guides/json/), into `out`, which is cleared first.
//
// Stricter than protobuf: a name that the message does not have, a field that is there twice, an enum's value that has
// no name, null, JSON that is not RFC 8259's, text that is not UTF-8, more than kMaxConfigBytes, and a file that says
// nothing are errors: INVALID_ARGUMENT, in lines that begin with `FILE:LINE:COLUMN: `, or `FILE: ` for the last two.
// What the fields mean is not looked at.
//
// In JSON a field has its name of the .proto file or its lowerCamelCase form, and an enum's value its name.
// Threading: any thread.
absl::Status ReadConfigText(std::string_view text, std::string_view file_name, google::protobuf::Message& out);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_CONFIG_TEXT_H_
