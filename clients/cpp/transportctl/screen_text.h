// Text in the columns of a terminal.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_SCREEN_TEXT_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_SCREEN_TEXT_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace transportd::ctl {

// What others chose, for one place on the screen: Printable, and each character without a column of its own (combining,
// invisible, or turning the direction of writing) is U+FFFD. At most some hundred bytes: no screen shows more.
std::string ScreenText(std::string_view text);

// How many columns `text` takes: East Asian wide characters and emoji two, all else one. `text` as ScreenText or this
// program makes it.
int TextWidth(std::string_view text);

enum class Align { kLeft, kRight };

// Where `…` stands for what has no room: of names the end tells more.
enum class Cut { kEnd, kBeginning };

// `text` in exactly `width` columns: padded or cut.
std::string Fit(std::string_view text, int width, Align align = Align::kLeft, Cut cut = Cut::kEnd);

// How a piece of a line looks; see FullScreen.
enum class Tone { kPlain, kDim, kStrong, kGood, kWarning, kBad, kHeading, kSelected };

// Threading: a value.
struct Span {
  std::string text;
  Tone tone = Tone::kPlain;
};

// One line of the screen. Threading: a value.
class Line final {
 public:
  Line() = default;
  explicit Line(std::string text, Tone tone = Tone::kPlain) { Add(std::move(text), tone); }

  Line& Add(std::string text, Tone tone = Tone::kPlain);
  // Spaces up to `column`, at least one when the line is not empty.
  Line& PadTo(int column);

  int width() const { return width_; }
  const std::vector<Span>& spans() const { return spans_; }
  // Without how it looks.
  std::string text() const;
  // Cut to at most `width` columns.
  Line CutTo(int width) const;

 private:
  std::vector<Span> spans_;
  int width_ = 0;
};

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_SCREEN_TEXT_H_
