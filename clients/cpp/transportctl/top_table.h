// The tables of `transportctl top`: what they list, and which of their columns fit.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TOP_TABLE_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TOP_TABLE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "clients/cpp/transportctl/screen_text.h"
#include "clients/cpp/transportctl/status_history.h"

namespace transportd::ctl {

enum class TopList { kSessions, kTransports, kDenials };

struct TopColumn {
  std::string_view title;
  Align align = Align::kLeft;
  int min_width = 0;
  int max_width = 0;  // More is of no use, unless there is room for all.
  int rank = 0;       // Of two that do not both fit, the one with the lower rank is shown.
  Cut cut = Cut::kEnd;
};

std::span<const TopColumn> TopColumns(TopList list);

// Threading: a value.
struct TopCell {
  std::string text = {};              // As ScreenText.
  std::optional<double> number = {};  // By which it is sorted, the greatest first.
  Tone tone = Tone::kPlain;
};

// Threading: a value.
struct TopRow {
  std::string key = {};             // The same the next time.
  std::string session_prefix = {};  // Whose it is, or which it is.
  uint32_t transport_id = 0;        // 0: it is no transport.
  std::vector<TopCell> cells = {};  // As many as the list has columns.
};

// In the order in which the service tells them. `history` has a status.
std::vector<TopRow> TopRows(TopList list, const StatusHistory& history);

// Those with `filter` in one of their cells, whatever its case; sorted by a column, or, without, as they are.
std::vector<TopRow> Arranged(std::vector<TopRow> rows, std::string_view filter, std::optional<size_t> sort_column,
                             bool reversed);

// How wide each column is, with one space in between all of them `width` at most; 0: it is not shown.
std::vector<int> FitColumns(std::span<const TopColumn> columns, std::span<const TopRow> rows, int width);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TOP_TABLE_H_
