// Who has what, by principals and beginnings of them.
#ifndef TRANSPORTD_SERVER_POLICY_PRINCIPAL_MAP_H_
#define TRANSPORTD_SERVER_POLICY_PRINCIPAL_MAP_H_

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace transportd {

// Patterns, each a principal or with `*` at its end the beginning of some, with a `Value` for each. A Value has
// `void Merge(const Value&)`, which takes what another pattern gives, too. First every Add, then Complete, then Find.
// Threading: immutable after Complete; any thread.
template <typename Value>
class PrincipalMap final {
 public:
  // What this pattern gives; a new one at first.
  Value& Add(std::string_view pattern) {
    const bool is_prefix = !pattern.empty() && pattern.back() == '*';
    if (is_prefix) pattern.remove_suffix(1);
    return (is_prefix ? prefixes_ : exact_)[std::string(pattern)];
  }

  // From now on each pattern has also what the shorter ones give that fit whoever it fits.
  void Complete() {
    for (const auto& [prefix, value] : prefixes_) lengths_.push_back(prefix.size());
    std::sort(lengths_.begin(), lengths_.end(), std::greater<>());
    lengths_.erase(std::unique(lengths_.begin(), lengths_.end()), lengths_.end());
    // Longer ones first: what they merge is not complete yet, so nothing comes twice.
    for (auto length = lengths_.begin(); length != lengths_.end(); ++length) {
      for (auto& [prefix, value] : prefixes_) {
        if (prefix.size() == *length) MergeShorter(prefix, *length, value);
      }
    }
    // These are complete: the longest has all.
    for (auto& [principal, value] : exact_) {
      if (const Value* const longest = FindPrefix(principal)) value.Merge(*longest);
    }
  }

  // What all patterns give that fit; null: none does. Allocates nothing.
  const Value* Find(std::string_view principal) const {
    const auto found = exact_.find(principal);
    return found != exact_.end() ? &found->second : FindPrefix(principal);
  }

  // With each value.
  template <typename Function>
  void ForEach(Function function) {
    for (auto* map : {&exact_, &prefixes_}) {
      for (auto& [pattern, value] : *map) function(value);
    }
  }

 private:
  struct Hash {
    using is_transparent = void;  // NOLINT(readability-identifier-naming): the library's own name
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using Map = std::unordered_map<std::string, Value, Hash, std::equal_to<>>;

  void MergeShorter(std::string_view prefix, size_t below, Value& value) {
    for (const size_t length : lengths_) {
      if (length >= below) continue;
      const auto found = prefixes_.find(prefix.substr(0, length));
      if (found != prefixes_.end()) value.Merge(found->second);
    }
  }

  const Value* FindPrefix(std::string_view principal) const {
    for (const size_t length : lengths_) {
      if (length > principal.size()) continue;
      const auto found = prefixes_.find(principal.substr(0, length));
      if (found != prefixes_.end()) return &found->second;
    }
    return nullptr;
  }

  Map exact_;
  Map prefixes_;
  std::vector<size_t> lengths_;  // Of the prefixes, the longest first.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_PRINCIPAL_MAP_H_
