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
#include "clients/cpp/transportctl/completion.h"
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
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  const absl::StatusOr<ctl::Arguments> arguments = ctl::ParseArguments(words);
  if (!arguments.ok()) {
    ctl::PrintLinesToStderr({std::string(arguments.status().message()), "try `transportctl --help`"});
    return ctl::kUsage;
  }
  ctl::TakeGrpcLog(arguments->verbose);
  ConnectOptions service = WithEnvironment({.target = arguments->target,
                                            .token = arguments->token,
                                            .token_file = arguments->token_file,
                                            .ca_file = arguments->target_ca_file,
                                            .certificate_file = arguments->target_certificate_file,
                                            .key_file = arguments->target_key_file,
                                            .server_name = arguments->target_name,
                                            .client_name = "transportctl",
                                            .timeout = arguments->timeout,
                                            .credentials = nullptr});
  if (NeedsService(arguments->command)) {
    // What is wrong before anybody is asked is the command line's fault, or the environment's.
    const absl::StatusOr<std::string> token = TokenToSend(service);
    absl::Status status = token.status();
    if (status.ok()) status = CreateServiceChannel(service).status();
    if (!status.ok()) {
      ctl::PrintLinesToStderr(ctl::Explain(status, service.target, "Session", service.timeout));
      return ctl::kUsage;
    }
    // From here on it is not read again: it may be a pipe.
    service.token = *token;
    service.token_file.clear();
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
    case ctl::Command::kTop:
      return ctl::RunTop(*arguments, service);
    case ctl::Command::kStatus:
      return ctl::RunStatus(*arguments, service);
    case ctl::Command::kEnd:
      return ctl::RunEnd(*arguments, service);
    case ctl::Command::kHealth:
      return ctl::RunHealth(*arguments, service);
    case ctl::Command::kVersion:
      return ctl::RunVersion(*arguments, service);
    case ctl::Command::kToken:
      return ctl::RunToken(*arguments);
    case ctl::Command::kPolicy:
      return ctl::RunPolicy(*arguments);
    case ctl::Command::kCompletion:
      return Print(CompletionScript(arguments->shell, ctl::Completion()));
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
