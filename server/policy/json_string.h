// Text of others as a JSON string (RFC 8259, section 7) that no reader of lines takes for more than one.
#ifndef TRANSPORTD_SERVER_POLICY_JSON_STRING_H_
#define TRANSPORTD_SERVER_POLICY_JSON_STRING_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace transportd {

// Appends `text` in quotes. A byte that is not UTF-8 becomes U+FFFD. Escaped besides what JSON wants: DEL, C1 controls,
// and what separates lines or turns the direction of writing in Unicode, for terminals and for programs that split
// lines at them. Between the quotes come at most `max_bytes`, whole characters; false: so it was cut short. Any thread.
bool AppendJsonString(std::string_view text, size_t max_bytes, std::string& out);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_JSON_STRING_H_
