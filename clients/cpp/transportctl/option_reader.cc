#include "clients/cpp/transportctl/option_reader.h"

#include <utility>

#include "transports/base/str_cat.h"

namespace transportd::ctl {

bool OptionReader::Next() {
  value_.reset();
  if (rest_.empty()) return false;
  name_ = rest_.front();
  rest_ = rest_.subspan(1);
  is_option_ = !only_words_ && name_.size() > 1 && name_.front() == '-';
  if (is_option_ && name_ == "--") {
    only_words_ = true;
    return Next();
  }
  const size_t equals = is_option_ ? name_.find('=') : std::string_view::npos;
  if (equals != std::string_view::npos) {
    value_ = name_.substr(equals + 1);
    name_ = name_.substr(0, equals);
  }
  return true;
}

absl::StatusOr<std::string_view> OptionReader::Value() {
  if (!value_.has_value()) {
    if (rest_.empty()) return absl::InvalidArgumentError(ToAbsl(StrCat(name_, " needs a value")));
    value_ = rest_.front();
    rest_ = rest_.subspan(1);
  }
  return *value_;
}

absl::Status OptionReader::NoValue() const {
  if (!value_.has_value()) return absl::OkStatus();
  return absl::InvalidArgumentError(ToAbsl(StrCat(name_, " takes no value")));
}

std::span<const std::string_view> OptionReader::TakeRest() { return std::exchange(rest_, {}); }

}  // namespace transportd::ctl
