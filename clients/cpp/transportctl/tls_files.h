// TLS as the command line has it, with its files read.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TLS_FILES_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TLS_FILES_H_

#include "absl/status/statusor.h"
#include "clients/cpp/transportctl/arguments.h"
#include "transports/api/tls_options.h"

namespace transportd::ctl {

// INVALID_ARGUMENT, with one sentence that names the option: a file that cannot be read, is longer than 1 MiB, or has
// not in it what it should. May block, as files do.
absl::StatusOr<TlsOptions> ReadTlsFiles(const TlsArguments& arguments, bool is_server);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TLS_FILES_H_
