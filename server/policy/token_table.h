// Bearer tokens, known by their hashes.
#ifndef TRANSPORTD_SERVER_POLICY_TOKEN_TABLE_H_
#define TRANSPORTD_SERVER_POLICY_TOKEN_TABLE_H_

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "google/protobuf/repeated_ptr_field.h"
#include "transportd/v1/identity.pb.h"

namespace transportd {

using Sha256Hash = std::array<unsigned char, 32>;
Sha256Hash Sha256(std::string_view bytes);

// Of 64 hexadecimal digits. Nothing: it is something else.
std::optional<Sha256Hash> ParseSha256(std::string_view text);

// A token that is good.
struct TokenOwner {
  std::string principal;
  std::string hash_prefix;  // 8 hexadecimal digits: which token it was, for the audit.
};

// Threading: immutable after construction.
class TokenTable final {
 public:
  TokenTable() = default;
  // CHECK-fails on what ReadIdentities refuses.
  explicit TokenTable(const google::protobuf::RepeatedPtrField<v1::Token>& tokens);

  // Nothing: nobody has it, or not any longer. Every hash is compared wholly, whichever fits: how long it takes tells
  // nothing.
  std::optional<TokenOwner> Find(std::string_view token, std::chrono::system_clock::time_point now) const;

 private:
  struct Entry {
    Sha256Hash hash;
    std::string principal;
    std::optional<std::chrono::system_clock::time_point> not_after;
  };

  std::vector<Entry> entries_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_TOKEN_TABLE_H_
