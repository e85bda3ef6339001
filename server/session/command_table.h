// What ties the two doors together: each variant of Command to the unary method that takes the same message.
#ifndef TRANSPORTD_SERVER_SESSION_COMMAND_TABLE_H_
#define TRANSPORTD_SERVER_SESSION_COMMAND_TABLE_H_

#include <string>
#include <string_view>

#include "transportd/v1/event_loop.pb.h"

namespace transportd {

// The method that Authorizer::Authorize is asked for: that of the unary twin, `transportd.v1.Transport.Close`; for a
// variant without one the stream's and the variant's, `transportd.v1.EventLoop.Session/cancel`. `write` has
// Transport.Write's, `sendto` DatagramTransport.SendTo's. Built from the descriptors when first asked for. Any thread.
std::string_view CommandMethod(v1::Command::CommandCase variant);

// The message in the variant that is set; null for `write` and when none is set.
const google::protobuf::Message* CommandRequest(const v1::Command& command);

// The session_id of that message; empty when it has none.
std::string CommandSessionId(const v1::Command& command);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_COMMAND_TABLE_H_
