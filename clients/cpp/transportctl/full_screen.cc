#include "clients/cpp/transportctl/full_screen.h"

#include <unistd.h>

#include <string_view>
#include <utility>

#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

// xterm's private modes, which every terminal of today knows: 1049 the alternate screen, 25 the cursor, 7 lines that go
// on in the next one; and 2026, which some know: show what comes all at once.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[?7l";
constexpr std::string_view kLeave = "\x1b[?2026l\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";
constexpr std::string_view kBeginFrame = "\x1b[?2026h";
constexpr std::string_view kEndFrame = "\x1b[?2026l";
constexpr std::string_view kClear = "\x1b[2J";
constexpr std::string_view kPlain = "\x1b[0m";
constexpr std::string_view kClearToEnd = "\x1b[K";

std::string_view Code(Tone tone, bool color) {
  switch (tone) {
    case Tone::kPlain:
      break;
    case Tone::kDim:
      return "\x1b[2m";
    case Tone::kStrong:
      return "\x1b[1m";
    case Tone::kGood:
      return color ? "\x1b[32m" : "";
    case Tone::kWarning:
      return color ? "\x1b[33m" : "\x1b[1m";
    case Tone::kBad:
      return color ? "\x1b[1;31m" : "\x1b[1;7m";
    case Tone::kHeading:
      return color ? "\x1b[1;36m" : "\x1b[1;4m";
    case Tone::kSelected:
      return "\x1b[7m";
  }
  return "";
}

}  // namespace

std::string AnsiText(const Line& line, bool color) {
  std::string out;
  for (const Span& span : line.spans()) {
    const std::string_view code = Code(span.tone, color);
    out += code;
    out += span.text;
    if (!code.empty()) out += kPlain;
  }
  return out;
}

absl::StatusOr<std::unique_ptr<FullScreen>> FullScreen::Enter(StdoutWriter& writer, bool color) {
  absl::StatusOr<std::unique_ptr<RawTerminal>> terminal =
      RawTerminal::Enter(STDIN_FILENO, {.fd = STDOUT_FILENO, .text = kLeave});
  if (!terminal.ok()) return terminal.status();
  return std::unique_ptr<FullScreen>(new FullScreen(writer, color, *std::move(terminal)));
}

FullScreen::FullScreen(StdoutWriter& writer, bool color, std::unique_ptr<RawTerminal> terminal)
    : writer_(writer), color_(color), terminal_(std::move(terminal)) {
  writer_.Write(kEnter);
}

absl::Status FullScreen::Resume() {
  if (absl::Status status = terminal_->Resume(); !status.ok()) return status;
  writer_.Write(kEnter);
  Forget();
  return absl::OkStatus();
}

void FullScreen::Draw(const std::vector<Line>& lines, WindowSize size) {
  if (!writer_.empty()) return;
  const bool is_all = !size_ || size.rows != size_->rows || size.columns != size_->columns;
  if (is_all) drawn_.assign(lines.size(), "");
  drawn_.resize(lines.size());
  std::string out;
  for (size_t i = 0; i < lines.size(); ++i) {
    std::string line = AnsiText(lines[i], color_);
    if (line == drawn_[i]) continue;
    out += StrCat("\x1b[", i + 1, ";1H", line, kClearToEnd);
    drawn_[i] = std::move(line);
  }
  size_ = size;
  if (is_all || !out.empty()) writer_.Write(StrCat(kBeginFrame, is_all ? kClear : "", out, kEndFrame));
}

}  // namespace transportd::ctl
