#include "server/ops/tls_identities.h"

#include <string_view>
#include <tuple>
#include <utility>

#include "server/policy/config_file.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/tls/tls_context.h"

namespace transportd {
namespace {

absl::Status BadFlag(std::string_view flag, std::string_view what) {
  return InvalidArgument("BAD_CONFIGURATION", "", StrCat("--tls-identity=", flag, ": ", what));
}

bool IsName(std::string_view name) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  return !name.empty() && name.find_first_not_of(kLetters) == std::string_view::npos;
}

}  // namespace

absl::StatusOr<TlsIdentities> ReadTlsIdentities(std::span<const std::string> flags) {
  TlsIdentities identities;
  for (const std::string& flag : flags) {
    const size_t equals = flag.find('=');
    const size_t comma = flag.find(',', equals == std::string::npos ? 0 : equals);
    if (equals == std::string::npos || comma == std::string::npos) {
      return BadFlag(flag, "write NAME=CERTFILE,KEYFILE");
    }
    const std::string name = flag.substr(0, equals);
    if (!IsName(name)) return BadFlag(flag, "a name has letters, digits, '.', '_' and '-'");
    TlsOptions options;
    for (const auto& [begin, end, pem] : {std::tuple{equals + 1, comma, &options.certificate_chain_pem},
                                          {comma + 1, flag.size(), &options.private_key_pem}}) {
      absl::StatusOr<std::string> contents = ReadConfigFile(flag.substr(begin, end - begin), kMaxPemFileBytes);
      if (!contents.ok()) return BadFlag(flag, std::string(contents.status().message()));
      *pem = *std::move(contents);
    }
    if (const auto context = TlsContext::Create(options, TlsSide::kServer, nullptr); !context.ok()) {
      return BadFlag(flag, std::string(context.status().message()));
    }
    const bool is_new =
        identities
            .emplace(name, TlsIdentity{.certificate_chain_pem = std::move(options.certificate_chain_pem),
                                       .private_key_pem = std::move(options.private_key_pem)})
            .second;
    if (!is_new) return BadFlag(flag, "the name was given before");
  }
  return identities;
}

}  // namespace transportd
