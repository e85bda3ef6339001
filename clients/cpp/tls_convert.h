// Values of TLS, between transports/ and proto/.
#ifndef TRANSPORTD_CLIENTS_CPP_TLS_CONVERT_H_
#define TRANSPORTD_CLIENTS_CPP_TLS_CONVERT_H_

#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "transportd/v1/tls.pb.h"
#include "transports/api/tls_info.h"
#include "transports/api/tls_options.h"

namespace transportd::remote {

std::shared_ptr<const TlsInfo> FromProto(const v1::TlsInfo& info);

// Only what cannot be sent is refused, with the field and reason that the service would give; the rest is the
// service's to judge.
absl::Status ToProto(const TlsOptions& options, v1::TlsOptions& out);

// The `tls` of a request; nothing when it is unset.
template <typename Request>
absl::Status SetTls(const std::optional<TlsOptions>& tls, Request& request) {
  return tls.has_value() ? ToProto(*tls, *request.mutable_tls()) : absl::OkStatus();
}

}  // namespace transportd::remote

#endif  // TRANSPORTD_CLIENTS_CPP_TLS_CONVERT_H_
