#include "clients/cpp/transportctl/top_screen.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <string>
#include <string_view>

#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

// Of the table, whatever the header wants.
constexpr int kLeastTableRows = 4;
// What is neither header nor table row: the lists' names, the heading, the bottom line.
constexpr int kFixedRows = 3;

constexpr std::string_view kHelpLines[] = {
    "s t d       sessions, transports, the last denials",
    "up down     choose a row; PgUp, PgDn, Home and End, too",
    "o r         sort by the next column; the other way round",
    "/           only rows that contain a text: Enter keeps it, Esc ends it",
    "e           end the chosen session or transport; asks first",
    "p           stand still, and go on",
    "q           quit; Ctrl-C, too. Ctrl-Z suspends, Ctrl-L draws anew",
    "",
    "IN, OUT     bytes from and to the socket; IN/s, OUT/s: between the last two looks",
    "BUFFER      bytes that the client has not acknowledged, and those not yet sent",
    "STATE       ‖client: the client wants no more for now; ‖window: it does not",
    "            acknowledge what it has; ‖session: its session may hold no more",
    "lag         the longest turn of a loop in the last 10 to 20 seconds",
    "",
    "Any key goes back.",
};

std::string_view NameOf(TopList list) {
  switch (list) {
    case TopList::kSessions:
      return "sessions";
    case TopList::kTransports:
      return "transports";
    case TopList::kDenials:
      break;
  }
  return "denials";
}

std::string CountOf(TopList list, const v1::GetStatusResponse& status) {
  const int count = list == TopList::kSessions     ? status.sessions_size()
                    : list == TopList::kTransports ? status.transports_size()
                                                   : status.denials_size();
  return StrCat(count, status.truncated() && list != TopList::kDenials ? "+" : "");
}

Line ListsLine(const TopView& view) {
  Line line;
  for (const TopList list : {TopList::kSessions, TopList::kTransports, TopList::kDenials}) {
    const std::string text = StrCat(" ", NameOf(list), " ", CountOf(list, view.history().status()), " ");
    line.Add(text, list == view.list() ? Tone::kSelected : Tone::kDim).Add(" ");
  }
  if (const auto column = view.sort_column()) {
    line.Add(" by ", Tone::kDim).Add(std::string(TopColumns(view.list())[*column].title), Tone::kStrong);
  }
  if (view.reversed()) line.Add(view.sort_column() ? ", reversed" : " reversed", Tone::kStrong);
  if (!view.filter().empty()) {
    line.Add("  only ", Tone::kDim).Add(StrCat("\"", view.filter(), "\""), Tone::kStrong);
    line.Add(StrCat(" (", view.rows().size(), ")"));
  }
  return line;
}

Line HeadingLine(std::span<const TopColumn> columns, std::span<const int> widths, std::string_view margin) {
  Line line;
  std::string text(margin);
  for (size_t i = 0; i < columns.size(); ++i) {
    if (widths[i] == 0) continue;
    if (text.size() > margin.size()) text += ' ';
    text += Fit(columns[i].title, widths[i], columns[i].align);
  }
  line.Add(text, Tone::kHeading);
  return line;
}

Line RowLine(const TopRow& row, std::span<const TopColumn> columns, std::span<const int> widths, bool selected,
             std::string_view margin) {
  Line line;
  line.Add(std::string(margin), selected ? Tone::kSelected : Tone::kPlain);
  for (size_t i = 0; i < columns.size(); ++i) {
    if (widths[i] == 0) continue;
    const TopCell& cell = row.cells[i];
    if (line.width() > static_cast<int>(margin.size())) line.Add(" ", selected ? Tone::kSelected : Tone::kPlain);
    line.Add(Fit(cell.text.empty() ? "-" : cell.text, widths[i], columns[i].align, columns[i].cut),
             selected            ? Tone::kSelected
             : cell.text.empty() ? Tone::kDim
                                 : cell.tone);
  }
  return line;
}

Line NothingLine(TopList list, bool filtered) {
  return Line(StrCat(" no ", NameOf(list),
                     filtered                    ? " with that in them"
                     : list == TopList::kDenials ? " yet"
                                                 : ""),
              Tone::kDim);
}

Line BottomLine(const TopView& view) {
  switch (view.mode()) {
    case TopView::Mode::kConfirm:
      return Line(StrCat("End ", view.target().text, "? y/n"), Tone::kWarning);
    case TopView::Mode::kFilter:
      return Line("/", Tone::kStrong).Add(view.filter()).Add("▏");
    default:
      break;
  }
  if (!view.message().empty()) return Line(ScreenText(view.message()), Tone::kWarning);
  Line line;
  constexpr std::pair<std::string_view, std::string_view> kKeys[] = {
      {"q", "quit"},   {"s", "essions"}, {"t", "ransports"}, {"d", "enials"}, {"o", "rder"},
      {"r", "everse"}, {"/", "filter"},  {"p", "ause"},      {"e", "nd"},     {"?", "help"}};
  for (const auto& [key, name] : kKeys) {
    if (line.width() > 0) line.Add(" ");
    const bool is_initial = key != "q" && key != "/" && key != "?";
    line.Add(std::string(key), Tone::kStrong).Add(StrCat(is_initial ? "" : " ", name), Tone::kDim);
  }
  return line;
}

// The table's rows that the screen shows, below the heading.
void AddRows(const TopView& view, int count, int width, std::vector<Line>& lines) {
  constexpr std::string_view kMargin = " ";
  const auto columns = TopColumns(view.list());
  const auto first = std::min(view.first(), view.rows().size());
  const auto shown =
      std::span(view.rows()).subspan(first, std::min(view.rows().size() - first, static_cast<size_t>(count)));
  const std::vector<int> widths = FitColumns(columns, shown, width - static_cast<int>(kMargin.size()));
  lines.push_back(HeadingLine(columns, widths, kMargin));
  if (shown.empty()) lines.push_back(NothingLine(view.list(), !view.filter().empty()));
  for (size_t i = 0; i < shown.size(); ++i) {
    const bool selected = first + i == view.selected();
    lines.push_back(RowLine(shown[i], columns, widths, selected, selected ? ">" : kMargin));
  }
}

}  // namespace

std::vector<Line> TopScreen(TopView& view, const TopConnection& connection, WindowSize size) {
  const auto rows = static_cast<int>(size.rows);
  const auto width = static_cast<int>(size.columns);
  std::vector<Line> lines = TopHeader(view.history(), connection, view.paused(), width);
  const int header = std::clamp(rows - kFixedRows - kLeastTableRows, 1, static_cast<int>(lines.size()));
  lines.resize(static_cast<size_t>(header));
  const int table = std::max(rows - kFixedRows - header, 1);
  view.SetPage(table);
  if (view.mode() == TopView::Mode::kHelp) {
    lines.emplace_back();
    for (const std::string_view line : kHelpLines) lines.emplace_back(StrCat(" ", line));
  } else {
    lines.push_back(ListsLine(view));
    AddRows(view, table, width, lines);
  }
  lines.resize(static_cast<size_t>(std::max(rows - 1, 0)));
  lines.push_back(BottomLine(view));
  for (Line& line : lines) line = line.CutTo(width);
  return lines;
}

std::vector<Line> TopReport(const StatusHistory& history, const TopConnection& connection, int width) {
  std::vector<Line> lines = TopHeader(history, connection, false, width);
  for (const TopList list : {TopList::kSessions, TopList::kTransports, TopList::kDenials}) {
    const auto columns = TopColumns(list);
    const std::vector<TopRow> rows = TopRows(list, history);
    lines.emplace_back();
    lines.emplace_back(StrCat(NameOf(list), " ", CountOf(list, history.status())), Tone::kStrong);
    if (rows.empty()) continue;
    const std::vector<int> widths = FitColumns(columns, rows, width);
    lines.push_back(HeadingLine(columns, widths, "").CutTo(width));
    for (const TopRow& row : rows) lines.push_back(RowLine(row, columns, widths, false, "").CutTo(width));
  }
  return lines;
}

}  // namespace transportd::ctl
