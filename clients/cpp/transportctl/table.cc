#include "clients/cpp/transportctl/table.h"

#include <algorithm>

namespace transportd::ctl {
namespace {

// What others chose (a client's name) must not drive the terminal.
std::string Printable(const std::string& cell) {
  std::string out = cell;
  std::replace_if(
      out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return out.empty() ? "-" : out;
}

}  // namespace

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Printable(row[i]).size());
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string cell = Printable(row[i]);
      out += cell;
      if (i + 1 < row.size()) out.append(widths[i] - cell.size() + 2, ' ');
    }
    out += '\n';
  }
  return out;
}

}  // namespace transportd::ctl
