// JSON into a message, as https://protobuf.dev/programming-guides/json/ has it.
#ifndef TRANSPORTD_SERVER_POLICY_CONFIG_JSON_H_
#define TRANSPORTD_SERVER_POLICY_CONFIG_JSON_H_

#include <cstddef>
#include <optional>
#include <string>

#include "google/protobuf/message.h"
#include "server/policy/json_value.h"

namespace transportd {

struct JsonConversionError {
  size_t offset_bytes = 0;
  std::string message;
};

// Adds `object` to `out`. For the types that configuration has: numbers, bool, string, enums, messages, Duration,
// Timestamp; CHECK-fails on maps and bytes. Nothing: it worked. Threading: any thread.
std::optional<JsonConversionError> JsonToMessage(const JsonValue& object, google::protobuf::Message& out);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_CONFIG_JSON_H_
