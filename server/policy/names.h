// What a policy names: hosts, paths, principals, and patterns of them.
#ifndef TRANSPORTD_SERVER_POLICY_NAMES_H_
#define TRANSPORTD_SERVER_POLICY_NAMES_H_

#include <string_view>

namespace transportd {

// Absolute, without `.`, `..`, doubled slashes and bytes 0; one at the end only for `/` itself.
bool IsCanonicalPath(std::string_view path);
// The same, with or without a slash at the end.
bool IsCanonicalFolder(std::string_view path);

// `pattern` is a path, or a folder with `/` at its end for all below. Both are canonical.
bool MatchesPath(std::string_view pattern, std::string_view path);
// `folder`, with or without `/` at its end, is `path` or above it.
bool IsInFolder(std::string_view folder, std::string_view path);

// `pattern` is a text, or with `*` at its end the beginning of some.
bool MatchesPrefix(std::string_view pattern, std::string_view text);

// `pattern`, `db.example` or `*.example`, is lower-case; `host` need not be, and may have a dot at its end.
bool MatchesHost(std::string_view pattern, std::string_view host);

// Whether a resolver would take it for an IPv4 address in one of inet_aton(3)'s forms: its last part is a number
// (https://url.spec.whatwg.org/#ends-in-a-number-checker).
bool EndsInNumber(std::string_view host);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_NAMES_H_
