#include "clients/cpp/transportctl/top_table.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>
#include <numeric>
#include <utility>

#include "clients/cpp/transportctl/figures.h"
#include "clients/cpp/transportctl/transport_row.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

constexpr TopColumn kSessionColumns[] = {
    {"PRINCIPAL", Align::kLeft, 10, 48, 0, Cut::kBeginning},
    {"SESSION", Align::kLeft, 8, 8, 0},
    {"CLIENT", Align::kLeft, 8, 24, 2},
    {"FROM", Align::kLeft, 8, 30, 1},
    {"AGE", Align::kRight, 6, 6, 0},
    {"TRANSP", Align::kRight, 6, 6, 0},
    {"IN/s", Align::kRight, 5, 5, 0},
    {"OUT/s", Align::kRight, 5, 5, 0},
    {"UNACK", Align::kRight, 5, 5, 1},
    {"TOWRITE", Align::kRight, 7, 7, 3},
    {"IGNORED", Align::kRight, 7, 7, 6},
    {"LOOP", Align::kRight, 4, 4, 4},
    {"DOOR", Align::kLeft, 6, 6, 5},
    {"TRACE", Align::kLeft, 12, 32, 7},
};

constexpr TopColumn kTransportColumns[] = {
    {"PRINCIPAL", Align::kLeft, 9, 48, 0, Cut::kBeginning},
    {"SESSION", Align::kLeft, 8, 8, 0},
    {"ID", Align::kRight, 3, 6, 0},
    {"KIND", Align::kLeft, 6, 10, 0},
    {"LOCAL", Align::kLeft, 15, 45, 2},
    {"PEER", Align::kLeft, 21, 48, 0},
    {"AGE", Align::kRight, 6, 6, 0},
    {"IN", Align::kRight, 5, 5, 3},
    {"OUT", Align::kRight, 5, 5, 3},
    {"IN/s", Align::kRight, 5, 5, 0},
    {"OUT/s", Align::kRight, 5, 5, 0},
    {"BUFFER", Align::kRight, 6, 6, 1},
    {"STATE", Align::kLeft, 8, 8, 0},
    {"PROGRAM", Align::kLeft, 10, 60, 4},
};

constexpr TopColumn kDenialColumns[] = {
    {"TIME", Align::kLeft, 9, 9, 0},        {"PRINCIPAL", Align::kLeft, 10, 48, 0, Cut::kBeginning},
    {"SESSION", Align::kLeft, 8, 8, 2},     {"ACTION", Align::kLeft, 14, 32, 0},
    {"REQUESTED", Align::kLeft, 16, 64, 0}, {"RESOLVED", Align::kLeft, 14, 64, 3},
    {"RULE", Align::kLeft, 18, 40, 0},      {"EVENT", Align::kLeft, 16, 32, 4},
    {"UID", Align::kLeft, 12, 36, 5},
};

TopCell Text(std::string_view text, Tone tone = Tone::kPlain) { return {.text = ScreenText(text), .tone = tone}; }

TopCell Bytes(double bytes, Tone tone = Tone::kPlain) {
  const std::string text = BytesText(bytes);
  return {.text = text, .number = bytes, .tone = text == "0" ? Tone::kDim : tone};
}

TopCell Count(uint64_t count) { return {.text = StrCat(count), .number = static_cast<double>(count)}; }

TopCell Age(const google::protobuf::Timestamp& since, const v1::GetStatusResponse& status) {
  const double age = Seconds(status.time()) - Seconds(since);
  return {.text = AgeText(age), .number = age};
}

// Of a server no peer is known, of a subprocess its program is more than that.
std::string WhereTo(const v1::TransportInfo& transport) {
  if (!transport.program().empty()) return transport.program();
  const std::string peer = PeerText(transport);
  if (!peer.empty()) return StrCat("→ ", peer);
  const std::string local = LocalText(transport);
  return local.empty() ? "" : StrCat("at ", local);
}

TopCell State(const v1::TransportInfo& transport) {
  if (transport.is_closing()) return {.text = "closing", .tone = Tone::kDim};
  if (!transport.reading_paused()) return {.text = "open", .tone = Tone::kGood};
  switch (transport.reading_pause()) {
    case v1::READING_PAUSE_CLIENT:
      return {.text = "‖client", .tone = Tone::kWarning};
    case v1::READING_PAUSE_WINDOW:
      return {.text = "‖window", .tone = Tone::kWarning};
    case v1::READING_PAUSE_SESSION:
      return {.text = "‖session", .tone = Tone::kWarning};
    default:
      return {.text = "‖", .tone = Tone::kWarning};
  }
}

TopRow SessionRow(const v1::SessionInfo& session, const StatusHistory& history) {
  const Rate rate = history.RateOf(session);
  return {
      .key = session.session_prefix(),
      .session_prefix = session.session_prefix(),
      .cells = {Text(session.principal(), Tone::kStrong), Text(session.session_prefix()), Text(session.client_name()),
                Text(session.peer()), Age(session.open_time(), history.status()), Count(session.transport_count()),
                Bytes(rate.received), Bytes(rate.sent), Bytes(static_cast<double>(session.unacknowledged_bytes())),
                Bytes(static_cast<double>(session.write_buffer_size_bytes())), Count(session.ignored_command_count()),
                Count(session.event_loop_index()), Text(session.streaming() ? "stream" : "unary"),
                Text(session.trace_id())}};
}

TopRow TransportTopRow(const v1::TransportInfo& transport, std::string_view principal, const StatusHistory& history) {
  const Rate rate = history.RateOf(transport);
  const auto buffered =
      static_cast<double>(transport.unacknowledged_bytes()) + static_cast<double>(transport.write_buffer_size_bytes());
  return {
      .key = StrCat(transport.session_prefix(), "/", transport.transport_id()),
      .session_prefix = transport.session_prefix(),
      .transport_id = transport.transport_id(),
      .cells = {Text(principal, Tone::kStrong), Text(transport.session_prefix()), Count(transport.transport_id()),
                Text(KindText(transport)), Text(LocalText(transport)), Text(WhereTo(transport)),
                Age(transport.open_time(), history.status()), Bytes(static_cast<double>(transport.received_bytes())),
                Bytes(static_cast<double>(transport.sent_bytes())), Bytes(rate.received), Bytes(rate.sent),
                Bytes(buffered), State(transport), Text(transport.program())}};
}

TopRow DenialRow(const v1::Denial& denial) {
  return {.key = denial.uid(),
          .session_prefix = denial.session_prefix(),
          .cells = {{.text = TimeOfDayText(denial.time()), .number = Seconds(denial.time())},
                    Text(denial.principal(), Tone::kStrong),
                    Text(denial.session_prefix()),
                    Text(denial.action()),
                    Text(denial.requested()),
                    Text(denial.resolved()),
                    Text(denial.rule(), Tone::kWarning),
                    Text(denial.event()),
                    Text(denial.uid())}};
}

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 'a' - 'A') : c; });
  return out;
}

// Numbers from the greatest, then text from A.
bool IsBefore(const TopCell& a, const TopCell& b) {
  if (a.number && b.number) return *a.number > *b.number;
  return a.number && !b.number ? true : b.number && !a.number ? false : a.text < b.text;
}

}  // namespace

std::span<const TopColumn> TopColumns(TopList list) {
  switch (list) {
    case TopList::kSessions:
      return kSessionColumns;
    case TopList::kTransports:
      return kTransportColumns;
    case TopList::kDenials:
      break;
  }
  return kDenialColumns;
}

std::vector<TopRow> TopRows(TopList list, const StatusHistory& history) {
  const v1::GetStatusResponse& status = history.status();
  std::vector<TopRow> rows;
  if (list == TopList::kSessions) {
    for (const v1::SessionInfo& session : status.sessions()) rows.push_back(SessionRow(session, history));
  } else if (list == TopList::kTransports) {
    std::map<std::string_view, std::string_view> principals;
    for (const v1::SessionInfo& session : status.sessions()) principals[session.session_prefix()] = session.principal();
    for (const v1::TransportInfo& transport : status.transports()) {
      const auto found = principals.find(transport.session_prefix());
      rows.push_back(TransportTopRow(transport, found != principals.end() ? found->second : "?", history));
    }
  } else {
    for (const v1::Denial& denial : status.denials()) rows.push_back(DenialRow(denial));
  }
  return rows;
}

std::vector<TopRow> Arranged(std::vector<TopRow> rows, std::string_view filter, std::optional<size_t> sort_column,
                             bool reversed) {
  const std::string wanted = Lower(filter);
  std::erase_if(rows, [&](const TopRow& row) {
    return std::none_of(row.cells.begin(), row.cells.end(),
                        [&](const TopCell& cell) { return Lower(cell.text).find(wanted) != std::string::npos; });
  });
  if (sort_column) {
    std::stable_sort(rows.begin(), rows.end(), [&](const TopRow& a, const TopRow& b) {
      return IsBefore(a.cells[*sort_column], b.cells[*sort_column]);
    });
  }
  if (reversed) std::reverse(rows.begin(), rows.end());
  return rows;
}

std::vector<int> FitColumns(std::span<const TopColumn> columns, std::span<const TopRow> rows, int width) {
  std::vector<size_t> by_rank(columns.size());
  std::iota(by_rank.begin(), by_rank.end(), size_t{0});
  std::stable_sort(by_rank.begin(), by_rank.end(),
                   [&](size_t a, size_t b) { return columns[a].rank < columns[b].rank; });
  std::vector<int> widths(columns.size(), 0);
  int room = width + 1;  // The first one has no space before it.
  for (const size_t i : by_rank) {
    if (columns[i].min_width + 1 > room) break;
    widths[i] = columns[i].min_width;
    room -= widths[i] + 1;
  }
  // What is left goes to those whose text is longer, a column each in turn: nobody starves.
  std::vector<int> wanted(columns.size(), 0);
  for (size_t i = 0; i < columns.size(); ++i) {
    for (const TopRow& row : rows) wanted[i] = std::max(wanted[i], TextWidth(row.cells[i].text));
    wanted[i] = std::min(wanted[i], columns[i].max_width);
  }
  for (bool grew = true; grew && room > 0;) {
    grew = false;
    for (size_t i = 0; i < columns.size() && room > 0; ++i) {
      if (widths[i] == 0 || widths[i] >= wanted[i]) continue;
      ++widths[i];
      --room;
      grew = true;
    }
  }
  return widths;
}

}  // namespace transportd::ctl
