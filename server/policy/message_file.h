// Reads a protobuf message that a person wrote.
#ifndef TRANSPORTD_SERVER_POLICY_MESSAGE_FILE_H_
#define TRANSPORTD_SERVER_POLICY_MESSAGE_FILE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message.h"

namespace transportd {

// `text` as textproto (https://protobuf.dev/reference/protobuf/textformat-spec/), or as JSON when its first character
// that is no white space is `{`. INVALID_ARGUMENT, `FILE:LINE:COLUMN: what is wrong`, both from 1: for an unknown
// field, a value of another type, a name given twice in JSON, more than 4 MiB, no content at all. Any thread.
absl::Status ReadMessage(std::string_view text, std::string_view file_name, google::protobuf::Message& message);

// The text of a regular file of at most 4 MiB: the kernel's error, or INVALID_ARGUMENT. Blocks.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_MESSAGE_FILE_H_
