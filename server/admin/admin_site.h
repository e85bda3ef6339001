// What is where on --admin-listen and --metrics-listen.
#ifndef TRANSPORTD_SERVER_ADMIN_ADMIN_SITE_H_
#define TRANSPORTD_SERVER_ADMIN_ADMIN_SITE_H_

#include <functional>
#include <string>

#include "server/admin/http_message.h"
#include "server/policy/connection_guard.h"
#include "server/policy/identifier.h"
#include "server/session/session_manager.h"

namespace transportd {

// All but AnswerMetrics of --admin-listen alone. JSON is protobuf's of admin.proto's messages.
//
//   GET  /                                     the page
//   GET  /metrics                              Prometheus' text format; everybody may
//   GET  /status.json                          Admin.GetStatus
//   POST /sessions/PREFIX/end                  Admin.EndSession
//   POST /sessions/PREFIX/transports/ID/end    Admin.EndTransport
//
// The last three are the caller's: `Authorization: Bearer TOKEN`, or whom a Unix listener stands for. They want the
// header X-Transportd, which no page of another site can send, and a Host that is no other site's name. Errors are
// JSON: code, reason, message. Threading: immutable; any thread.
class AdminSite final {
 public:
  // All outlive this. `failures`: is told of credentials that are nobody's; null: nobody is. `metrics`: their text; any
  // thread.
  AdminSite(SessionManager& manager, const Identifier& identifier, ConnectionGuard* failures,
            std::function<std::string()> metrics);

  // HttpHandlers.
  void Answer(const HttpRequest& request, RespondHttp respond) const;
  void AnswerMetrics(const HttpRequest& request, RespondHttp respond) const;

 private:
  HttpResponse Metrics() const;
  void AnswerCaller(const HttpRequest& request, Caller caller, RespondHttp respond) const;

  SessionManager& manager_;
  const Identifier& identifier_;
  ConnectionGuard* const failures_;
  const std::function<std::string()> metrics_;
  const std::string page_policy_;  // The page's Content-Security-Policy.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_ADMIN_ADMIN_SITE_H_
