// Settings of a program as a table: name, where the value goes, what is allowed, what it is for, and who has said so.
#ifndef TRANSPORTD_SERVER_OPS_FLAGS_H_
#define TRANSPORTD_SERVER_OPS_FLAGS_H_

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/base/shell_completion.h"

namespace transportd {

// `--name=value`, `--name value`; for a switch `--name`, `--name=true`, `--name=false`. The default of a flag is what
// its variable holds when it is added. It is set by one origin alone, the last one that sets it: a list's values, too.
// Threading: one thread.
class FlagTable final {
 public:
  // Where values come from: what counts less first.
  enum class Origin { kDefault, kFile, kEnvironment, kCommandLine };
  // A flag as the command line has it. Threading: a value; it points to the arguments.
  struct Argument {
    std::string_view name;
    std::string_view text;
  };
  // A flag as it is now. Threading: a value; it points to the table.
  struct Value {
    std::string_view group;
    std::string_view name;
    std::span<const std::string> texts;  // One, but for a list; a default without a text has none.
    Origin origin = Origin::kDefault;
  };

  // Begins a group of the help text.
  void Group(std::string title);

  // The variables outlive the table. Ranges are inclusive. Bytes are written with KiB, MiB or GiB, or without a unit;
  // durations as `30s`, `500ms`, `1m30s`.
  void Switch(std::string name, bool& value, std::string help);
  void Text(std::string name, std::string placeholder, std::string& value, std::string help);
  void List(std::string name, std::string placeholder, std::vector<std::string>& values, std::string help);
  void Choice(std::string name, std::vector<std::string> choices, std::string& value, std::string help);
  void Count(std::string name, int& value, int min, int max, std::string help);
  void Count(std::string name, uint32_t& value, uint32_t min, uint32_t max, std::string help);
  void Bytes(std::string name, uint64_t& value, uint64_t min, uint64_t max, std::string help);
  void Time(std::string name, std::chrono::nanoseconds& value, std::chrono::nanoseconds min,
            std::chrono::nanoseconds max, std::string help);

  // `arguments` without the program's name, taken apart; nothing is set yet. INVALID_ARGUMENT / BAD_FLAG for one that
  // is no flag, or has no value.
  absl::StatusOr<std::vector<Argument>> Split(std::span<const char* const> arguments) const;
  // Sets one, for a list adds one. `said`: as it is called there, `--threads` or `TRANSPORTD_THREADS`; the message of
  // INVALID_ARGUMENT / BAD_FLAG has it, and what is allowed.
  absl::Status Set(Origin origin, std::string_view said, std::string_view name, std::string_view text);
  // All, in their order.
  std::vector<Value> Values() const;
  bool IsList(std::string_view name) const;

  // What a shell is told.
  std::vector<CompletionOption> Completion() const;

  // All groups, each flag with its range and default, at most 100 columns wide.
  std::string Help() const;

 private:
  struct Flag {
    std::string name;
    std::string placeholder;  // Empty: a switch.
    std::string help;
    std::string allowed;  // `1 to 64`; may be empty.
    std::string default_text;
    absl::AnyInvocable<bool(std::string_view text)> set;  // False: not allowed.
    std::vector<std::string> choices = {};                // Empty: more than can be listed.
    absl::AnyInvocable<void()> clear = nullptr;           // Of a list.
    std::vector<std::string> texts = {};
    Origin origin = Origin::kDefault;
  };
  struct FlagGroup {
    std::string title;
    std::vector<Flag> flags;
  };

  void Add(Flag flag);
  template <typename Integer>
  void AddCount(std::string name, Integer& value, Integer min, Integer max, std::string help);
  // Null: there is none.
  template <typename Groups>
  static auto* FindIn(Groups& groups, std::string_view name);
  const Flag* Find(std::string_view name) const;
  // The known name that is most like this one; empty when none is.
  std::string Similar(std::string_view name) const;

  std::vector<FlagGroup> groups_;
};

// `4MiB`, `64 KiB` without the blank, `17`. For tests, and for the table.
bool ParseBytes(std::string_view text, uint64_t& value);
std::string FormatBytes(uint64_t value);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_FLAGS_H_
