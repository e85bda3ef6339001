#include "clients/cpp/transportctl/top_view.h"

#include <algorithm>
#include <utility>

#include "clients/cpp/transportctl/transport_row.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

constexpr size_t kMaxFilterBytes = 100;

// The last character goes.
void Shorten(std::string& text) {
  while (!text.empty()) {
    const bool is_rest = (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80;
    text.pop_back();
    if (!is_rest) return;
  }
}

}  // namespace

void TopView::SetHistory(const StatusHistory& history) {
  if (paused_ && history_.has_status()) return;
  history_ = history;
  Arrange();
}

void TopView::SetPage(int row_count) {
  page_row_count_ = std::max(row_count, 1);
  KeepInSight();
}

TopView::Wish TopView::OnKey(const Key& key) {
  message_.clear();
  if (key.IsControl("c")) return Wish::kInterrupt;
  if (key.IsControl("z")) return Wish::kSuspend;
  if (key.IsControl("l")) return Wish::kRepaint;
  switch (mode_) {
    case Mode::kFilter:
      return OnFilterKey(key);
    case Mode::kConfirm:
      return OnConfirmKey(key);
    case Mode::kHelp:
      mode_ = Mode::kTable;
      return key.Is("q") ? Wish::kQuit : Wish::kNone;
    case Mode::kTable:
      break;
  }
  return OnTableKey(key);
}

TopView::Wish TopView::OnTableKey(const Key& key) {
  switch (key.kind) {
    case Key::Kind::kUp:
      Move(-1);
      return Wish::kNone;
    case Key::Kind::kDown:
      Move(1);
      return Wish::kNone;
    case Key::Kind::kPageUp:
      Move(-int64_t{page_row_count_});
      return Wish::kNone;
    case Key::Kind::kPageDown:
      Move(page_row_count_);
      return Wish::kNone;
    case Key::Kind::kHome:
      Move(-static_cast<int64_t>(rows_.size()));
      return Wish::kNone;
    case Key::Kind::kEnd:
      Move(static_cast<int64_t>(rows_.size()));
      return Wish::kNone;
    case Key::Kind::kEscape:
      filter_.clear();
      Arrange();
      return Wish::kNone;
    case Key::Kind::kCharacter:
      break;
    default:
      return Wish::kNone;
  }
  if (key.Is("q")) return Wish::kQuit;
  if (key.Is("s")) Show(TopList::kSessions);
  if (key.Is("t")) Show(TopList::kTransports);
  if (key.Is("d")) Show(TopList::kDenials);
  if (key.Is("o")) NextSortColumn();
  if (key.Is("r")) {
    state().reversed = !state().reversed;
    ToTheTop();
  }
  if (key.Is("/")) mode_ = Mode::kFilter;
  if (key.Is("p")) paused_ = !paused_;
  if (key.Is("e")) AskToEnd();
  if (key.Is("?") || key.Is("h")) mode_ = Mode::kHelp;
  return Wish::kNone;
}

TopView::Wish TopView::OnFilterKey(const Key& key) {
  if (key.kind == Key::Kind::kEnter) {
    mode_ = Mode::kTable;
  } else if (key.kind == Key::Kind::kEscape) {
    mode_ = Mode::kTable;
    filter_.clear();
  } else if (key.kind == Key::Kind::kBackspace) {
    Shorten(filter_);
  } else if (key.kind == Key::Kind::kCharacter && filter_.size() + key.text.size() <= kMaxFilterBytes) {
    filter_ += ScreenText(key.text);
  }
  Arrange();
  return Wish::kNone;
}

TopView::Wish TopView::OnConfirmKey(const Key& key) {
  mode_ = Mode::kTable;
  if (key.Is("y") || key.Is("Y")) return Wish::kEnd;
  message_ = "Nothing was ended.";
  return Wish::kNone;
}

void TopView::Show(TopList list) {
  list_ = list;
  Arrange();
}

void TopView::NextSortColumn() {
  std::optional<size_t>& column = state().sort_column;
  const size_t next = column ? *column + 1 : 0;
  if (next < TopColumns(list_).size()) {
    column = next;
  } else {
    column.reset();
  }
  ToTheTop();
}

void TopView::ToTheTop() {
  state().selected = state().first = 0;
  state().selected_key.clear();
  Arrange();
}

void TopView::Move(int64_t by) {
  if (rows_.empty()) return;
  const auto last = static_cast<int64_t>(rows_.size()) - 1;
  state().selected = static_cast<size_t>(std::clamp<int64_t>(static_cast<int64_t>(state().selected) + by, 0, last));
  state().selected_key = rows_[state().selected].key;
  KeepInSight();
}

void TopView::AskToEnd() {
  if (list_ == TopList::kDenials) {
    message_ = "A denial has no end: s and t show what has.";
    return;
  }
  if (rows_.empty()) {
    message_ = "There is nothing to end.";
    return;
  }
  const TopRow& row = rows_[state().selected];
  const std::string& principal = row.cells.front().text;
  target_ = {.session_prefix = row.session_prefix, .transport_id = row.transport_id, .text = {}};
  if (list_ == TopList::kSessions) {
    target_.text = StrCat("session ", ScreenText(row.session_prefix), " of ", principal, " with all that it has");
  } else {
    // KIND and PEER.
    target_.text = StrCat(row.cells[3].text, " ", ScreenText(row.key), " of ", principal, " ", row.cells[5].text);
  }
  mode_ = Mode::kConfirm;
}

void TopView::Arrange() {
  rows_ = history_.has_status() ? TopRows(list_, history_) : std::vector<TopRow>();
  rows_ = Arranged(std::move(rows_), filter_, state().sort_column, state().reversed);
  // Once somebody has moved it, the selection stays with its row; without that, at its place.
  ListState& list = state();
  const auto found =
      std::find_if(rows_.begin(), rows_.end(), [&](const TopRow& row) { return row.key == list.selected_key; });
  if (found != rows_.end()) list.selected = static_cast<size_t>(found - rows_.begin());
  list.selected = rows_.empty() ? 0 : std::min(list.selected, rows_.size() - 1);
  if (!list.selected_key.empty()) list.selected_key = rows_.empty() ? "" : rows_[list.selected].key;
  KeepInSight();
}

void TopView::KeepInSight() {
  ListState& list = state();
  const auto page = static_cast<size_t>(page_row_count_);
  list.first = std::clamp(list.first, list.selected + 1 > page ? list.selected + 1 - page : 0, list.selected);
  list.first = std::min(list.first, rows_.size() > page ? rows_.size() - page : 0);
}

}  // namespace transportd::ctl
