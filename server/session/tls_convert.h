// Values of TLS, between transports/ and proto/.
#ifndef TRANSPORTD_SERVER_SESSION_TLS_CONVERT_H_
#define TRANSPORTD_SERVER_SESSION_TLS_CONVERT_H_

#include <optional>
#include <string>

#include "transportd/v1/tls.pb.h"
#include "transports/api/tls_info.h"
#include "transports/api/tls_options.h"

namespace transportd {

void ToProto(const TlsInfo& info, v1::TlsInfo& out);

// Values are checked by the loop; what is converted here is only the shape. `session_id`: whose sessions of TLS may be
// resumed.
TlsOptions FromProto(const v1::TlsOptions& options, const std::string& session_id);

// The `tls` of a request: unset when it is not there.
template <typename Request>
std::optional<TlsOptions> TlsOf(const Request& request, const std::string& session_id) {
  if (!request.has_tls()) return std::nullopt;
  return FromProto(request.tls(), session_id);
}

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_TLS_CONVERT_H_
