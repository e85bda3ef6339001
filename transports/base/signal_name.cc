#include "transports/base/signal_name.h"

#include <charconv>
#include <csignal>
#include <cstring>
#include <system_error>

namespace transportd {
namespace {

struct Alias {
  std::string_view name;
  int number;
};
// Names that sigabbrev_np(3) does not give because the signal has another one.
constexpr Alias kAliases[] = {{"CLD", SIGCHLD}, {"IO", SIGIO}, {"IOT", SIGIOT}};

std::optional<int> RealTimeSignal(std::string_view name) {
  const bool is_first = name.starts_with("RTMIN");
  if (!is_first && !name.starts_with("RTMAX")) return std::nullopt;
  const int base = is_first ? SIGRTMIN : SIGRTMAX;
  name.remove_prefix(5);
  if (name.empty()) return base;
  if (name.front() != (is_first ? '+' : '-')) return std::nullopt;
  name.remove_prefix(1);
  unsigned distance = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), distance);
  const auto range = static_cast<unsigned>(SIGRTMAX - SIGRTMIN);
  if (error != std::errc() || end != name.data() + name.size() || distance > range) return std::nullopt;
  return is_first ? base + static_cast<int>(distance) : base - static_cast<int>(distance);
}

}  // namespace

std::optional<int> SignalNumber(std::string_view name) {
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (int number = 1; number < SIGRTMIN; ++number) {
    const char* const abbreviation = ::sigabbrev_np(number);
    if (abbreviation != nullptr && name == abbreviation) return number;
  }
  for (const Alias& alias : kAliases) {
    if (name == alias.name) return alias.number;
  }
  return RealTimeSignal(name);
}

}  // namespace transportd
