// A request and its response, as far as the admin listeners speak HTTP/1.1 (RFC 9112).
#ifndef TRANSPORTD_SERVER_ADMIN_HTTP_MESSAGE_H_
#define TRANSPORTD_SERVER_ADMIN_HTTP_MESSAGE_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"

namespace transportd {

// Threading: a value.
struct HttpRequest {
  std::string method;  // "GET".
  std::string path;    // As it was sent, without the query.
  std::vector<std::pair<std::string, std::string>> headers = {};
  // Where it came from, in gRPC's notation.
  std::string peer = {};
  // Whom its listener stands for; unset: for nobody.
  std::optional<std::string> listener_principal = {};

  // Each value of the header, whose name is compared without regard to case.
  std::vector<std::string_view> Header(std::string_view name) const;
};

// Threading: a value.
struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};  // Besides those that every response has.
  // Makes the rest of it, on the server's thread: what takes long would delay whoever responds. Null: it is whole.
  std::function<void(HttpResponse&)> finish = nullptr;
};

// Called once, now or later, from any thread.
using RespondHttp = absl::AnyInvocable<void(HttpResponse)>;

// Answers one request. On the server's thread; must not block.
using HttpHandler = absl::AnyInvocable<void(const HttpRequest& request, RespondHttp respond) const>;

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_ADMIN_HTTP_MESSAGE_H_
