#include "clients/cpp/transportctl/admin_call.h"

#include <cstdio>

#include "clients/cpp/transportctl/exit_code.h"
#include "clients/cpp/transportctl/standard_error.h"
#include "google/protobuf/util/json_util.h"

namespace transportd::ctl {

int Fail(const absl::Status& status, std::string_view question, const ConnectOptions& service) {
  PrintLinesToStderr(Explain(status, service.target, question, service.timeout));
  return ExitCodeFor(status);
}

int Print(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written) PrintToStderr("standard output cannot be written");
  return written ? kOk : kFailed;
}

int PrintJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(message, &json, options).ok()) return kFailed;
  return Print(json + "\n");
}

}  // namespace transportd::ctl
