// What the kernel says of this process.
#ifndef TRANSPORTD_SERVER_OPS_PROCESS_STATUS_H_
#define TRANSPORTD_SERVER_OPS_PROCESS_STATUS_H_

#include "transportd/v1/admin.pb.h"

namespace transportd {

// proc(5), getrusage(2). What cannot be found out is 0. The subprocess count is another's to fill in. Any thread.
v1::ProcessStatus GetProcessStatus();

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_PROCESS_STATUS_H_
