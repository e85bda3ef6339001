// transportctl: a running transportd from the command line.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "clients/cpp/transportctl/arguments.h"
#include "clients/cpp/transportctl/commands.h"
#include "clients/cpp/transportctl/exit_code.h"
#include "clients/cpp/transportctl/standard_error.h"
#include "proto/grpc/process_tuning.h"
#include "transports/base/unique_fd.h"

namespace transportd {
namespace {

// A program started with one of them closed would get its number for something else, and read or write that.
void FillStandardFds() {
  for (;;) {
    UniqueFd fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (fd.get() < 0 || fd.get() > STDERR_FILENO) return;
    static_cast<void>(fd.Release());
  }
}

int Print(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  return written ? ctl::kOk : ctl::kFailed;
}

bool NeedsService(ctl::Command command) {
  return command != ctl::Command::kProgramVersion && command != ctl::Command::kHelp &&
         !ctl::Contains(ctl::kLocal, command);
}

int Main(int argc, char** argv) {
  FillStandardFds();
  // A reader that goes away is an error of write(2), and told as one.
  std::signal(SIGPIPE, SIG_IGN);
  ctl::TakeGrpcLog();
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  const absl::StatusOr<ctl::Arguments> arguments = ctl::ParseArguments(words);
  if (!arguments.ok()) {
    ctl::PrintLinesToStderr({std::string(arguments.status().message()), "try `transportctl --help`"});
    return ctl::kUsage;
  }
  ConnectOptions service = WithEnvironment({.target = arguments->target,
                                            .token = arguments->token,
                                            .client_name = "transportctl",
                                            .timeout = arguments->timeout,
                                            .credentials = nullptr});
  if (NeedsService(arguments->command)) {
    if (const absl::Status status = CheckToken(service.token); !status.ok()) {
      ctl::Lines lines = ctl::Explain(status, service.target, "Session", service.timeout);
      lines.emplace_back("it is what --token or TRANSPORTD_TOKEN says");
      ctl::PrintLinesToStderr(lines);
      return ctl::kUsage;
    }
  }
  switch (arguments->command) {
    case ctl::Command::kConnect:
      return ctl::RunConnect(*arguments, service);
    case ctl::Command::kListen:
      return ctl::RunListen(*arguments, service);
    case ctl::Command::kUdp:
      return ctl::RunUdp(*arguments, service);
    case ctl::Command::kExec:
      return ctl::RunExec(*arguments, service);
    case ctl::Command::kSessions:
      return ctl::RunSessions(*arguments, service);
    case ctl::Command::kTransports:
      return ctl::RunTransports(*arguments, service);
    case ctl::Command::kHealth:
      return ctl::RunHealth(*arguments, service);
    case ctl::Command::kVersion:
      return ctl::RunVersion(*arguments, service);
    case ctl::Command::kToken:
      return ctl::RunToken(*arguments);
    case ctl::Command::kPolicy:
      return ctl::RunPolicy(*arguments);
    case ctl::Command::kProgramVersion:
      return Print("transportctl " TRANSPORTD_VERSION "\n");
    case ctl::Command::kHelp:
      break;
  }
  return Print(ctl::HelpText(arguments->help_topic));
}

}  // namespace
}  // namespace transportd

int main(int argc, char** argv) {
  transportd::TuneProcess();
  return transportd::Main(argc, argv);
}
