// TransportError.field as a request has it.
#ifndef TRANSPORTD_SERVER_SESSION_ERROR_FIELD_H_
#define TRANSPORTD_SERVER_SESSION_ERROR_FIELD_H_

#include <string>
#include <string_view>

#include "google/protobuf/descriptor.h"

namespace transportd {

// The transports name what is bad by asyncio's words, wherever a request has it: `cwd` is `options.cwd` of
// SubprocessExecRequest, `sock` is `socket_id`. `field` itself when the request has nothing of the kind.
// Threading: any thread.
std::string RequestField(const google::protobuf::Descriptor& request, std::string_view field);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_ERROR_FIELD_H_
