// How RunGrant.args_regex is read.
#ifndef TRANSPORTD_SERVER_POLICY_ARGS_REGEX_H_
#define TRANSPORTD_SERVER_POLICY_ARGS_REGEX_H_

#include "re2/re2.h"

namespace transportd {

// RE2's own syntax, of UTF-8: an argument that is not UTF-8 matches nothing. An expression that needs more than 8 MiB
// is refused.
inline RE2::Options ArgsRegexOptions() {
  RE2::Options options(RE2::DefaultOptions);
  options.set_log_errors(false);
  return options;
}

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_ARGS_REGEX_H_
