#include "transports/subprocess/accounts.h"

#include <grp.h>
#include <pwd.h>

#include <cerrno>
#include <string>
#include <variant>
#include <vector>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

constexpr size_t kFirstBufferBytes = 4096;
constexpr size_t kMaxBufferBytes = 4 * 1024 * 1024;  // A group of many members.

// getpwnam_r(3) or getgrnam_r(3): `ask(buffer, found)` returns an errno and sets `found` when there is such an entry.
template <typename Ask>
absl::StatusOr<uint32_t> Find(const std::string& name, const char* what, const char* reason, Ask ask) {
  std::vector<char> buffer(kFirstBufferBytes);
  while (true) {
    const uint32_t* found = nullptr;
    const int error_number = ask(buffer, found);
    if (found != nullptr) return *found;
    if (error_number == ERANGE && buffer.size() < kMaxBufferBytes) {
      buffer.resize(buffer.size() * 2);
      continue;
    }
    // "0 or ENOENT or ESRCH or EBADF or EPERM or …: the given name or uid was not found" (getpwnam(3)).
    if (error_number == 0 || error_number == ENOENT || error_number == ESRCH || error_number == EBADF ||
        error_number == EPERM) {
      return MakeError(absl::StatusCode::kNotFound, reason, StrCat("there is no ", what, " ", name));
    }
    return ErrnoToStatus(error_number, StrCat("find ", what), name);
  }
}

}  // namespace

absl::StatusOr<uint32_t> FindUser(const AccountId& user) {
  if (const uint32_t* uid = std::get_if<uint32_t>(&user)) return *uid;
  const std::string& name = std::get<std::string>(user);
  passwd entry = {};
  return Find(name, "user", "UNKNOWN_USER", [&](std::vector<char>& buffer, const uint32_t*& found) {
    passwd* result = nullptr;
    const int error_number = ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &result);
    if (result != nullptr) found = &entry.pw_uid;
    return error_number;
  });
}

absl::StatusOr<uint32_t> FindGroup(const AccountId& account) {
  if (const uint32_t* gid = std::get_if<uint32_t>(&account)) return *gid;
  const std::string& name = std::get<std::string>(account);
  // Not `group`: the C library has that name.
  struct group entry = {};
  return Find(name, "group", "UNKNOWN_GROUP", [&](std::vector<char>& buffer, const uint32_t*& found) {
    struct group* result = nullptr;
    const int error_number = ::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &result);
    if (result != nullptr) found = &entry.gr_gid;
    return error_number;
  });
}

}  // namespace transportd
