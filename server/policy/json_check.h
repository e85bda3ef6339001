// Strict JSON: what protobuf's own reader passes over.
#ifndef TRANSPORTD_SERVER_POLICY_JSON_CHECK_H_
#define TRANSPORTD_SERVER_POLICY_JSON_CHECK_H_

#include <string_view>

#include "absl/status/status.h"
#include "google/protobuf/descriptor.h"

namespace transportd {

// Is `text` one JSON object (RFC 8259) with this message's fields? Names may be the proto's or their JSON form; given
// twice, in either, they are refused, as are null, unknown ones, and a value that is no list where one belongs.
// INVALID_ARGUMENT, `FILE:LINE:COLUMN: what is wrong`. Numbers, enum values and the like are protobuf's to judge. Any
// thread.
absl::Status CheckJson(std::string_view text, std::string_view file_name, const google::protobuf::Descriptor& message);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_JSON_CHECK_H_
