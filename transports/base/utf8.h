// Text that a proto string may hold.
#ifndef TRANSPORTD_TRANSPORTS_BASE_UTF8_H_
#define TRANSPORTD_TRANSPORTS_BASE_UTF8_H_

#include <string>
#include <string_view>

namespace transportd {

// RFC 3629: no surrogates, no overlong forms.
bool IsUtf8(std::string_view text);

// `text` when it is UTF-8; else with each byte above 0x7f as \ooo, as the shell's $'…' takes it. For telling of paths,
// which may be any bytes.
std::string Utf8OrEscaped(std::string_view text);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_UTF8_H_
