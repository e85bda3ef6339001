// HTTP/1.1 for operators and scrapers, on a loop and thread of its own: what it does delays no session.
#ifndef TRANSPORTD_SERVER_ADMIN_HTTP_SERVER_H_
#define TRANSPORTD_SERVER_ADMIN_HTTP_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/admin/http_connection.h"
#include "server/admin/http_message.h"
#include "server/listen/listen_address.h"
#include "transports/api/address.h"

namespace transportd {

// Each listener has kMaxConnectionCount places; the next connection takes the place of the oldest one. Threading: one
// thread, not its own.
class HttpServer final {
 public:
  static constexpr size_t kMaxConnectionCount = 64;

  // The kernel's error.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Create(HttpBounds bounds = {});
  // Ends every connection. What handlers answer later is dropped.
  ~HttpServer();

  // From now on connections are taken at `address`: TCP, or a Unix socket with a path. Returns what is bound, with the
  // port. The kernel's error.
  absl::StatusOr<SocketAddress> Listen(const ListenAddress& address, HttpHandler handler);

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_ADMIN_HTTP_SERVER_H_
