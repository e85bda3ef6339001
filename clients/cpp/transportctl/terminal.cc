#include "clients/cpp/transportctl/terminal.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "transports/api/error.h"
#include "transports/base/check.h"

namespace transportd::ctl {
namespace {

constexpr int kCrashes[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV};

// All that a signal handler can be given: what to restore, while there is a RawTerminal.
struct Saved {
  int fd = -1;
  termios before = {};
  Farewell farewell;
};
Saved g_saved = {};
std::atomic<bool> g_is_raw{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void SayFarewell(const Farewell& farewell) {
  if (!farewell.text.empty()) static_cast<void>(!::write(farewell.fd, farewell.text.data(), farewell.text.size()));
}

// tcsetattr and write are async-signal-safe: signal-safety(7). The handler is gone when it runs (SA_RESETHAND), so that
// the signal has its usual end.
void OnCrash(int signal_number) {
  if (g_is_raw.load()) {
    SayFarewell(g_saved.farewell);
    ::tcsetattr(g_saved.fd, TCSANOW, &g_saved.before);
  }
  ::raise(signal_number);
}

// Those that somebody else handles, such as a sanitizer, are left alone.
void HandleCrashes() {
  for (const int signal_number : kCrashes) {
    struct sigaction before = {};
    CHECK(::sigaction(signal_number, nullptr, &before) == 0);
    if (before.sa_handler != SIG_DFL) continue;
    struct sigaction action = {};
    action.sa_handler = &OnCrash;
    action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_NODEFER;
    CHECK(::sigaction(signal_number, &action, nullptr) == 0);
  }
}

}  // namespace

bool IsTerminal(int fd) { return ::isatty(fd) == 1; }

std::optional<WindowSize> TerminalSize() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    winsize size = {};
    if (::ioctl(fd, TIOCGWINSZ, &size) != 0) continue;
    if (size.ws_row == 0 || size.ws_col == 0) return std::nullopt;
    return WindowSize{.rows = size.ws_row, .columns = size.ws_col};
  }
  return std::nullopt;
}

absl::StatusOr<std::unique_ptr<RawTerminal>> RawTerminal::Enter(int fd, Farewell farewell) {
  termios before = {};
  if (::tcgetattr(fd, &before) != 0) {
    int error_number = errno;
    return ErrnoToStatus(error_number, "tcgetattr");
  }
  std::unique_ptr<RawTerminal> terminal(new RawTerminal(fd, before, farewell));
  if (absl::Status status = terminal->Resume(); !status.ok()) return status;
  return terminal;
}

RawTerminal::RawTerminal(int fd, const termios& before, Farewell farewell)
    : fd_(fd), before_(before), farewell_(farewell) {
  g_saved = {.fd = fd, .before = before, .farewell = farewell};
  CHECK(!g_is_raw.exchange(true));
  HandleCrashes();
}

absl::Status RawTerminal::Resume() {
  termios raw = before_;
  ::cfmakeraw(&raw);
  // What was typed ahead stays.
  if (::tcsetattr(fd_, TCSADRAIN, &raw) != 0) {
    int error_number = errno;
    return ErrnoToStatus(error_number, "tcsetattr");
  }
  return absl::OkStatus();
}

RawTerminal::~RawTerminal() {
  SayFarewell(farewell_);
  // Fails only when the terminal is gone.
  ::tcsetattr(fd_, TCSANOW, &before_);
  g_is_raw = false;
}

}  // namespace transportd::ctl
