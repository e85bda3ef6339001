// What this kernel has to confine a program with. Plain C++: transportd-spawn, which links no library of ours, has it
// too.
#ifndef TRANSPORTD_TRANSPORTS_SUBPROCESS_KERNEL_CONFINEMENT_H_
#define TRANSPORTD_TRANSPORTS_SUBPROCESS_KERNEL_CONFINEMENT_H_

#include <cstdint>

namespace transportd {

// Of Landlock, what the steps of a Confinement need.
inline constexpr int kLandlockFilesAbi = 3;    // Linux 6.2: truncate(2) as well.
inline constexpr int kLandlockTcpAbi = 4;      // Linux 6.7
inline constexpr int kLandlockDevicesAbi = 5;  // Linux 6.10: ioctl(2) of devices.
inline constexpr int kLandlockScopeAbi = 6;    // Linux 6.12: signals, abstract Unix sockets.

struct KernelConfinement {
  int landlock_abi = 0;  // 0: none.
  bool seccomp = false;
  bool no_new_privs = false;
  bool pidfd = false;        // Linux 5.3
  bool close_range = false;  // Linux 5.9

  // 1 << ConfinementStep for each that is lacking.
  uint32_t Lacking() const;
};

// Asks the kernel, and changes nothing. Any thread.
KernelConfinement ProbeConfinement();

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SUBPROCESS_KERNEL_CONFINEMENT_H_
