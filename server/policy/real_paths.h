// Where the paths of a denial lead.
#ifndef TRANSPORTD_SERVER_POLICY_REAL_PATHS_H_
#define TRANSPORTD_SERVER_POLICY_REAL_PATHS_H_

#include <string>
#include <string_view>
#include <vector>

#include "google/protobuf/repeated_ptr_field.h"

namespace transportd {

// `path` without symbolic links (realpath(3)), as far as it is there: what is not stays as it is written. `path` is
// absolute; a slash at its end stays. Itself, when it cannot be looked at.
std::string RealPath(std::string_view path);

// `patterns`, those of policy.proto's Deny.run or Deny.path, and where each leads now, if that is elsewhere.
std::vector<std::string> WithRealPaths(const google::protobuf::RepeatedPtrField<std::string>& patterns);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_REAL_PATHS_H_
