#include "server/admin/admin_site.h"

#include <google/protobuf/util/json_util.h>
#include <openssl/sha.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "server/admin/status_page.h"
#include "server/policy/json_string.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

constexpr size_t kMaxMessageBytes = 4096;

// google/rpc/code.proto says which HTTP status each code has.
int HttpStatus(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

HttpResponse ErrorResponse(const absl::Status& status, int http_status) {
  const TransportError error = ToTransportError(status);
  HttpResponse response{.status = http_status, .content_type = "application/json"};
  response.body = "{\"code\":";
  AppendJsonString(absl::StatusCodeToString(status.code()), kMaxMessageBytes, response.body);
  response.body += ",\"reason\":";
  AppendJsonString(error.reason, kMaxMessageBytes, response.body);
  response.body += ",\"message\":";
  AppendJsonString(error.message, kMaxMessageBytes, response.body);
  response.body += "}\n";
  if (http_status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"transportd\"");
  return response;
}

HttpResponse ErrorResponse(const absl::Status& status) { return ErrorResponse(status, HttpStatus(status.code())); }

HttpResponse NoSuchPath() {
  return ErrorResponse(MakeError(absl::StatusCode::kNotFound, "UNKNOWN_PATH", "there is nothing at this path"), 404);
}

HttpResponse WrongMethod(std::string_view allowed) {
  HttpResponse response = ErrorResponse(
      MakeError(absl::StatusCode::kUnimplemented, "WRONG_METHOD", StrCat("only ", allowed, " is answered here")), 405);
  response.headers.emplace_back("Allow", allowed);
  return response;
}

template <typename Message>
HttpResponse JsonResponse(const absl::StatusOr<Message>& message) {
  if (!message.ok()) return ErrorResponse(message.status());
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  HttpResponse response{.content_type = "application/json"};
  if (const auto status = google::protobuf::util::MessageToJsonString(*message, &response.body, options);
      !status.ok()) {
    return ErrorResponse(absl::InternalError("the answer is no JSON"));
  }
  return response;
}

// The name without the port.
std::string_view HostName(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

// What is behind the name: nothing, or `:` and a number (RFC 9110, 7.2).
bool IsPort(std::string_view text) {
  return text.empty() ||
         (text.starts_with(':') && text.size() <= 6 && text.find_first_not_of("0123456789", 1) == text.npos);
}

// A browser sends the name by which it found this server: one that is neither an address nor this machine's is another
// site's, whose page would come at what is here (DNS rebinding).
bool IsOwnHost(std::string_view host) {
  const std::string name = absl::AsciiStrToLower(absl::string_view(HostName(host).data(), HostName(host).size()));
  if (name.empty() || !IsPort(host.substr(name.size()))) return false;
  return name == "localhost" || name.starts_with('[') || name.find_first_not_of("0123456789.") == std::string::npos;
}

std::string Sha256Base64(std::string_view text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

// What is between the first <tag> and </tag>.
std::string_view Inside(std::string_view page, std::string_view tag) {
  const std::string open = StrCat("<", tag, ">");
  const size_t begin = page.find(open);
  const size_t end = page.find(StrCat("</", tag, ">"));
  if (begin == std::string_view::npos || end == std::string_view::npos) return {};
  return page.substr(begin + open.size(), end - begin - open.size());
}

// The page's own style and script run, and nothing else.
std::string PagePolicy(std::string_view page) {
  return StrCat("default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; ",
                "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'; style-src 'sha256-",
                Sha256Base64(Inside(page, "style")), "'; script-src 'sha256-", Sha256Base64(Inside(page, "script")),
                "'");
}

}  // namespace

AdminSite::AdminSite(SessionManager& manager, const Identifier& identifier, ConnectionGuard* failures,
                     std::function<std::string()> metrics)
    : manager_(manager),
      identifier_(identifier),
      failures_(failures),
      metrics_(std::move(metrics)),
      page_policy_(PagePolicy(StatusPage())) {}

HttpResponse AdminSite::Metrics() const {
  return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics_()};
}

void AdminSite::AnswerMetrics(const HttpRequest& request, RespondHttp respond) const {
  if (request.path != "/metrics") return respond(NoSuchPath());
  if (request.method != "GET" && request.method != "HEAD") return respond(WrongMethod("GET"));
  respond(Metrics());
}

void AdminSite::Answer(const HttpRequest& request, RespondHttp respond) const {
  const bool is_get = request.method == "GET" || request.method == "HEAD";
  const std::vector<std::string_view> hosts = request.Header("host");
  if (hosts.size() != 1 || !IsOwnHost(hosts.front())) {
    return respond(ErrorResponse(
        MakeError(absl::StatusCode::kPermissionDenied, "WRONG_HOST",
                  "ask for this page by the address of its listener or as localhost, not by another name"),
        403));
  }
  if (request.path == "/metrics") return is_get ? respond(Metrics()) : respond(WrongMethod("GET"));
  if (request.path == "/") {
    if (!is_get) return respond(WrongMethod("GET"));
    return respond({.content_type = "text/html; charset=utf-8",
                    .body = std::string(StatusPage()),
                    .headers = {{"Content-Security-Policy", page_policy_}, {"Referrer-Policy", "no-referrer"}}});
  }
  if (request.Header("x-transportd").empty()) {
    return respond(ErrorResponse(MakeError(absl::StatusCode::kPermissionDenied, "NO_HEADER",
                                           "send the header X-Transportd: 1, which pages of other sites cannot"),
                                 403));
  }
  Credentials credentials;
  credentials.peer = request.peer;
  credentials.authorization = request.Header("authorization");
  credentials.listener_principal = request.listener_principal;
  absl::StatusOr<Caller> caller = identifier_.Identify(credentials);
  if (!caller.ok()) {
    if (failures_ != nullptr && !credentials.authorization.empty()) failures_->Failed(request.peer, caller.status());
    return respond(ErrorResponse(caller.status()));
  }
  AnswerCaller(request, *std::move(caller), std::move(respond));
}

void AdminSite::AnswerCaller(const HttpRequest& request, Caller caller, RespondHttp respond) const {
  if (request.path == "/status.json") {
    if (request.method != "GET") return respond(WrongMethod("GET"));
    return manager_.GetStatus(std::move(caller), v1::GetStatusRequest(),
                              [respond = std::move(respond)](absl::StatusOr<v1::GetStatusResponse> status) mutable {
                                // Many rows take longer than a loop of sessions should wait.
                                auto shared =
                                    std::make_shared<absl::StatusOr<v1::GetStatusResponse>>(std::move(status));
                                HttpResponse later;
                                later.finish = [shared](HttpResponse& response) { response = JsonResponse(*shared); };
                                respond(std::move(later));
                              });
  }
  const std::vector<std::string> parts = absl::StrSplit(request.path, '/');
  const bool is_of_session = parts.size() >= 4 && parts[0].empty() && parts[1] == "sessions" && parts.back() == "end";
  if (is_of_session && request.method != "POST") return respond(WrongMethod("POST"));
  if (is_of_session && parts.size() == 4) {
    v1::EndSessionRequest end;
    end.set_session_prefix(parts[2]);
    return manager_.EndSession(
        std::move(caller), std::move(end),
        [respond = std::move(respond)](const absl::StatusOr<v1::EndSessionResponse>& ended) mutable {
          respond(JsonResponse(ended));
        });
  }
  uint32_t id = 0;
  if (is_of_session && parts.size() == 6 && parts[3] == "transports" && absl::SimpleAtoi(parts[4], &id)) {
    v1::EndTransportRequest end;
    end.set_session_prefix(parts[2]);
    end.set_transport_id(id);
    return manager_.EndTransport(
        std::move(caller), std::move(end),
        [respond = std::move(respond)](const absl::StatusOr<v1::EndTransportResponse>& ended) mutable {
          respond(JsonResponse(ended));
        });
  }
  respond(NoSuchPath());
}

}  // namespace transportd
