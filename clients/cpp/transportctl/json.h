// JSON lines, for programs that read transportctl's output. RFC 8259.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_JSON_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_JSON_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace transportd::ctl {

// `text` in quotes. Bytes that are not UTF-8 become U+FFFD.
std::string JsonString(std::string_view text);

// RFC 4648 §4, with padding.
std::string Base64(std::string_view bytes);

// One object, built in order. Threading: a value.
class JsonObject final {
 public:
  JsonObject& Add(std::string_view name, std::string_view text) { return AddRaw(name, JsonString(text)); }
  JsonObject& Add(std::string_view name, const char* text) { return Add(name, std::string_view(text)); }
  JsonObject& Add(std::string_view name, uint64_t number) { return AddRaw(name, std::to_string(number)); }
  JsonObject& Add(std::string_view name, bool value) { return AddRaw(name, value ? "true" : "false"); }
  // `value` is JSON already.
  JsonObject& AddRaw(std::string_view name, std::string_view value);

  std::string ToString() const { return text_ + "}"; }

 private:
  std::string text_ = "{";
};

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_JSON_H_
