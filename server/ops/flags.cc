#include "server/ops/flags.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "absl/time/time.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

constexpr size_t kHelpWidth = 100;
constexpr size_t kHelpIndent = 6;

struct Unit {
  std::string_view suffix;
  uint64_t factor;
};
constexpr Unit kByteUnits[] = {{"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}};

template <typename Integer>
bool ParseInteger(std::string_view text, Integer& value) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  return result.ec == std::errc() && result.ptr == end && !text.empty();
}

std::string FormatTime(std::chrono::nanoseconds value) { return absl::FormatDuration(absl::FromChrono(value)); }

absl::Status BadFlag(const std::string& message) { return InvalidArgument("BAD_FLAG", "", message); }

// How many letters must be added, removed or changed to make one of the other.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t k = 0; k <= b.size(); ++k) row[k] = k;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t k = 1; k <= b.size(); ++k) {
      const size_t changed = diagonal + (a[i - 1] == b[k - 1] ? 0 : 1);
      diagonal = std::exchange(row[k], std::min({changed, row[k] + 1, row[k - 1] + 1}));
    }
  }
  return row[b.size()];
}

// Appends the words of `text`, indented, broken at kHelpWidth.
void AppendWrapped(std::string& out, std::string_view text) {
  size_t column = 0;
  while (!text.empty()) {
    const size_t length = std::min(text.find(' '), text.size());
    if (column == 0 || column + 1 + length > kHelpWidth) {
      if (column != 0) out += '\n';
      out.append(kHelpIndent, ' ');
      column = kHelpIndent;
    } else {
      out += ' ';
      ++column;
    }
    out.append(text.substr(0, length));
    column += length;
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  out += '\n';
}

}  // namespace

bool ParseBytes(std::string_view text, uint64_t& value) {
  uint64_t factor = 1;
  for (const Unit& unit : kByteUnits) {
    if (!text.ends_with(unit.suffix)) continue;
    factor = unit.factor;
    text.remove_suffix(unit.suffix.size());
    break;
  }
  uint64_t number = 0;
  if (!ParseInteger(text, number) || number > std::numeric_limits<uint64_t>::max() / factor) return false;
  value = number * factor;
  return true;
}

std::string FormatBytes(uint64_t value) {
  for (const Unit& unit : kByteUnits) {
    if (value != 0 && value % unit.factor == 0) return StrCat(value / unit.factor, unit.suffix);
  }
  return StrCat(value);
}

template <typename Groups>
auto* FlagTable::FindIn(Groups& groups, std::string_view name) {
  for (auto& group : groups) {
    for (auto& flag : group.flags) {
      if (flag.name == name) return &flag;
    }
  }
  return static_cast<decltype(&groups.front().flags.front())>(nullptr);
}

void FlagTable::Group(std::string title) { groups_.push_back({std::move(title), {}}); }

void FlagTable::Add(Flag flag) {
  CHECK(!groups_.empty() && Find(flag.name) == nullptr);
  if (flag.texts.empty() && !flag.default_text.empty()) flag.texts = {flag.default_text};
  groups_.back().flags.push_back(std::move(flag));
}

void FlagTable::Switch(std::string name, bool& value, std::string help) {
  Add({.name = std::move(name),
       .placeholder = "",
       .help = std::move(help),
       .allowed = "true or false",
       .default_text = value ? "on" : "",
       .set =
           [&value](std::string_view text) {
             if (text != "true" && text != "false") return false;
             value = text == "true";
             return true;
           },
       .texts = {value ? "true" : "false"}});
}

void FlagTable::Text(std::string name, std::string placeholder, std::string& value, std::string help) {
  Add({std::move(name), std::move(placeholder), std::move(help), "not empty", value, [&value](std::string_view text) {
         value = text;
         return !text.empty();
       }});
}

void FlagTable::List(std::string name, std::string placeholder, std::vector<std::string>& values, std::string help) {
  std::string default_text;
  for (const std::string& value : values) default_text += (default_text.empty() ? "" : ", ") + value;
  Add({.name = std::move(name),
       .placeholder = std::move(placeholder),
       .help = std::move(help),
       .allowed = "not empty",
       .default_text = std::move(default_text),
       .set =
           [&values](std::string_view text) {
             values.emplace_back(text);
             return !text.empty();
           },
       .clear = [&values] { values.clear(); },
       .texts = values});
}

void FlagTable::Choice(std::string name, std::vector<std::string> choices, std::string& value, std::string help) {
  std::string allowed;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (i != 0) allowed += i + 1 == choices.size() ? " or " : ", ";
    allowed += choices[i];
  }
  Add({.name = std::move(name),
       .placeholder = "WORD",
       .help = std::move(help),
       .allowed = std::move(allowed),
       .default_text = value,
       .set =
           [&value, choices](std::string_view text) {
             value = text;
             return std::find(choices.begin(), choices.end(), text) != choices.end();
           },
       .choices = choices});
}

template <typename Integer>
void FlagTable::AddCount(std::string name, Integer& value, Integer min, Integer max, std::string help) {
  Add({std::move(name), "N", std::move(help), StrCat(min, " to ", max), StrCat(value),
       [&value, min, max](std::string_view text) {
         return ParseInteger(text, value) && value >= min && value <= max;
       }});
}

void FlagTable::Count(std::string name, int& value, int min, int max, std::string help) {
  AddCount(std::move(name), value, min, max, std::move(help));
}

void FlagTable::Count(std::string name, uint32_t& value, uint32_t min, uint32_t max, std::string help) {
  AddCount(std::move(name), value, min, max, std::move(help));
}

void FlagTable::Bytes(std::string name, uint64_t& value, uint64_t min, uint64_t max, std::string help) {
  Add({std::move(name), "BYTES", std::move(help), StrCat(FormatBytes(min), " to ", FormatBytes(max)),
       FormatBytes(value),
       [&value, min, max](std::string_view text) { return ParseBytes(text, value) && value >= min && value <= max; }});
}

void FlagTable::Time(std::string name, std::chrono::nanoseconds& value, std::chrono::nanoseconds min,
                     std::chrono::nanoseconds max, std::string help) {
  Add({std::move(name), "TIME", std::move(help), StrCat(FormatTime(min), " to ", FormatTime(max)), FormatTime(value),
       [&value, min, max](std::string_view text) {
         absl::Duration duration;
         if (!absl::ParseDuration(ToAbsl(text), &duration)) return false;
         value = absl::ToChronoNanoseconds(duration);
         return value >= min && value <= max;
       }});
}

const FlagTable::Flag* FlagTable::Find(std::string_view name) const { return FindIn(groups_, name); }

std::string FlagTable::Similar(std::string_view name) const {
  std::string best;
  size_t best_distance = std::max<size_t>(3, name.size() / 3);
  for (const FlagGroup& group : groups_) {
    for (const Flag& flag : group.flags) {
      const size_t distance = EditDistance(name, flag.name);
      if (distance >= best_distance) continue;
      best_distance = distance;
      best = flag.name;
    }
  }
  return best;
}

absl::StatusOr<std::vector<FlagTable::Argument>> FlagTable::Split(std::span<const char* const> arguments) const {
  std::vector<Argument> split;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (!argument.starts_with("--") || argument.size() == 2) {
      return BadFlag(StrCat("unexpected argument `", argument, "`: every argument is a flag, as --name=value"));
    }
    const size_t equals = argument.find('=');
    const std::string_view name = argument.substr(2, equals == argument.npos ? argument.npos : equals - 2);
    const Flag* const flag = Find(name);
    if (flag == nullptr) {
      const std::string similar = Similar(name);
      return BadFlag(StrCat("unknown flag --", name,
                            similar.empty() ? std::string("; see --help") : StrCat("; did you mean --", similar, "?")));
    }
    std::string_view text = "true";
    if (equals != argument.npos) {
      text = argument.substr(equals + 1);
    } else if (!flag->placeholder.empty()) {
      if (++i == arguments.size()) return BadFlag(StrCat("--", name, " needs a value: ", flag->allowed));
      text = arguments[i];
    }
    split.push_back({.name = name, .text = text});
  }
  return split;
}

absl::Status FlagTable::Set(Origin origin, std::string_view said, std::string_view name, std::string_view text) {
  Flag* const flag = FindIn(groups_, name);
  CHECK(flag != nullptr && origin >= flag->origin);
  const bool is_list = flag->clear != nullptr;
  if (origin != flag->origin || !is_list) flag->texts.clear();
  if (origin != flag->origin && is_list) flag->clear();
  flag->origin = origin;
  flag->texts.emplace_back(text);
  if (!flag->set(text)) {
    // A number alone is what people try first.
    return BadFlag(StrCat(said, "=", text, ": allowed: ", flag->allowed,
                          flag->placeholder == "TIME" ? ", with a unit: 500ms, 30s, 5m" : ""));
  }
  return absl::OkStatus();
}

std::vector<FlagTable::Value> FlagTable::Values() const {
  std::vector<Value> values;
  for (const FlagGroup& group : groups_) {
    for (const Flag& flag : group.flags) {
      values.push_back({.group = group.title, .name = flag.name, .texts = flag.texts, .origin = flag.origin});
    }
  }
  return values;
}

bool FlagTable::IsList(std::string_view name) const { return Find(name)->clear != nullptr; }

std::vector<CompletionOption> FlagTable::Completion() const {
  std::vector<CompletionOption> options;
  for (const FlagGroup& group : groups_) {
    for (const Flag& flag : group.flags) {
      CompletionValue value = ParseCompletionValue(flag.placeholder);
      if (!flag.choices.empty()) value = {.kind = CompletionValue::Kind::kWords, .words = flag.choices};
      options.push_back({.name = "--" + flag.name,
                         .text = flag.help.substr(0, flag.help.find_first_of(".:;(")),
                         .has_value = !flag.placeholder.empty(),
                         .value = std::move(value)});
    }
  }
  return options;
}

std::string FlagTable::Help() const {
  std::string out;
  for (const FlagGroup& group : groups_) {
    out += StrCat("\n", group.title, "\n");
    for (const Flag& flag : group.flags) {
      out += StrCat("  --", flag.name, flag.placeholder.empty() ? "" : "=", flag.placeholder, "\n");
      std::string text = flag.help;
      // A switch says all in its name; what must merely not be empty goes without saying.
      if (!flag.placeholder.empty() && flag.allowed != "not empty") text += StrCat(" ", flag.allowed, ".");
      if (!flag.default_text.empty()) text += StrCat(" Default: ", flag.default_text, ".");
      AppendWrapped(out, text);
    }
  }
  return out;
}

}  // namespace transportd
