#include <cstdio>
#include <string>

#include "clients/cpp/transportctl/commands.h"
#include "clients/cpp/transportctl/exit_code.h"
#include "clients/cpp/transportctl/new_token.h"
#include "clients/cpp/transportctl/standard_error.h"

namespace transportd::ctl {

int RunToken(const Arguments& arguments) {
  const NewToken made = MakeToken();
  const std::string line = made.token + "\n";
  // A token that nobody got gets no entry.
  if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size() || std::fflush(stdout) != 0) {
    PrintToStderr("standard output cannot be written");
    return kFailed;
  }
  PrintBareToStderr(TokenEntry(arguments.principal, made.sha256));
  return kOk;
}

}  // namespace transportd::ctl
