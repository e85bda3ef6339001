// The whole terminal, drawn line by line.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_FULL_SCREEN_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_FULL_SCREEN_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "clients/cpp/transportctl/screen_text.h"
#include "clients/cpp/transportctl/stdio.h"
#include "clients/cpp/transportctl/terminal.h"
#include "transports/api/subprocess.h"

namespace transportd::ctl {

// `line` with what makes a terminal show its tones (ECMA-48 §8.3.117); without colours only bold, dim and reversed.
std::string AnsiText(const Line& line, bool color);

// Standard input and output as a raw terminal, on its alternate screen, for as long as this lives; also a signal that
// crashes the program gives it back. Only what has changed is drawn, in one go. Threading: loop thread only.
class FullScreen final {
 public:
  // `writer`, of standard output, must outlive it.
  static absl::StatusOr<std::unique_ptr<FullScreen>> Enter(StdoutWriter& writer, bool color);
  FullScreen(const FullScreen&) = delete;
  FullScreen& operator=(const FullScreen&) = delete;

  // Nothing while the terminal has not taken what was drawn before: the next one shows what is then.
  void Draw(const std::vector<Line>& lines, WindowSize size);
  // The next Draw draws all.
  void Forget() { size_.reset(); }
  // Takes the terminal again, after somebody else had it while this program was stopped.
  absl::Status Resume();

 private:
  FullScreen(StdoutWriter& writer, bool color, std::unique_ptr<RawTerminal> terminal);

  StdoutWriter& writer_;
  const bool color_;
  const std::unique_ptr<RawTerminal> terminal_;
  std::optional<WindowSize> size_;  // Of what is drawn; unset: nothing is.
  std::vector<std::string> drawn_;  // Each line.
};

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_FULL_SCREEN_H_
