// What a shell is told of transportctl's command line.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_COMPLETION_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_COMPLETION_H_

#include "transports/base/shell_completion.h"

namespace transportd::ctl {

// Made of the options as they are read, and of the help text.
CompletionTable Completion();

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_COMPLETION_H_
