#include "transports/subprocess/helper/seccomp_filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace transportd {

#if defined(__x86_64__) || defined(__aarch64__)

namespace {

#ifdef __x86_64__
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
// The x32 ABI's numbers, which are the same calls again (__X32_SYSCALL_BIT).
constexpr uint32_t kForeignNumbers = 0x40000000;
#else
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

// The kernel looks at the low half of an argument that is an int; both architectures are little-endian.
constexpr uint32_t ArgumentOffset(uint32_t index) {
  return static_cast<uint32_t>(offsetof(seccomp_data, args)) + index * uint32_t{sizeof(uint64_t)};
}

constexpr uint32_t kIoprioWhoProcess = 1;  // linux/ioprio.h, which is no C++.
constexpr uint32_t kSocketTypeMask = 0xf;  // The kernel's SOCK_TYPE_MASK: without SOCK_CLOEXEC and SOCK_NONBLOCK.

// Of clone(2), namespaces(7): the numbers that unshare(2) has, too.
constexpr uint32_t kNamespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

// A program of the kernel's packet filter. Between its parts the accumulator holds the system call's number.
class Filter {
 public:
  void Add(uint16_t code, uint32_t value, uint8_t skip_if_true = 0, uint8_t skip_if_false = 0) {
    if (size_ == code_.size()) __builtin_trap();
    code_[size_++] = {code, skip_if_true, skip_if_false, value};
  }
  void Load(uint32_t offset) { Add(BPF_LD | BPF_W | BPF_ABS, offset); }
  void Return(uint32_t action) { Add(BPF_RET | BPF_K, action); }
  void Allow() { Return(SECCOMP_RET_ALLOW); }
  void Refuse(int error_number) { Return(SECCOMP_RET_ERRNO | static_cast<uint32_t>(error_number)); }
  void SkipUnless(uint32_t value, uint8_t count) { Add(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count); }

  void Refuse(long number, int error_number) {
    SkipUnless(static_cast<uint32_t>(number), 1);
    Refuse(error_number);
  }

  // Unless the argument is 0: this process, or thread.
  void RefuseOthers(long number, uint32_t index) {
    SkipUnless(static_cast<uint32_t>(number), 4);
    Load(ArgumentOffset(index));
    SkipUnless(0, 1);
    Allow();
    Refuse(EPERM);
  }

  // `f(which, who, …)`: unless `which` is `process` and `who` is 0.
  void RefuseOtherPriorities(long number, uint32_t process) {
    SkipUnless(static_cast<uint32_t>(number), 6);
    Load(ArgumentOffset(0));
    SkipUnless(process, 3);
    Load(ArgumentOffset(1));
    SkipUnless(0, 1);
    Allow();
    Refuse(EPERM);
  }

  // `f(flags, …)`: when one of these is set.
  void RefuseFlags(long number, uint32_t flags) {
    SkipUnless(static_cast<uint32_t>(number), 4);
    Load(ArgumentOffset(0));
    Add(BPF_JMP | BPF_JSET | BPF_K, flags, 0, 1);
    Refuse(EPERM);
    Allow();
  }

  // socketpair(2), unless it makes Unix sockets that send to nobody but each other. A datagram socket would send to any
  // that is given with the data, in memory, where a filter cannot look.
  void RefuseOtherPairs() {
    SkipUnless(SYS_socketpair, 8);
    Load(ArgumentOffset(0));
    SkipUnless(AF_UNIX, 5);
    Load(ArgumentOffset(1));
    Add(BPF_ALU | BPF_AND | BPF_K, kSocketTypeMask);
    Add(BPF_JMP | BPF_JEQ | BPF_K, SOCK_STREAM, 1, 0);
    SkipUnless(SOCK_SEQPACKET, 1);
    Allow();
    Refuse(EACCES);
  }

  bool Install() {
    const sock_fprog program{.len = static_cast<uint16_t>(size_), .filter = code_.data()};
    return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
  }

 private:
  std::array<sock_filter, 192> code_ = {};
  size_t size_ = 0;
};

void RefuseForeignCalls(Filter& filter) {
  filter.Load(offsetof(seccomp_data, arch));
  filter.Add(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0);
  filter.Return(SECCOMP_RET_KILL_PROCESS);
  filter.Load(offsetof(seccomp_data, nr));
#ifdef __x86_64__
  filter.Add(BPF_JMP | BPF_JGE | BPF_K, kForeignNumbers, 0, 1);
  filter.Refuse(ENOSYS);
#endif
}

// Landlock keeps from processes outside by tracing and signals only; all of one user may do the rest to each other.
void RefuseOtherProcesses(Filter& filter) {
  for (const long number : {SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd}) {
    filter.Refuse(number, EPERM);
  }
  for (const long number :
       {SYS_prlimit64, SYS_sched_setaffinity, SYS_sched_setattr, SYS_sched_setparam, SYS_sched_setscheduler}) {
    filter.RefuseOthers(number, 0);
  }
  filter.RefuseOtherPriorities(SYS_setpriority, PRIO_PROCESS);
  filter.RefuseOtherPriorities(SYS_ioprio_set, kIoprioWhoProcess);
}

// In a namespace of its own it would have every capability, and the parts of the kernel that only those reach.
void RefuseNamespaces(Filter& filter) {
  // A child of this one's parent would be nobody's to wait for.
  filter.RefuseFlags(SYS_clone, kNamespaces | CLONE_PARENT);
  // clone(2) has no flag for it: there these bits are the signal.
  filter.RefuseFlags(SYS_unshare, kNamespaces | CLONE_NEWTIME);
  filter.Refuse(SYS_setns, EPERM);
  // Its flags are in memory, where a filter cannot look. The C library does without.
  filter.Refuse(SYS_clone3, ENOSYS);
}

// What outlives whoever made it, and is in no limit; and what others of this user have there.
void RefuseInterprocessObjects(Filter& filter) {
  for (const long number : {SYS_shmget, SYS_shmat, SYS_shmctl, SYS_msgget, SYS_msgsnd, SYS_msgrcv, SYS_msgctl,
                            SYS_semget, SYS_semop, SYS_semtimedop, SYS_semctl, SYS_mq_open, SYS_mq_unlink}) {
    filter.Refuse(number, EPERM);
  }
}

}  // namespace

bool InstallSeccompFilter(const SeccompFilterOptions& options) {
  Filter filter;
  RefuseForeignCalls(filter);
  // It would make the calls that are looked at here where nobody looks. Programs know that it may not be there.
  filter.Refuse(SYS_io_uring_setup, ENOSYS);
  RefuseOtherProcesses(filter);
  RefuseNamespaces(filter);
  RefuseInterprocessObjects(filter);
  // The keyrings are this program's, too.
  for (const long number : {SYS_add_key, SYS_request_key, SYS_keyctl}) filter.Refuse(number, EPERM);
  // The session, and without a terminal the process group, is what is killed in the end.
  filter.Refuse(SYS_setsid, EPERM);
  if (!options.has_terminal) filter.Refuse(SYS_setpgid, EPERM);
  if (options.without_network) {
    // Unix sockets, too: one with a name may be anybody's, this program's own among them.
    filter.Refuse(SYS_socket, EACCES);
    filter.RefuseOtherPairs();
    // Of one that was handed over.
    filter.Refuse(SYS_connect, EACCES);
  }
  filter.Allow();
  return filter.Install();
}

#else

bool InstallSeccompFilter(const SeccompFilterOptions& options) {
  static_cast<void>(options);
  errno = ENOSYS;
  return false;
}

#endif

}  // namespace transportd
