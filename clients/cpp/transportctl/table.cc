#include "clients/cpp/transportctl/table.h"

#include <algorithm>

#include "clients/cpp/transportctl/printable.h"

namespace transportd::ctl {
namespace {

std::string CellText(const std::string& cell) { return cell.empty() ? "-" : Printable(cell); }

}  // namespace

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], CellText(row[i]).size());
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string cell = CellText(row[i]);
      out += cell;
      if (i + 1 < row.size()) out.append(widths[i] - cell.size() + 2, ' ');
    }
    out += '\n';
  }
  return out;
}

}  // namespace transportd::ctl
