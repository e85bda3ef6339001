#include "transports/subprocess/helper/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "transports/subprocess/kernel_confinement.h"

namespace transportd {
namespace {

// linux/landlock.h of Linux 6.12; headers of older ones do not have all.
struct RulesetAttributes {
  uint64_t handled_access_fs = 0;
  uint64_t handled_access_net = 0;  // ABI 4
  uint64_t scoped = 0;              // ABI 6
};
constexpr uint64_t kTruncate = 1u << 14;     // ABI 3
constexpr uint64_t kDeviceIoctl = 1u << 15;  // ABI 5
constexpr uint64_t kBindTcp = 1u << 0;       // ABI 4
constexpr uint64_t kConnectTcp = 1u << 1;
constexpr uint64_t kScopeAbstractSocket = 1u << 0;  // ABI 6
constexpr uint64_t kScopeSignal = 1u << 1;

constexpr uint64_t kRead = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kWrite = kRead | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                            LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                            LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM |
                            LANDLOCK_ACCESS_FS_REFER | kTruncate | kDeviceIoctl;
constexpr uint64_t kNeverAllowed = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;
// What can be said of something that is no folder.
constexpr uint64_t kOfFile = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                             kTruncate | kDeviceIoctl;

uint64_t KnownRights(int abi) {
  uint64_t rights = kWrite | kNeverAllowed;
  if (abi < 2) rights &= ~uint64_t{LANDLOCK_ACCESS_FS_REFER};
  if (abi < kLandlockFilesAbi) rights &= ~kTruncate;
  if (abi < kLandlockDevicesAbi) rights &= ~kDeviceIoctl;
  return rights;
}

void Close(int fd) {
  if (fd >= 0) ::close(fd);  // lint: allow close: no library of ours
}

int OpenPath(const char* path) { return ::open(path, O_PATH | O_CLOEXEC); }

}  // namespace

LandlockRules::LandlockRules(int abi, bool without_network) : abi_(abi), handled_(KnownRights(abi)) {
  RulesetAttributes attributes{.handled_access_fs = handled_};
  size_t size_bytes = sizeof(attributes.handled_access_fs);
  if (abi_ >= kLandlockTcpAbi) {
    size_bytes += sizeof(attributes.handled_access_net);
    if (without_network) attributes.handled_access_net = kBindTcp | kConnectTcp;
  }
  if (abi_ >= kLandlockScopeAbi) {
    size_bytes += sizeof(attributes.scoped);
    attributes.scoped = kScopeSignal | (without_network ? kScopeAbstractSocket : 0);
  }
  fd_ = static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size_bytes, 0));
}

LandlockRules::~LandlockRules() { Close(fd_); }

void LandlockRules::AllowRead(const char* path) {
  const int fd = OpenPath(path);
  AllowReadOf(fd);
  Close(fd);
}

void LandlockRules::AllowWrite(const char* path) {
  const int fd = OpenPath(path);
  AllowWriteOf(fd);
  Close(fd);
}

bool LandlockRules::AllowReadOfReal(const char* path) { return AllowReal(path, kRead); }

bool LandlockRules::AllowWriteOfReal(const char* path) { return AllowReal(path, kWrite); }

void LandlockRules::AllowReadOf(int fd) { Allow(fd, kRead); }

void LandlockRules::AllowWriteOf(int fd) { Allow(fd, kWrite); }

bool LandlockRules::AllowReal(const char* path, uint64_t rights) {
  open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  const auto fd = static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how)));
  const int err = errno;
  Allow(fd, rights);
  Close(fd);
  errno = err;
  return fd >= 0 || err != ELOOP;
}

void LandlockRules::Allow(int fd, uint64_t rights) {
  struct stat status = {};
  if (fd < 0 || ::fstat(fd, &status) != 0) return;
  if (!S_ISDIR(status.st_mode)) rights &= kOfFile;
  landlock_path_beneath_attr rule = {};
  rule.allowed_access = rights & handled_;
  rule.parent_fd = fd;
  // Of what it does not know, a pipe for one, it needs no rule.
  static_cast<void>(::syscall(SYS_landlock_add_rule, fd_, LANDLOCK_RULE_PATH_BENEATH, &rule, 0));
}

bool LandlockRules::Enforce() { return ::syscall(SYS_landlock_restrict_self, fd_, 0) == 0; }

}  // namespace transportd
