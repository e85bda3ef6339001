// What transportctl can do. Each returns an exit status, and has told on standard error what went wrong.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_COMMANDS_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_COMMANDS_H_

#include "clients/cpp/connect.h"
#include "clients/cpp/transportctl/arguments.h"

namespace transportd::ctl {

// Over a session: stream_commands.cc.
int RunConnect(const Arguments& arguments, const ConnectOptions& service);
int RunListen(const Arguments& arguments, const ConnectOptions& service);
// udp_command.cc.
int RunUdp(const Arguments& arguments, const ConnectOptions& service);
// exec_command.cc.
int RunExec(const Arguments& arguments, const ConnectOptions& service);

// By unary calls: admin_commands.cc.
int RunSessions(const Arguments& arguments, const ConnectOptions& service);
int RunTransports(const Arguments& arguments, const ConnectOptions& service);
int RunHealth(const Arguments& arguments, const ConnectOptions& service);
int RunVersion(const Arguments& arguments, const ConnectOptions& service);
// status_command.cc.
int RunStatus(const Arguments& arguments, const ConnectOptions& service);
// end_command.cc.
int RunEnd(const Arguments& arguments, const ConnectOptions& service);
// top_command.cc.
int RunTop(const Arguments& arguments, const ConnectOptions& service);

// Without a service: token_command.cc.
int RunToken(const Arguments& arguments);
// Without a service: policy_commands.cc.
int RunPolicy(const Arguments& arguments);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_COMMANDS_H_
