#include "clients/cpp/listen_operation.h"

#include <utility>
#include <vector>

#include "clients/cpp/convert.h"
#include "clients/cpp/remote_server.h"

namespace transportd {
namespace {

uint32_t ServerId(const v1::Reply& reply) {
  return reply.has_create_unix_server() ? reply.create_unix_server().server_id() : reply.create_server().server_id();
}

const auto& Sockets(const v1::Reply& reply) {
  return reply.has_create_unix_server() ? reply.create_unix_server().sockets() : reply.create_server().sockets();
}

}  // namespace

ListenOperation::ListenOperation(RemoteSession& session, ProtocolFactory factory, WriteBufferMarks marks,
                                 bool start_serving, Done done)
    : session_(session),
      factory_(std::move(factory)),
      marks_(marks),
      start_serving_(start_serving),
      done_(std::move(done)) {}

// Not in a turn of its own: the connections that it accepted follow in the same frame.
void ListenOperation::Finish(const v1::Reply& reply) {
  const uint32_t server_id = ServerId(reply);
  std::vector<SocketAddress> sockets;
  for (const v1::SocketAddress& address : Sockets(reply)) sockets.push_back(remote::FromProto(address));
  auto server = std::make_shared<RemoteServer>(session_, server_id, std::move(factory_), marks_, std::move(sockets),
                                               start_serving_);
  session_.AddServer(server_id, server);
  done_(std::shared_ptr<Server>(std::move(server)));
}

void ListenOperation::Fail(const absl::Status& status) { done_(status); }

void ListenOperation::Undo(const v1::Reply& reply) {
  v1::Command command;
  command.mutable_server_close()->set_server_id(ServerId(reply));
  session_.Send(command);
}

}  // namespace transportd
