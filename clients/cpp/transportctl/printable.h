// What others chose must not drive the terminal.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_PRINTABLE_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_PRINTABLE_H_

#include <string>
#include <string_view>

namespace transportd::ctl {

// `text` on one line: control characters (those of ISO 6429 beyond ASCII, U+0080 to U+009F, and U+2028 and U+2029 as
// well) and bytes that are no UTF-8 as `\n`, `\r`, `\t` or, each byte, `\x1b`: as SocketAddress::ToString has them. All
// else stays, a backslash too, so that what was escaped already stays as it is.
std::string Printable(std::string_view text);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_PRINTABLE_H_
