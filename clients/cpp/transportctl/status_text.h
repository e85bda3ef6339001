// A service's status for people, line by line.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_STATUS_TEXT_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_STATUS_TEXT_H_

#include <string>

#include "transportd/v1/admin.pb.h"

namespace transportd::ctl {

// Without sessions, transports and denials: there are commands for these. Ends with a line break.
std::string StatusText(const v1::GetStatusResponse& status);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_STATUS_TEXT_H_
