// What somebody looks at in `transportctl top`, and what their keys do. Knows no terminal.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TOP_VIEW_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TOP_VIEW_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "clients/cpp/transportctl/key_reader.h"
#include "clients/cpp/transportctl/status_history.h"
#include "clients/cpp/transportctl/top_table.h"

namespace transportd::ctl {

// Threading: a value.
class TopView final {
 public:
  // What a key asks for that is not the view's own.
  enum class Wish { kNone, kQuit, kInterrupt, kSuspend, kRepaint, kEnd };
  // What the bottom line is for.
  enum class Mode { kTable, kHelp, kFilter, kConfirm };

  // New answers; ignored while it is paused.
  void SetHistory(const StatusHistory& history);
  // How many rows the screen has room for.
  void SetPage(int row_count);
  // After kEnd: target().
  Wish OnKey(const Key& key);

  // Whom to end.
  struct Target {
    std::string session_prefix;
    uint32_t transport_id = 0;  // 0: the whole session.
    std::string text;           // What it is, for people.
  };
  const Target& target() const { return target_; }

  const StatusHistory& history() const { return history_; }
  TopList list() const { return list_; }
  Mode mode() const { return mode_; }
  bool paused() const { return paused_; }
  bool reversed() const { return state().reversed; }
  const std::string& filter() const { return filter_; }
  std::optional<size_t> sort_column() const { return state().sort_column; }
  // All that the filter leaves, sorted.
  const std::vector<TopRow>& rows() const { return rows_; }
  // Of rows(), when there are any.
  size_t selected() const { return state().selected; }
  // The first row that is shown.
  size_t first() const { return state().first; }
  // One line for the user; empty: none. Goes with the next key.
  const std::string& message() const { return message_; }
  void SetMessage(std::string message) { message_ = std::move(message); }

 private:
  // Of each list, for when somebody comes back to it.
  struct ListState {
    std::optional<size_t> sort_column;
    bool reversed = false;
    size_t selected = 0;
    std::string selected_key;
    size_t first = 0;
  };
  ListState& state() { return states_[static_cast<size_t>(list_)]; }
  const ListState& state() const { return states_[static_cast<size_t>(list_)]; }

  Wish OnTableKey(const Key& key);
  Wish OnFilterKey(const Key& key);
  Wish OnConfirmKey(const Key& key);
  void Show(TopList list);
  void NextSortColumn();
  void ToTheTop();
  void Move(int64_t by);
  void AskToEnd();
  void Arrange();
  void KeepInSight();

  StatusHistory history_;
  TopList list_ = TopList::kTransports;
  Mode mode_ = Mode::kTable;
  std::array<ListState, 3> states_;
  std::string filter_;
  bool paused_ = false;
  std::string message_;
  Target target_;
  std::vector<TopRow> rows_;
  int page_row_count_ = 1;
};

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TOP_VIEW_H_
