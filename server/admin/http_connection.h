// One connection of an HTTP/1.1 client: requests in, one after the other, responses out.
#ifndef TRANSPORTD_SERVER_ADMIN_HTTP_CONNECTION_H_
#define TRANSPORTD_SERVER_ADMIN_HTTP_CONNECTION_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "server/admin/http_message.h"
#include "transports/api/protocol.h"
#include "transports/loop/epoll_event_loop.h"

namespace transportd {

// What a client may cost. Threading: a value.
struct HttpBounds {
  size_t max_header_bytes = 16 * 1024;
  size_t max_body_bytes = 1024;
  // From the connection, or the end of the last response, to the end of the next request.
  std::chrono::seconds request_timeout{30};
  // Until the client has taken a response.
  std::chrono::seconds response_timeout{30};
};

// While a request is being answered the connection is not read: it holds one request and one response. What is no HTTP
// is answered with 400, 413 or 431, and the connection ends. Parsed by Boost.Beast. Threading: loop thread only.
class HttpConnection final : public Protocol, public std::enable_shared_from_this<HttpConnection> {
 public:
  // `loop` and `handler` outlive the connection. `on_end`: called once.
  HttpConnection(EpollEventLoop& loop, const HttpHandler& handler, std::optional<std::string> listener_principal,
                 HttpBounds bounds, absl::AnyInvocable<void()> on_end);
  ~HttpConnection() override;

  // Ends it now.
  void Abort();

  // Protocol
  void ConnectionMade(std::shared_ptr<Transport> transport) override;
  void DataReceived(std::string_view data) override;
  void ResumeWriting() override;
  void ConnectionLost(const ConnectionEnd& end) override;

 private:
  class Parser;

  void Parse();
  void Answer(bool keep_alive, bool head_only, const HttpResponse& response);
  void Refuse(int status, std::string_view why);
  void StartTimer(std::chrono::seconds timeout);

  EpollEventLoop& loop_;
  const HttpHandler& handler_;
  const std::optional<std::string> listener_principal_;
  const HttpBounds bounds_;
  absl::AnyInvocable<void()> on_end_;
  std::shared_ptr<Transport> transport_;
  std::string peer_;
  std::string received_;  // Not parsed yet; at most one request's header and body, and what one read adds.
  std::unique_ptr<Parser> parser_;
  bool answering_ = false;
  bool ending_ = false;  // No other request is read.
  TimerId timer_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_ADMIN_HTTP_CONNECTION_H_
