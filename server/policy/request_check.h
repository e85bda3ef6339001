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

// How a transport is set up: a socket option, or a setting of TLS. Threading: a value.
struct Setting {
  ActionKind kind = ActionKind::kOption;  // Or kTls.
  std::string name;                       // As Action::name.

  bool operator<(const Setting& other) const { return std::tie(kind, name) < std::tie(other.kind, other.name); }
};

// What join_group asks for.
inline constexpr std::string_view kMembershipOption = "IP_ADD_MEMBERSHIP";

// Those that the request of a command asks for, as often as it does; none for most.
std::vector<Setting> SettingsIn(const google::protobuf::Message& request);
// Points to `setting`.
Action ActionOf(const Setting& setting);

// Asks `guard` about each of its settings, and each name to be resolved, in the request of a command; OK for
// requests that have none. Also, as NeverToRun, about a subprocess of another user, or one whose argv[0] (/bin/sh with
// a shell) is another than its executable or begins with `-`: no grant is for that.
absl::Status CheckRequest(SessionGuard& guard, std::string_view method, const google::protobuf::Message& request);

// The host when it is a name; empty when it is an address in any of getaddrinfo(3)'s spellings, or unset.
std::string_view NameIn(std::string_view host);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_REQUEST_CHECK_H_
