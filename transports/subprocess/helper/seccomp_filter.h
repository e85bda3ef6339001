// The system calls that a confined program is kept from.
#ifndef TRANSPORTD_TRANSPORTS_SUBPROCESS_HELPER_SECCOMP_FILTER_H_
#define TRANSPORTD_TRANSPORTS_SUBPROCESS_HELPER_SECCOMP_FILTER_H_

namespace transportd {

// Whether there is a filter for this architecture.
#if defined(__x86_64__) || defined(__aarch64__)
inline constexpr bool kHasSeccompFilter = true;
#else
inline constexpr bool kHasSeccompFilter = false;
#endif

struct SeccompFilterOptions {
  bool without_network = true;
  // Job control stays possible: setpgid(2).
  bool has_terminal = false;
};

// For this process and all that it becomes and starts: seccomp(2). Needs no_new_privs. False with errno.
bool InstallSeccompFilter(const SeccompFilterOptions& options);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SUBPROCESS_HELPER_SECCOMP_FILTER_H_
