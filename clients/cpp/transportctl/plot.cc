#include "clients/cpp/transportctl/plot.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>

namespace transportd::ctl {
namespace {

constexpr std::string_view kFromLeft[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
constexpr std::string_view kFromBelow[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

}  // namespace

std::string Bar(double fraction, int width) {
  const double clamped = std::clamp(fraction, 0.0, 1.0);
  int eighths = static_cast<int>(std::lround(clamped * width * 8));
  if (fraction > 0) eighths = std::max(eighths, 1);
  std::string out;
  for (int column = 0; column < width; ++column) {
    const std::string_view piece = kFromLeft[std::clamp(eighths - column * 8, 0, 8)];
    out += piece.empty() ? "·" : piece;
  }
  return out;
}

std::string Sparkline(std::span<const double> values) {
  const double greatest = values.empty() ? 0 : *std::max_element(values.begin(), values.end());
  constexpr auto kHighest = static_cast<double>(std::size(kFromBelow) - 1);
  std::string out;
  for (const double value : values) {
    if (value < 0) {
      out += ' ';
      continue;
    }
    const double level = greatest > 0 ? std::ceil(value / greatest * kHighest) : 0;
    out += kFromBelow[static_cast<size_t>(level)];
  }
  return out;
}

}  // namespace transportd::ctl
