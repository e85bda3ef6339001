// Signals by name.
#ifndef TRANSPORTD_TRANSPORTS_BASE_SIGNAL_NAME_H_
#define TRANSPORTD_TRANSPORTS_BASE_SIGNAL_NAME_H_

#include <optional>
#include <string_view>

namespace transportd {

// The number, on this system, of `SIGTERM`, `TERM`, `SIGRTMIN`, `RTMIN+3`, `RTMAX-1`, …; upper case, `SIG` may be left
// out. Unset: there is no such signal.
std::optional<int> SignalNumber(std::string_view name);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_SIGNAL_NAME_H_
