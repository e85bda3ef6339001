#include "server/admin/http_connection.h"

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

namespace http = boost::beast::http;

std::string PeerText(const std::optional<SocketAddress>& address) {
  if (!address || address->family == AddressFamily::kUnix) return "unix:";
  return StrCat(address->family == AddressFamily::kInet6 ? "ipv6:" : "ipv4:", address->ToString());
}

// Whole, with its header.
std::string Serialize(const HttpResponse& response, bool keep_alive, bool head_only) {
  http::response<http::string_body> out;
  out.version(11);
  out.result(static_cast<unsigned>(response.status));
  out.set(http::field::server, "transportd");
  out.set(http::field::content_type, response.content_type);
  out.set(http::field::cache_control, "no-store");
  out.set("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : response.headers) out.set(name, value);
  out.keep_alive(keep_alive);
  out.content_length(response.body.size());
  if (!head_only) out.body() = response.body;
  std::ostringstream text;
  if (head_only) {
    text << out.base();
  } else {
    text << out;
  }
  return std::move(text).str();
}

}  // namespace

std::vector<std::string_view> HttpRequest::Header(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto& [other, value] : headers) {
    if (absl::EqualsIgnoreCase(absl::string_view(other.data(), other.size()),
                               absl::string_view(name.data(), name.size()))) {
      values.push_back(value);
    }
  }
  return values;
}

// One request's.
class HttpConnection::Parser final : public http::request_parser<http::string_body> {};

HttpConnection::HttpConnection(EpollEventLoop& loop, const HttpHandler& handler,
                               std::optional<std::string> listener_principal, HttpBounds bounds,
                               absl::AnyInvocable<void()> on_end)
    : loop_(loop),
      handler_(handler),
      listener_principal_(std::move(listener_principal)),
      bounds_(bounds),
      on_end_(std::move(on_end)) {}

HttpConnection::~HttpConnection() = default;

void HttpConnection::Abort() {
  if (transport_ != nullptr) transport_->Abort();
}

void HttpConnection::ConnectionMade(std::shared_ptr<Transport> transport) {
  transport_ = std::move(transport);
  peer_ = PeerText(transport_->GetExtraInfo().peername);
  // Any part of a response that the client has not taken: ResumeWriting comes when it has.
  static_cast<void>(transport_->SetWriteBufferLimits({.high_bytes = 0}));
  StartTimer(bounds_.request_timeout);
}

void HttpConnection::StartTimer(std::chrono::seconds timeout) {
  loop_.CancelTimer(std::exchange(timer_, 0));
  timer_ = loop_.CallLater(timeout, [this] {
    timer_ = 0;
    Abort();
  });
}

void HttpConnection::DataReceived(std::string_view data) {
  if (ending_) return;
  received_.append(data);
  if (!answering_) Parse();
}

void HttpConnection::Parse() {
  if (parser_ == nullptr) {
    parser_ = std::make_unique<Parser>();
    parser_->header_limit(static_cast<std::uint32_t>(bounds_.max_header_bytes));
    parser_->body_limit(bounds_.max_body_bytes);
  }
  while (!received_.empty() && !parser_->is_done()) {
    boost::system::error_code error;
    const size_t used_bytes = parser_->put(boost::asio::buffer(received_), error);
    received_.erase(0, used_bytes);
    if (error == http::error::need_more && received_.size() <= bounds_.max_header_bytes) return;
    if (error == http::error::need_more) return Refuse(431, "a line is longer than this server reads");
    if (error == http::error::header_limit) return Refuse(431, "the header is longer than this server reads");
    if (error == http::error::body_limit) return Refuse(413, "the body is longer than this server reads");
    if (error) return Refuse(400, StrCat("this is no HTTP/1.1 request: ", error.message()));
    // Chunks and their trailers are bounded by nothing that the parser has, and nobody needs them here.
    if (parser_->is_header_done() && parser_->get().chunked()) {
      return Refuse(411, "say how long the body is: Content-Length");
    }
    parser_->eager(parser_->is_header_done());
  }
  if (!parser_->is_done()) return;
  const auto& message = parser_->get();
  HttpRequest request;
  request.method = std::string(message.method_string());
  const auto target = message.target();
  request.path = std::string(target.substr(0, target.find('?')));
  request.peer = peer_;
  request.listener_principal = listener_principal_;
  for (const auto& field : message) {
    request.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  }
  const bool keep_alive = message.keep_alive();
  const bool head_only = request.method == "HEAD";
  parser_.reset();
  answering_ = true;
  transport_->PauseReading();
  StartTimer(bounds_.response_timeout);
  // Whoever answers may outlive the loop.
  handler_(request, [queue = loop_.reactor().task_queue(), weak_self = weak_from_this(), keep_alive,
                     head_only](HttpResponse response) mutable {
    queue->Post([weak_self, keep_alive, head_only, response = std::move(response)]() mutable {
      const auto self = weak_self.lock();
      if (self == nullptr) return;
      if (response.finish != nullptr) response.finish(response);
      self->Answer(keep_alive, head_only, response);
    });
  });
}

void HttpConnection::Answer(bool keep_alive, bool head_only, const HttpResponse& response) {
  if (transport_ == nullptr || transport_->IsClosing()) return;
  ending_ |= !keep_alive;
  const std::string text = Serialize(response, keep_alive, head_only);
  if (!transport_->Write(text).ok() || transport_ == nullptr) return;
  if (transport_->GetWriteBufferSize() == 0) ResumeWriting();
}

void HttpConnection::ResumeWriting() {
  if (ending_) {
    transport_->Close();
    return;
  }
  answering_ = false;
  StartTimer(bounds_.request_timeout);
  transport_->ResumeReading();
  if (!received_.empty()) {
    loop_.CallSoon([weak_self = weak_from_this()] {
      const auto self = weak_self.lock();
      if (self != nullptr && self->transport_ != nullptr && !self->answering_ && !self->ending_) self->Parse();
    });
  }
}

void HttpConnection::Refuse(int status, std::string_view why) {
  parser_.reset();
  received_.clear();
  answering_ = true;
  transport_->PauseReading();
  StartTimer(bounds_.response_timeout);
  Answer(/*keep_alive=*/false, /*head_only=*/false, {.status = status, .body = StrCat(why, "\n")});
}

void HttpConnection::ConnectionLost(const ConnectionEnd& /*end*/) {
  loop_.CancelTimer(std::exchange(timer_, 0));
  transport_ = nullptr;
  std::exchange(on_end_, nullptr)();
}

}  // namespace transportd
