#include "clients/cpp/remote_socket_option.h"

#include <utility>

namespace transportd {

void RequestGetsockopt(RemoteSession& session, uint32_t id, SocketOption option,
                       absl::AnyInvocable<void(absl::StatusOr<int>)> done) {
  v1::Command command;
  command.mutable_getsockopt()->set_transport_id(id);
  command.mutable_getsockopt()->set_option(static_cast<v1::SocketOption>(option));
  session.Request(std::move(command), [done = std::move(done)](absl::StatusOr<v1::Reply> reply) mutable {
    done(reply.ok() ? absl::StatusOr<int>(reply->getsockopt().value()) : reply.status());
  });
}

void RequestSetsockopt(RemoteSession& session, uint32_t id, SocketOption option, int value,
                       absl::AnyInvocable<void(absl::Status)> done) {
  v1::Command command;
  command.mutable_setsockopt()->set_transport_id(id);
  command.mutable_setsockopt()->set_option(static_cast<v1::SocketOption>(option));
  command.mutable_setsockopt()->set_value(value);
  session.Request(std::move(command),
                  [done = std::move(done)](const absl::StatusOr<v1::Reply>& reply) mutable { done(reply.status()); });
}

}  // namespace transportd
