// What operators write: the reader's errors say where, and what it takes means the same when it is written again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "google/protobuf/text_format.h"
#include "server/policy/config_text.h"
#include "server/policy/identities_file.h"
#include "server/policy/token_table.h"
#include "transportd/v1/policy.pb.h"
#include "transports/base/check.h"

namespace transportd::fuzz {
namespace {

void CheckError(const absl::Status& status) {
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(std::string(status.message()).substr(0, 2) == "f:");
}

template <typename Message>
void ReadTwice(std::string_view text) {
  Message message;
  if (const absl::Status status = ReadConfigText(text, "f", message); !status.ok()) return CheckError(status);
  std::string again;
  CHECK(google::protobuf::TextFormat::PrintToString(message, &again));
  Message second;
  CHECK(ReadConfigText(again, "f", second).ok());
  // A NaN is not equal to itself: as bytes.
  CHECK(message.SerializeAsString() == second.SerializeAsString());
}

}  // namespace

static void TestOneInput(std::string_view text) {
  ReadTwice<v1::Identities>(text);
  ReadTwice<v1::Policy>(text);
  const absl::StatusOr<v1::Identities> identities = ReadIdentities(text, "f");
  if (!identities.ok()) return CheckError(identities.status());
  const TokenTable table(identities->token());
  CHECK(!table.Find("unknown", std::chrono::system_clock::time_point()).has_value());
}

}  // namespace transportd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  transportd::fuzz::TestOneInput({reinterpret_cast<const char*>(data), size});
  return 0;
}
