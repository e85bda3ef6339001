// base64url without padding, as JSON Web Tokens have it: RFC 7515, section 2; RFC 4648, section 5.
#ifndef TRANSPORTD_SERVER_POLICY_BASE64URL_H_
#define TRANSPORTD_SERVER_POLICY_BASE64URL_H_

#include <optional>
#include <string>
#include <string_view>

namespace transportd {

// The bytes that `text` stands for. Nothing: it is not what would be written for any bytes: another character, padding,
// a length that cannot be, or bits set behind the last byte.
std::optional<std::string> DecodeBase64Url(std::string_view text);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_BASE64URL_H_
