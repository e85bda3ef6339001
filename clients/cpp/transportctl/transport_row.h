// One transport, in words.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TRANSPORT_ROW_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TRANSPORT_ROW_H_

#include <string>
#include <vector>

#include "transportd/v1/admin.pb.h"

namespace transportd::ctl {

// `stream`, `pipe`, `server`, …
std::string KindText(const v1::TransportInfo& transport);
// Its ends. What has no address has there what else it is known by: a subprocess its pid, a pipe its path, its
// descriptor or whose it is. Empty: nothing.
std::string LocalText(const v1::TransportInfo& transport);
std::string PeerText(const v1::TransportInfo& transport);

// The heading of `transportctl transports`, for FormatTable.
std::vector<std::string> TransportHeading();

// As many cells as the heading has.
std::vector<std::string> TransportRow(const v1::TransportInfo& transport);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TRANSPORT_ROW_H_
