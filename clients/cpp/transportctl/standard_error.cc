#include "clients/cpp/transportctl/standard_error.h"

#include <cstdio>

#include "clients/cpp/transportctl/printable.h"
#include "grpc/support/log.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {

void PrintToStderr(std::string_view line) { PrintLinesToStderr({std::string(line)}); }

void PrintLinesToStderr(const Lines& lines) {
  std::string text = "transportctl: ";
  for (const std::string& line : lines) text += Printable(line) + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void PrintBareToStderr(std::string_view line) {
  const std::string text = Printable(line) + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void TakeGrpcLog(bool verbose) {
  static constexpr auto kPrint = [](gpr_log_func_args* entry) { PrintToStderr(StrCat("gRPC: ", entry->message)); };
  gpr_set_log_function(verbose ? +kPrint : [](gpr_log_func_args* entry) {
    // Of each handshake that fails.
    const std::string_view file = entry->file;
    if (file.find("ssl_transport_security") == std::string_view::npos) kPrint(entry);
  });
}

}  // namespace transportd::ctl
