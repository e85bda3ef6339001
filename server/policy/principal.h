// The name of who calls.
#ifndef TRANSPORTD_SERVER_POLICY_PRINCIPAL_H_
#define TRANSPORTD_SERVER_POLICY_PRINCIPAL_H_

#include <string_view>

namespace transportd {

// What IsPrincipal takes, for errors.
inline constexpr std::string_view kPrincipalRule = "1 to 256 printable ASCII characters, no space";

// Whether a token, a JSON Web Token or a listener may stand for it. Of a certificate's SPIFFE ID see IsSpiffeId.
bool IsPrincipal(std::string_view text);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_PRINCIPAL_H_
