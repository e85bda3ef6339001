#include "clients/cpp/transportctl/screen_text.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <tuple>
#include <utility>

#include "clients/cpp/transportctl/printable.h"
#include "transports/base/utf8.h"

namespace transportd::ctl {
namespace {

// Enough for the widest screens.
constexpr size_t kMaxTextBytes = 600;

struct Range {
  char32_t first;
  char32_t last;
};

// Unicode's general categories Mn, Me and Cf, in blocks rather than one by one.
constexpr Range kNoColumn[] = {
    {0x00ad, 0x00ad},   {0x0300, 0x036f},   {0x0483, 0x0489},   {0x0591, 0x05bd},   {0x05bf, 0x05bf}, {0x05c1, 0x05c2},
    {0x05c4, 0x05c5},   {0x05c7, 0x05c7},   {0x0600, 0x0605},   {0x0610, 0x061a},   {0x061c, 0x061c}, {0x064b, 0x065f},
    {0x0670, 0x0670},   {0x06d6, 0x06dd},   {0x06df, 0x06e4},   {0x06e7, 0x06e8},   {0x06ea, 0x06ed}, {0x070f, 0x070f},
    {0x0711, 0x0711},   {0x0730, 0x074a},   {0x07a6, 0x07b0},   {0x07eb, 0x07f3},   {0x0816, 0x082d}, {0x0859, 0x085b},
    {0x0890, 0x089f},   {0x08ca, 0x0902},   {0x093a, 0x093a},   {0x093c, 0x093c},   {0x0941, 0x0948}, {0x094d, 0x094d},
    {0x0951, 0x0957},   {0x0e31, 0x0e31},   {0x0e34, 0x0e3a},   {0x0e47, 0x0e4e},   {0x1160, 0x11ff}, {0x180b, 0x180f},
    {0x1ab0, 0x1aff},   {0x1dc0, 0x1dff},   {0x200b, 0x200f},   {0x202a, 0x202e},   {0x2060, 0x206f}, {0x20d0, 0x20f0},
    {0x302a, 0x302d},   {0x3099, 0x309a},   {0xfe00, 0xfe0f},   {0xfe20, 0xfe2f},   {0xfeff, 0xfeff}, {0xfff9, 0xfffb},
    {0x1d167, 0x1d169}, {0x1d173, 0x1d182}, {0x1f3fb, 0x1f3ff}, {0xe0000, 0xe0fff},
};

// Unicode's East Asian Width W and F, in blocks.
constexpr Range kTwoColumns[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x23e9, 0x23ec},   {0x23f0, 0x23f0},   {0x23f3, 0x23f3},
    {0x25fd, 0x25fe},   {0x2614, 0x2615},   {0x2648, 0x2653},   {0x267f, 0x267f},   {0x2693, 0x2693},
    {0x26a1, 0x26a1},   {0x26aa, 0x26ab},   {0x26bd, 0x26be},   {0x26c4, 0x26c5},   {0x26ce, 0x26ce},
    {0x26d4, 0x26d4},   {0x26ea, 0x26ea},   {0x26f2, 0x26f3},   {0x26f5, 0x26f5},   {0x26fa, 0x26fa},
    {0x26fd, 0x26fd},   {0x2705, 0x2705},   {0x270a, 0x270b},   {0x2728, 0x2728},   {0x274c, 0x274c},
    {0x274e, 0x274e},   {0x2753, 0x2755},   {0x2757, 0x2757},   {0x2795, 0x2797},   {0x27b0, 0x27b0},
    {0x27bf, 0x27bf},   {0x2b1b, 0x2b1c},   {0x2b50, 0x2b50},   {0x2b55, 0x2b55},   {0x2e80, 0x303e},
    {0x3041, 0xa4cf},   {0xa960, 0xa97c},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe10, 0xfe19},
    {0xfe30, 0xfe6f},   {0xff01, 0xff60},   {0xffe0, 0xffe6},   {0x16fe0, 0x18cff}, {0x1b000, 0x1b2ff},
    {0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf}, {0x1f18e, 0x1f18e}, {0x1f191, 0x1f19a}, {0x1f200, 0x1f320},
    {0x1f32d, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f7e0, 0x1f7eb}, {0x1f90c, 0x1f9ff}, {0x1fa70, 0x1faff},
    {0x20000, 0x3fffd},
};

template <size_t kCount>
bool IsIn(const Range (&ranges)[kCount], char32_t character) {
  const auto* const after = std::upper_bound(std::begin(ranges), std::end(ranges), character,
                                             [](char32_t one, const Range& range) { return one < range.first; });
  return after != std::begin(ranges) && character <= std::prev(after)->last;
}

// Of the well-formed character `text`.
char32_t CodePoint(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  if (text.size() == 1) return lead;
  char32_t code = lead & (0x7fu >> text.size());
  for (const char c : text.substr(1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3fu);
  return code;
}

// The first character, or byte that is none, which is taken away.
std::string_view TakeCharacter(std::string_view& text) {
  const std::string_view character = text.substr(0, std::max<size_t>(Utf8Length(text), 1));
  text.remove_prefix(character.size());
  return character;
}

int WidthOf(std::string_view character) { return IsIn(kTwoColumns, CodePoint(character)) ? 2 : 1; }

// As much of `text` as `width` columns hold, and how many it takes.
std::pair<std::string_view, int> Prefix(std::string_view text, int width) {
  std::string_view rest = text;
  int used = 0;
  while (!rest.empty()) {
    std::string_view after = rest;
    const int needed = WidthOf(TakeCharacter(after));
    if (used + needed > width) break;
    used += needed;
    rest = after;
  }
  return {text.substr(0, text.size() - rest.size()), used};
}

}  // namespace

std::string ScreenText(std::string_view text) {
  const std::string printable = Printable(text.substr(0, kMaxTextBytes));
  std::string out;
  std::string_view rest = printable;
  while (!rest.empty()) {
    const std::string_view character = TakeCharacter(rest);
    out += IsIn(kNoColumn, CodePoint(character)) ? "\ufffd" : character;
  }
  return out;
}

int TextWidth(std::string_view text) {
  int width = 0;
  while (!text.empty()) width += WidthOf(TakeCharacter(text));
  return width;
}

std::string Fit(std::string_view text, int width, Align align, Cut cut) {
  if (width <= 0) return "";
  auto [shown, used] = Prefix(text, width);
  std::string out(shown);
  if (shown.size() < text.size()) {
    if (cut == Cut::kEnd) {
      std::tie(shown, used) = Prefix(text, width - 1);
      out = std::string(shown) + "…";
    } else {
      int left = TextWidth(text);
      while (left > width - 1) left -= WidthOf(TakeCharacter(text));
      used = left;
      out = "…" + std::string(text);
    }
    ++used;
  }
  const std::string padding(static_cast<size_t>(width - used), ' ');
  return align == Align::kLeft ? out + padding : padding + out;
}

Line& Line::Add(std::string text, Tone tone) {
  if (text.empty()) return *this;
  width_ += TextWidth(text);
  spans_.push_back({.text = std::move(text), .tone = tone});
  return *this;
}

Line& Line::PadTo(int column) {
  const int count = std::max(column - width_, spans_.empty() ? 0 : 1);
  return Add(std::string(static_cast<size_t>(count), ' '));
}

std::string Line::text() const {
  std::string out;
  for (const Span& span : spans_) out += span.text;
  return out;
}

Line Line::CutTo(int width) const {
  if (width_ <= width) return *this;
  Line out;
  for (const Span& span : spans_) {
    const int room = width - out.width();
    const bool fits = TextWidth(span.text) <= room;
    out.Add(fits ? span.text : Fit(span.text, room), span.tone);
    if (!fits) break;
  }
  return out;
}

}  // namespace transportd::ctl
