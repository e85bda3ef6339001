#include "server/admin/http_server.h"

#include <future>
#include <list>
#include <utility>

#include "transports/loop/loop_thread.h"

namespace transportd {
namespace {

// Only on the loop's thread.
struct Listener {
  HttpHandler handler;
  std::optional<std::string> principal;
  std::shared_ptr<Server> server;
  std::list<std::shared_ptr<HttpConnection>> connections;  // Oldest first.
};

}  // namespace

class HttpServer::Impl final {
 public:
  Impl(std::unique_ptr<LoopThread> thread, HttpBounds bounds) : bounds_(bounds), thread_(std::move(thread)) {}

  ~Impl() {
    thread_->PostAndWait([this] {
      for (const auto& listener : listeners_) {
        if (listener->server != nullptr) listener->server->Close();
        const auto connections = listener->connections;
        for (const auto& connection : connections) connection->Abort();
      }
    });
    // What ends in later turns refers to the listeners.
    thread_.reset();
  }

  absl::StatusOr<SocketAddress> Listen(const ListenAddress& address, HttpHandler handler) {
    auto listener = std::make_unique<Listener>();
    listener->handler = std::move(handler);
    listener->principal = address.principal;
    Listener& kept = *listener;
    absl::StatusOr<std::shared_ptr<Server>> result = absl::UnknownError("");
    std::promise<void> done;
    thread_->Post([&] {
      listeners_.push_back(std::move(listener));
      auto answer = [&](absl::StatusOr<std::shared_ptr<Server>> server) {
        result = std::move(server);
        if (result.ok()) kept.server = *result;
        done.set_value();
      };
      ProtocolFactory factory = [this, &kept] { return Accept(kept); };
      if (address.address.family == AddressFamily::kUnix) {
        CreateUnixServerOptions options;
        options.path = address.address.path;
        options.mode = address.mode;
        thread_->loop().CreateUnixServer(std::move(factory), std::move(options), answer);
      } else {
        CreateServerOptions options;
        options.hosts = {address.address.host};
        options.port = address.address.port;
        thread_->loop().CreateServer(std::move(factory), std::move(options), answer);
      }
    });
    done.get_future().wait();
    if (!result.ok()) return result.status();
    return (*result)->Sockets().front();
  }

 private:
  std::shared_ptr<BaseProtocol> Accept(Listener& listener) {
    if (listener.connections.size() >= kMaxConnectionCount) {
      thread_->loop().CallSoon([oldest = listener.connections.front()] { oldest->Abort(); });
      listener.connections.pop_front();
    }
    auto place = std::make_shared<std::weak_ptr<HttpConnection>>();  // Known only when it is made.
    auto connection =
        std::make_shared<HttpConnection>(thread_->loop(), listener.handler, listener.principal, bounds_,
                                         [&listener, place] { listener.connections.remove(place->lock()); });
    *place = connection;
    listener.connections.push_back(connection);
    return connection;
  }

  const HttpBounds bounds_;
  std::list<std::unique_ptr<Listener>> listeners_;
  std::unique_ptr<LoopThread> thread_;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() = default;

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Create(HttpBounds bounds) {
  auto thread = LoopThread::Create({}, "admin");
  if (!thread.ok()) return thread.status();
  return std::unique_ptr<HttpServer>(new HttpServer(std::make_unique<Impl>(*std::move(thread), bounds)));
}

absl::StatusOr<SocketAddress> HttpServer::Listen(const ListenAddress& address, HttpHandler handler) {
  return impl_->Listen(address, std::move(handler));
}

}  // namespace transportd
