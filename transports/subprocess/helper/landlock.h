// Landlock: https://docs.kernel.org/userspace-api/landlock.html
#ifndef TRANSPORTD_TRANSPORTS_SUBPROCESS_HELPER_LANDLOCK_H_
#define TRANSPORTD_TRANSPORTS_SUBPROCESS_HELPER_LANDLOCK_H_

#include <cstdint>

namespace transportd {

// What is allowed, under construction; all else of the file system is not. Each method does as much as the kernel's ABI
// knows. The destructor closes.
class LandlockRules {
 public:
  // `abi`: not 0. `without_network`: no TCP (that seccomp keeps from it, too), no abstract Unix sockets of others.
  LandlockRules(int abi, bool without_network);
  LandlockRules(const LandlockRules&) = delete;
  LandlockRules& operator=(const LandlockRules&) = delete;
  ~LandlockRules();

  // What is there, and all below: to read and execute, to write too. Follows symbolic links. Nothing when it is not
  // there.
  void AllowRead(const char* path);
  void AllowWrite(const char* path);
  // False with ELOOP when a symbolic link leads there: whoever may change that could choose what is allowed.
  bool AllowReadOfReal(const char* path);
  bool AllowWriteOfReal(const char* path);
  void AllowReadOf(int fd);
  void AllowWriteOf(int fd);

  // For this process and all that it becomes and starts. Needs no_new_privs. False with errno.
  bool Enforce();

 private:
  void Allow(int fd, uint64_t rights);
  bool AllowReal(const char* path, uint64_t rights);

  const int abi_;
  uint64_t handled_ = 0;
  int fd_ = -1;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SUBPROCESS_HELPER_LANDLOCK_H_
