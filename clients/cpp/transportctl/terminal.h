// The terminal that transportctl itself runs in.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TERMINAL_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TERMINAL_H_

#include <termios.h>

#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/subprocess.h"

namespace transportd::ctl {

bool IsTerminal(int fd);

// Of the first standard stream that is a terminal. Unset: none is, or it does not say.
std::optional<WindowSize> TerminalSize();

// What is written to a terminal before it is given back. Threading: a value.
struct Farewell {
  int fd = -1;
  std::string_view text = {};  // Static.
};

// A terminal in raw mode, as cfmakeraw(3) has it, for as long as this lives; also a signal that crashes the program
// gives it back as it was. At most one at a time. Threading: a value's, one thread at a time.
class RawTerminal final {
 public:
  // `fd` must outlive it.
  static absl::StatusOr<std::unique_ptr<RawTerminal>> Enter(int fd, Farewell farewell = {});
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

  // Raw mode again, after somebody else had the terminal, such as a shell while this program was stopped.
  absl::Status Resume();

 private:
  RawTerminal(int fd, const termios& before, Farewell farewell);

  const int fd_;
  const termios before_;
  const Farewell farewell_;
};

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TERMINAL_H_
