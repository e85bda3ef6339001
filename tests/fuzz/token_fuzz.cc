// Whatever comes as `authorization`: only what is known is somebody, and no answer repeats what was shown.
//
// The input is the values, one a line.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "server/policy/file_identifier.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_jwt.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"

namespace transportd::fuzz {
namespace {

std::unique_ptr<FileIdentifier> MakeIdentifier() {
  const TempDir dir;
  const std::string keys = dir.WriteFile("keys", TestJwkSet({TestJwtKey::P256().Jwk("e1")}));
  // SHA-256 of "abc".
  const std::string file =
      dir.WriteFile("who", StrCat("version: \"v1\" token { principal: \"ci\" sha256: "
                                  "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\" } "
                                  "jwt { issuer: \"i\" audiences: \"a\" principal_prefix: \"j:\" jwks_file: \"",
                                  keys, "\" }"));
  auto identifier =
      FileIdentifier::Create(file, [] { return std::chrono::system_clock::time_point(std::chrono::seconds(1)); });
  CHECK(identifier.ok());
  return *std::move(identifier);
}

}  // namespace

static void TestOneInput(std::string_view text) {
  static const FileIdentifier& identifier = *MakeIdentifier().release();
  Credentials credentials;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    credentials.authorization.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  const absl::StatusOr<Caller> caller = identifier.Identify(credentials);
  if (caller.ok()) {
    const std::string_view value = credentials.authorization.front();
    CHECK(credentials.authorization.size() == 1 && caller->principal == "ci" && caller->method == "token");
    CHECK(value.size() >= 10 && value.substr(value.size() - 4) == " abc");
    return;
  }
  const TransportError error = ToTransportError(caller.status());
  CHECK(error.code == absl::StatusCode::kUnauthenticated);
  CHECK(error.reason == (credentials.authorization.empty() ? "NO_PRINCIPAL" : "INVALID_CREDENTIALS"));
  // Of what was shown no answer is made: there are but a few.
  constexpr size_t kMaxMessages = 32;
  static std::set<std::string>& messages = *new std::set<std::string>();
  messages.insert(error.message);
  CHECK(messages.size() <= kMaxMessages);
}

}  // namespace transportd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  transportd::fuzz::TestOneInput({reinterpret_cast<const char*>(data), size});
  return 0;
}
