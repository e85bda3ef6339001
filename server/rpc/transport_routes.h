// The services of transportd.v1, out of their descriptors.
#ifndef TRANSPORTD_SERVER_RPC_TRANSPORT_ROUTES_H_
#define TRANSPORTD_SERVER_RPC_TRANSPORT_ROUTES_H_

#include <cstdint>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "server/policy/authorizer.h"
#include "server/rpc/router.h"
#include "server/session/session_manager.h"
#include "transports/base/clock.h"

namespace transportd {

// Admin.GetVersion's answer of a service that has run for so long. Any thread.
v1::GetVersionResponse DescribeVersion(std::chrono::nanoseconds uptime);

// The services whose methods AddTransportRoutes adds: those of event_loop.proto, of the files that it imports, and
// Admin.
std::vector<const google::protobuf::ServiceDescriptor*> TransportServices();

// What the two doors share: a variant of Command, the unary method that takes the same message, and the variant of
// Reply that is the method's response. Threading: immutable after construction.
struct UnaryCommand {
  const google::protobuf::MethodDescriptor* method = nullptr;
  const google::protobuf::FieldDescriptor* command = nullptr;
  const google::protobuf::FieldDescriptor* reply = nullptr;
};

// Every method that is a command: unary, and its request is the type of exactly one variant.
std::vector<UnaryCommand> UnaryCommands();

// Adds every method of TransportServices, so that a new command in the protos needs no line here. CHECK-fails when a
// method is left over: it is no command, and nothing below serves it. Everything given must outlive the router's calls.
void AddTransportRoutes(SessionManager& manager, const Authorizer& authorizer, Clock& clock,
                        uint64_t max_client_frame_bytes, Router& router);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_RPC_TRANSPORT_ROUTES_H_
