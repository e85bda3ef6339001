// JSON of an operator's file, read into its message.
#ifndef TRANSPORTD_SERVER_POLICY_CONFIG_JSON_H_
#define TRANSPORTD_SERVER_POLICY_CONFIG_JSON_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace transportd {

// Adds the object in `text`, which ParseJson reads, to `out`, as https://protobuf.dev/programming-guides/json/ has it;
// whole numbers are written without exponents. For the types that configuration has: uint32, uint64, double, bool,
// string, enums, messages, Duration, Timestamp; CHECK-fails on others. INVALID_ARGUMENT, its message begins with
// LINE:COLUMN. Threading: any thread.
absl::Status ReadConfigJson(std::string_view text, google::protobuf::Message& out);

// `TCP, UDP`: what a field of an enum may be; without the value of 0, which says nothing. Threading: any thread.
std::string ValueNames(const google::protobuf::EnumDescriptor& type);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_CONFIG_JSON_H_
