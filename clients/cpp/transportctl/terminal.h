// The terminal that transportctl itself runs in.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TERMINAL_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TERMINAL_H_

#include <termios.h>

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "transports/api/subprocess.h"

namespace transportd::ctl {

bool IsTerminal(int fd);

// Of the first standard stream that is a terminal. Unset: none is, or it does not say.
std::optional<WindowSize> TerminalSize();

// A terminal in raw mode, as cfmakeraw(3) has it, for as long as this lives; also a signal that crashes the program
// gives it back as it was. At most one at a time. Threading: a value's, one thread at a time.
class RawTerminal final {
 public:
  // `fd` must outlive it.
  static absl::StatusOr<std::unique_ptr<RawTerminal>> Enter(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  RawTerminal(int fd, const termios& before);

  const int fd_;
  const termios before_;
};

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TERMINAL_H_
