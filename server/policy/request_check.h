// What a request asks for by itself, before it leads anywhere.
#ifndef TRANSPORTD_SERVER_POLICY_REQUEST_CHECK_H_
#define TRANSPORTD_SERVER_POLICY_REQUEST_CHECK_H_

#include <string_view>

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "server/policy/session_guard.h"

namespace transportd {

// Asks `guard` about each socket option, setting of TLS and name to be resolved in the request of a command; OK for
// requests that have none. Also, as NeverToRun, about a subprocess of another user, or one whose argv[0] (/bin/sh with
// a shell) is another than its executable or begins with `-`: no grant is for that.
absl::Status CheckRequest(SessionGuard& guard, std::string_view method, const google::protobuf::Message& request);

// The host when it is a name; empty when it is an address in any of getaddrinfo(3)'s spellings, or unset.
std::string_view NameIn(std::string_view host);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_REQUEST_CHECK_H_
