// May this principal do this to this resource? The one place that every call and every command asks.
#ifndef TRANSPORTD_SERVER_POLICY_AUTHORIZER_H_
#define TRANSPORTD_SERVER_POLICY_AUTHORIZER_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message.h"
#include "server/policy/session_guard.h"
#include "server/policy/trace_context.h"

namespace transportd {

// Who calls. Threading: a value.
struct Caller {
  std::string principal;  // Never empty once authenticated; "dev" with --dev.
  std::string peer;       // gRPC's notation: `ipv4:127.0.0.1:4711`, `unix:`.
  // What was shown: `certificate`, `token`, `jwt`, `unix` (the socket it came through), `dev`; several with `+` in
  // between.
  std::string method = {};
  // Which one, for the audit, each as in `method`: the certificate's serial number, 8 hexadecimal digits of the token's
  // hash, the `kid` of the key that signed; may be empty.
  std::string credential = {};
  // The trace that the call belongs to, as its metadata has it: nobody vouches for it.
  TraceContext trace = {};
};

// What is asked for. Threading: a value, for the time of the call.
struct Access {
  // The full name of the method, as `transportd.v1.EventLoop.CreateConnection`. A command of the Session stream has its
  // unary twin's; those without one have the stream's and the variant's: `transportd.v1.EventLoop.Session/cancel`.
  std::string_view method;
  // The request message. Null for the hot `write` variant, which has none. For the hot `sendto` a SendToRequest without
  // the datagram's bytes.
  const google::protobuf::Message* request = nullptr;
  // Of the session whose command it is; null outside a session, and where there is no policy.
  SessionGuard* guard = nullptr;
};

// Threading: any thread.
class Authorizer {
 public:
  virtual ~Authorizer() = default;

  // OK, or PERMISSION_DENIED / POLICY_DENIED. Called before anything else is done with the request, its ids' lookup
  // included; must not block.
  virtual absl::Status Authorize(const Caller& caller, const Access& access) const = 0;

  // What a new session's operations are asked of; null: they are free. PERMISSION_DENIED / POLICY_DENIED,
  // RESOURCE_EXHAUSTED / QUOTA_EXCEEDED, UNAVAILABLE / CANNOT_AUDIT: there is to be no session.
  virtual absl::StatusOr<std::unique_ptr<SessionGuard>> OpenGuard(const Caller& /*caller*/,
                                                                  std::string_view /*session_id*/) const {
    return nullptr;
  }

  // The caller named a session that is another principal's. To be recorded; it is told that there is none. On a loop's
  // thread.
  virtual void NamedForeignSession(const Caller& /*caller*/) const {}
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_AUTHORIZER_H_
