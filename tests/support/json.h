// A strict reader of JSON (RFC 8259), to hold against what writes it.
#ifndef TRANSPORTD_TESTS_SUPPORT_JSON_H_
#define TRANSPORTD_TESTS_SUPPORT_JSON_H_

#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace transportd {

// Threading: a value.
struct Json {
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  std::string text;  // kString: decoded; kNumber, kBool: as it was written.
  std::vector<Json> items;
  std::map<std::string, Json> members;

  bool Has(const std::string& key) const { return members.count(key) > 0; }
  // Of an object; null when it has none.
  const Json& operator[](const std::string& key) const;
  // `resource.requested`.
  const Json& At(std::string_view path) const;

  friend void PrintTo(const Json& json, std::ostream* out);
};

// One value and nothing after it. Nothing: what RFC 8259 does not allow, and besides: a key given twice, bytes that are
// not UTF-8, a lone surrogate, more than 32 levels.
std::optional<Json> ReadJson(std::string_view text);

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_SUPPORT_JSON_H_
