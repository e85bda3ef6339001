// Text that a proto string may hold.
#ifndef TRANSPORTD_TRANSPORTS_BASE_UTF8_H_
#define TRANSPORTD_TRANSPORTS_BASE_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace transportd {

// How many bytes of well-formed UTF-8 begin `text`, one character; 0: none. RFC 3629: no surrogates, no overlong forms.
// `text` is not empty.
size_t Utf8Length(std::string_view text);

// Whether all of it is.
bool IsUtf8(std::string_view text);

// `text` when it is UTF-8; else with each byte above 0x7f as \ooo, as the shell's $'…' takes it. For telling of paths,
// which may be any bytes.
std::string Utf8OrEscaped(std::string_view text);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_UTF8_H_
