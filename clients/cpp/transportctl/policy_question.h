// What a policy is asked, with all that it points to.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_POLICY_QUESTION_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_POLICY_QUESTION_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/policy/action.h"
#include "server/policy/policy.h"
#include "transports/api/address.h"

namespace transportd::ctl {

// As an Action, whose fields these are. Threading: a value.
struct PolicyQuestion {
  ActionKind kind = ActionKind::kSession;
  ActionProtocol protocol = ActionProtocol::kNone;
  SocketAddress address = {};
  SocketAddress local = {};
  std::string host = {};
  std::string path = {};
  std::string asked_path = {};  // kRun: as it was asked for, when `path` is what that leads to. For ToString.
  PathUse use = PathUse::kNone;
  std::vector<std::string> args = {};
  std::vector<std::string> env_names = {};
  std::string folder = {};
  std::string name = {};

  Decision Ask(const Policy& policy, std::string_view principal) const;
  std::vector<PortRange> Ports(const Policy& policy, std::string_view principal) const;
  // For people: `connect 10.1.2.3:5432 (db.example)`, `run /usr/bin/dash (/bin/sh) -c x`.
  std::string ToString() const;
};

// Of a numeric address. INVALID_ARGUMENT, with one sentence that says what is allowed.
absl::StatusOr<SocketAddress> ParseNumericAddress(std::string_view text, uint32_t port);

// The policy with these TCP ports as the service's own.
absl::StatusOr<std::shared_ptr<const Policy>> LoadPolicy(const std::string& path,
                                                         const std::vector<uint16_t>& own_ports);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_POLICY_QUESTION_H_
