// All that transportctl says on standard error, but for what a program says there that it runs.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_STANDARD_ERROR_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_STANDARD_ERROR_H_

#include <string>
#include <string_view>
#include <vector>

namespace transportd::ctl {

// Each is one line, without its end: what is in it is made Printable when it is printed.
using Lines = std::vector<std::string>;

// After `transportctl: `, one line.
void PrintToStderr(std::string_view line);
// The same for several; only the first has `transportctl: ` before it.
void PrintLinesToStderr(const Lines& lines);
// One line as it is.
void PrintBareToStderr(std::string_view line);

// gRPC's log, too, goes through PrintToStderr from now on; unless `verbose`, without what it says of TLS, which
// ExplainUnavailable tells better.
void TakeGrpcLog(bool verbose);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_STANDARD_ERROR_H_
