// Splits a command line into options and words.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_OPTION_READER_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_OPTION_READER_H_

#include <optional>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace transportd::ctl {

// One argument at a time: getopt_long(3)'s rules, but for abbreviations and bundles. Threading: a value.
class OptionReader final {
 public:
  explicit OptionReader(std::span<const std::string_view> arguments) : rest_(arguments) {}

  // The next argument; false at the end. `--` is none, and makes words of all that follow.
  bool Next();

  bool is_option() const { return is_option_; }
  // The option without its value, or the word.
  std::string_view name() const { return name_; }

  // The option's value: what follows `=`, else the next argument.
  absl::StatusOr<std::string_view> Value();
  // That it has none.
  absl::Status NoValue() const;

  // What comes after the argument that Next found, whatever it looks like; nothing comes after it.
  std::span<const std::string_view> TakeRest();

 private:
  std::span<const std::string_view> rest_;
  std::string_view name_;
  std::optional<std::string_view> value_;
  bool is_option_ = false;
  bool only_words_ = false;
};

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_OPTION_READER_H_
