// The policy in force, and the one that is only tried.
#ifndef TRANSPORTD_SERVER_POLICY_POLICY_STORE_H_
#define TRANSPORTD_SERVER_POLICY_POLICY_STORE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/policy/policy.h"
#include "server/policy/self_addresses.h"
#include "transports/base/mutex.h"

namespace transportd {

// Threading: any thread.
class PolicyStore final {
 public:
  struct Options {
    std::string file;
    std::string shadow_file;  // Empty: none.
    SelfAddresses self;
  };

  // What became of a file that was read again.
  struct Outcome {
    absl::Status status;      // An error: the last good policy stays.
    bool is_another = false;  // Than the last one.
  };
  struct Reloaded {
    Outcome current;
    Outcome shadow;  // OK, and not another: there is none.
  };

  // Reads both, which must be good; see ReadPolicyFile. Blocks as disks do.
  static absl::StatusOr<std::unique_ptr<PolicyStore>> Create(Options options);

  std::shared_ptr<const Policy> current() const;
  // Null: there is none.
  std::shared_ptr<const Policy> shadow() const;
  // Another one whenever one of them has changed.
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

  // What is class SELF from now on, this host's addresses aside. As RefreshSelf.
  absl::Status SetSelf(SelfAddresses self);

  // This host's addresses may have changed. An error changes nothing. One call of this, SetSelf or Reload at a time.
  absl::Status RefreshSelf();

  // Reads both again and takes over whichever is good: a bad one keeps the other from nothing. Blocks as disks do.
  Reloaded Reload();

 private:
  struct Policies {
    std::shared_ptr<const Policy> current;
    std::shared_ptr<const Policy> shadow;
  };

  explicit PolicyStore(Options options);
  // With this host's addresses, as they are now.
  static absl::StatusOr<SelfAddresses> AllSelf(const Options& options);
  void Replace(Policies policies);

  Options options_;  // Reload's and SetSelf's.
  std::atomic<uint64_t> generation_{1};
  mutable Mutex mutex_;
  Policies policies_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_POLICY_STORE_H_
