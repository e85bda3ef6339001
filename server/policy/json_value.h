// JSON, read strictly: RFC 8259 and no more, UTF-8, each name of an object once.
#ifndef TRANSPORTD_SERVER_POLICY_JSON_VALUE_H_
#define TRANSPORTD_SERVER_POLICY_JSON_VALUE_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace transportd {

// The name of an object's element.
struct JsonName {
  std::string text;
  size_t offset_bytes = 0;  // Where it begins in the text that was read.
};

// Threading: a value.
struct JsonValue {
  enum class Kind { kNull, kFalse, kTrue, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  size_t offset_bytes = 0;
  std::string text = {};                 // kString: what it means; kNumber: as it is written.
  std::vector<JsonName> names = {};      // kObject: of its elements.
  std::vector<JsonValue> elements = {};  // kArray, kObject: in their order.

  // An object's element; null: it has none of that name, or this is no object.
  const JsonValue* Find(std::string_view name) const;
};

// `text` is one value, at most 32 deep. INVALID_ARGUMENT, its message begins with LINE:COLUMN.
absl::StatusOr<JsonValue> ParseJson(std::string_view text);

// `LINE:COLUMN` of a byte, both from 1; a column is a byte.
std::string LineAndColumn(std::string_view text, size_t offset_bytes);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_JSON_VALUE_H_
