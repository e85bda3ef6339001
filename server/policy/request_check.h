// What a request asks for by itself, before it leads anywhere.
#ifndef TRANSPORTD_SERVER_POLICY_REQUEST_CHECK_H_
#define TRANSPORTD_SERVER_POLICY_REQUEST_CHECK_H_

#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "server/policy/session_guard.h"

namespace transportd {

// What a request asks for by itself: a name to be resolved, or how its transport is to be set up. Threading: a value.
struct Need {
  ActionKind kind = ActionKind::kOption;  // Or kTls, kResolve.
  std::string name;                       // As Action::name; of kResolve, as Action::host.

  bool operator<(const Need& other) const { return std::tie(kind, name) < std::tie(other.kind, other.name); }
};

// What join_group asks for.
inline constexpr std::string_view kMembershipOption = "IP_ADD_MEMBERSHIP";

// What the request of a command needs, each as often as it says it; none for most.
std::vector<Need> NeedsIn(const google::protobuf::Message& request);
// Points to `need`.
Action ActionOf(const Need& need);

// Asks `guard` about each that the request of a command needs; OK for requests that need none. Also, as NeverToRun,
// about a subprocess of another user, or one whose argv[0] (/bin/sh with a shell) is another than its executable or
// begins with `-`: no grant is for that.
absl::Status CheckRequest(SessionGuard& guard, std::string_view method, const google::protobuf::Message& request);

// The host when it is a name; empty when it is an address in any of getaddrinfo(3)'s spellings, or unset.
std::string_view NameIn(std::string_view host);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_REQUEST_CHECK_H_
