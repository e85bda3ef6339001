// Users and groups by name or number.
#ifndef TRANSPORTD_TRANSPORTS_SUBPROCESS_ACCOUNTS_H_
#define TRANSPORTD_TRANSPORTS_SUBPROCESS_ACCOUNTS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "transports/api/subprocess.h"

namespace transportd {

// NOT_FOUND / UNKNOWN_USER, UNKNOWN_GROUP; the error of the system's database. Blocks as long as that does: it may be
// on another machine. Any thread.
absl::StatusOr<uint32_t> FindUser(const AccountId& user);
absl::StatusOr<uint32_t> FindGroup(const AccountId& group);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SUBPROCESS_ACCOUNTS_H_
