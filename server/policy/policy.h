// A policy that can be asked: proto/transportd/v1/policy.proto says what one means.
#ifndef TRANSPORTD_SERVER_POLICY_POLICY_H_
#define TRANSPORTD_SERVER_POLICY_POLICY_H_

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/policy/action.h"
#include "server/policy/address_class.h"
#include "server/policy/self_addresses.h"
#include "transportd/v1/policy.pb.h"
#include "transports/api/socket_gate.h"

namespace transportd {

// Threading: a value. What it points to lives as long as the policy that made it, or one that was made of that by
// WithSelf.
struct Decision {
  bool allowed = false;
  // What decided: `ROLE/GRANT`, `deny/NAME`, or when nothing did `builtin/REASON`, see Policy::Decide.
  std::string_view rule;
  // Of Action::address, where the action has one.
  AddressClass address_class = AddressClass::kNone;
  // kRun, when it is allowed: what confines the program.
  const v1::RunGrant* run = nullptr;
};

// Threading: immutable after construction; any thread. Shared by whoever decides with it: a newer one does not take the
// older one away from who is using it.
class Policy final {
 public:
  // INVALID_ARGUMENT with all of ValidatePolicy's sentences when `policy` is not a valid one. `self`: what is class
  // SELF. Looks in the file system where denied programs and paths lead now.
  static absl::StatusOr<std::shared_ptr<const Policy>> Compile(v1::Policy policy, SelfAddresses self = {});

  // The same rules with other addresses of class SELF: listeners were opened, an interface has come. Cheap.
  std::shared_ptr<const Policy> WithSelf(SelfAddresses self) const;

  // May `principal` do it? Denials first, then grants. Allocates nothing, except for kRun with arguments.
  //
  // - kConnect, kSend, kListen: as policy.proto says. Denied are those of an AddressSet also behind an IPv6 address
  // that embeds
  //   them, and whatever their class: a grant's CIDR does not open SELF and METADATA, a denial's closes them. Port 0 of
  //   kListen: when PortsFor has one.
  // - kAccept: when a listen grant has `local` (or all of its family: a wildcard) in its `on`, and `address` in its
  // `peers`; a
  //   denial of `local` denies it.
  // - kReceive: as kAccept; or when the principal may send to `address`.
  // - kResolve: when a connect grant has the name in `hosts`, or has addresses that are no matter of names (`cidrs`, or
  // `classes`
  //   alone); and `localhost` when there is a listen grant. Denied: a name that a denial has in `hosts` for every port.
  // - kRun: `args` are without the program's name; an empty `folder` is `/`.
  // - kSession: with any grant but `admin`.
  //
  // builtin/…: `no_principal` it is empty; `no_role` no binding has it; `self`, `metadata` no grant names the class;
  // `bad_address`, `bad_path`, `bad_action` the action is not one (a name instead of numbers, `..` in a path, no
  // protocol); `bad_name`, `account` what no program may have: NeverToRun, Action::is_misnamed; `no_grant` all else.
  Decision Decide(std::string_view principal, const Action& action) const;

  // Where the kernel should find a port for a kListen whose port is 0; its address and protocol are looked at. Empty:
  // anywhere, if Decide allows it. What denials close is not in it, nor what is SELF.
  std::vector<PortRange> PortsFor(std::string_view principal, const Action& action) const;

  // What the roles of `principal` say of quotas, for MergeQuotas; they live as long as this.
  std::span<const v1::Quota* const> QuotasFor(std::string_view principal) const;

  // Whether a binding has it.
  bool HasRole(std::string_view principal) const;

  // Of the policy's canonical form, in 64 hexadecimal digits: the same for the same policy, however it was written
  // down.
  std::string_view sha256() const;
  const v1::Policy& message() const;

  class Rules;  // What was compiled; the implementation's.
  Policy(std::shared_ptr<const Rules> rules, SelfAddresses self);
  ~Policy();
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;

 private:
  const std::shared_ptr<const Rules> rules_;  // Shared by the policies that WithSelf makes.
  const SelfAddresses self_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_POLICY_H_
