// Bearer tokens, made.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_NEW_TOKEN_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_NEW_TOKEN_H_

#include <string>
#include <string_view>

namespace transportd::ctl {

// Threading: a value.
struct NewToken {
  // `transportd_` and 256 random bits as base64url: printable, for headers, variables and file names as it is; what it
  // begins with lets programs that look for leaked secrets find it.
  std::string token;
  std::string sha256;  // Of `token`, 64 hexadecimal digits.
};
NewToken MakeToken();

// 1 to 256 printable ASCII characters, no space: what the service takes.
bool IsPrincipalName(std::string_view name);

// Its entry in the file of `transportd --identities`, one line of textproto without its end. It says nothing of the
// token that helps to guess it.
std::string TokenEntry(std::string_view principal, std::string_view sha256);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_NEW_TOKEN_H_
