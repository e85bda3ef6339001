// Characters of ASCII, as names and numbers are written. Any other character is none of them.
#ifndef TRANSPORTD_SERVER_POLICY_ASCII_H_
#define TRANSPORTD_SERVER_POLICY_ASCII_H_

#include <string_view>

namespace transportd {

constexpr bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
constexpr bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }
constexpr bool IsOneOf(char c, std::string_view characters) { return characters.find(c) != std::string_view::npos; }

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_ASCII_H_
