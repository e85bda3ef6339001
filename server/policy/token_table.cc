#include "server/policy/token_table.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "transports/base/check.h"

namespace transportd {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr size_t kHashPrefixBytes = 4;

size_t HexValue(char c) { return kHexDigits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c); }

std::string HashPrefix(const Sha256Hash& hash) {
  std::string digits;
  for (size_t i = 0; i < kHashPrefixBytes; ++i) {
    digits.push_back(kHexDigits[hash[i] >> 4]);
    digits.push_back(kHexDigits[hash[i] & 0xf]);
  }
  return digits;
}

std::chrono::system_clock::time_point ToTime(const google::protobuf::Timestamp& timestamp) {
  // The far future is as far as this clock goes: the year 2262.
  constexpr int64_t kMaxSeconds = INT64_MAX / 1'000'000'000 - 1;
  if (timestamp.seconds() >= kMaxSeconds) return std::chrono::system_clock::time_point::max();
  if (timestamp.seconds() <= -kMaxSeconds) return std::chrono::system_clock::time_point::min();
  return std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(
      std::chrono::seconds(timestamp.seconds()) + std::chrono::nanoseconds(timestamp.nanos())));
}

}  // namespace

Sha256Hash Sha256(std::string_view bytes) {
  Sha256Hash hash;
  CHECK(EVP_Digest(bytes.data(), bytes.size(), hash.data(), nullptr, EVP_sha256(), nullptr) == 1);
  return hash;
}

std::optional<Sha256Hash> ParseSha256(std::string_view text) {
  Sha256Hash hash;
  if (text.size() != 2 * hash.size()) return {};
  for (size_t i = 0; i < hash.size(); ++i) {
    const size_t high = HexValue(text[2 * i]);
    const size_t low = HexValue(text[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return {};
    hash[i] = static_cast<unsigned char>(high << 4 | low);
  }
  return hash;
}

TokenTable::TokenTable(const google::protobuf::RepeatedPtrField<v1::Token>& tokens) {
  entries_.reserve(static_cast<size_t>(tokens.size()));
  for (const v1::Token& token : tokens) {
    const std::optional<Sha256Hash> hash = ParseSha256(token.sha256());
    CHECK(hash.has_value());
    Entry& entry = entries_.emplace_back(Entry{*hash, token.principal(), {}});
    if (token.has_not_after()) entry.not_after = ToTime(token.not_after());
  }
}

std::optional<TokenOwner> TokenTable::Find(std::string_view token, std::chrono::system_clock::time_point now) const {
  const Sha256Hash hash = Sha256(token);
  const Entry* found = nullptr;
  for (const Entry& entry : entries_) {
    if (CRYPTO_memcmp(entry.hash.data(), hash.data(), hash.size()) == 0) found = &entry;
  }
  if (found == nullptr || (found->not_after && now >= *found->not_after)) return {};
  return TokenOwner{found->principal, HashPrefix(found->hash)};
}

}  // namespace transportd
