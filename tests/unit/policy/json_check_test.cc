#include "server/policy/json_check.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "transportd/v1/policy.pb.h"

namespace transportd {
namespace {

std::string JsonErrorOf(std::string_view text) {
  const absl::Status status = CheckJson(text, "p.json", *v1::Policy::descriptor());
  return std::string(status.message());
}

TEST(JsonCheck, TakesWhatJsonAllows) {
  for (const char* text : {
           R"({})",
           "\t{ \"version\" : \"v1\" ,\r\n \"role\":[ ] }\n",
           R"({"role": [{"name": "a", "connect": [{"protocols": ["TCP"], "to": {"anyPort": true}}]}]})",
           R"({"role": [{"connect": [{"to": {"any_port": false, "ports": [{"first": 1, "last": 65535}]}}]}]})",
           R"({"role": [{"quota": {"buffered_bytes": "12", "connects": {"per_second": 1.5e1}, "sessionAge": "30s"}}]})",
           R"({"version": "\"\\\/\b\f\n\r\t\u0041"})",
       }) {
    EXPECT_EQ(JsonErrorOf(text), "") << text;
  }
}

TEST(JsonCheck, SaysWhereAndWhatIsWrong) {
  struct Case {
    const char* text;
    const char* error;
  };
  constexpr Case kCases[] = {
      {"{\n  \"version\": \"v1\",\n  \"version\": \"v1\"\n}", "p.json:3:3: `version` is given twice"},
      {R"({"role": [{"connect": [{"to": {"any_port": true, "anyPort": false}}]}]})",
       "p.json:1:50: `anyPort` is given twice"},
      {R"({"role": [], "role": []})", "p.json:1:14: `role` is given twice"},
      {"{\n \"verzion\": \"v1\"}", "p.json:2:2: Policy has no `verzion`; it has version, role, binding, deny"},
      {R"({version: "v1"})", "p.json:1:2: a name must stand in double quotes"},
      {R"({'version': "v1"})", "p.json:1:2: a name must stand in double quotes"},
      {R"({"version": 'v1'})", "p.json:1:13: `version` must stand in double quotes"},
      {R"({"version": "v1",})", "p.json:1:18: a name must stand in double quotes"},
      {R"({"version": null})", "p.json:1:13: `version` must stand in double quotes"},
      {R"({"version": "v1"} {})", "p.json:1:19: something follows the closing `}`"},
      {R"({"version" "v1"})", "p.json:1:12: here must come `:`"},
      {R"({"version": "v1" "role": []})", "p.json:1:18: here must come `,` or `}`"},
      {R"({"version": "v1)", "p.json:1:13: this string has no end"},
      {"{\"version\": \"v\n1\"}", "p.json:1:15: a line's end in a string is written \\n"},
      {R"({"version": "\x"})", R"(p.json:1:15: after \ must come one of " \ / b f n r t u)"},
      {R"({"role": {}})", "p.json:1:10: `role` is a list: [ … ]"},
      {R"({"role": [1]})", "p.json:1:11: a Role is written { … }"},
      {R"({"role": [{} {}]})", "p.json:1:14: here must come `,` or `]`"},
      {R"({"role": [{"connect": [{"protocols": ["TPC"]}]}]})",
       "p.json:1:39: `protocols` cannot be `TPC`; it is one of TCP, UDP"},
      {R"({"role": [{"connect": [{"protocols": [1]}]}]})", "p.json:1:39: `protocols` must stand in double quotes"},
      {R"({"role": [{"connect": [{"to": {"any_port": 1}}]}]})", "p.json:1:44: `any_port` must be true or false"},
      {R"({"role": [{"connect": [{"to": {"ports": [{"first": 1.5}]}}]}]})",
       "p.json:1:52: `first` must be a whole number, 0 to 4294967295"},
      {R"({"role": [{"connect": [{"to": {"ports": [{"first": 4294967296}]}}]}]})",
       "p.json:1:52: `first` must be a whole number, 0 to 4294967295"},
      {R"({"role": [{"connect": [{"to": {"ports": [{"first": -1}]}}]}]})",
       "p.json:1:52: `first` must be a whole number, 0 to 4294967295"},
      {R"({"role": [{"connect": [{"to": {"ports": [{"first": 01}]}}]}]})",
       "p.json:1:52: `first` must be a whole number, 0 to 4294967295"},
      {R"({"role": [{"quota": {"session_age": "soon"}}]})",
       R"(p.json:1:37: `session_age` must be a time as "30s" or "0.5s")"},
      {R"({"role": [{"quota": {"connects": {"per_second": "many"}}}]})", "p.json:1:49: `per_second` must be a number"},
      {R"({"role": [{"quota": {"connects": {"per_second": NaN}}}]})", "p.json:1:49: `per_second` must be a number"},
      {"", "p.json:1:1: a Policy is written { … }"},
      {"[]", "p.json:1:1: a Policy is written { … }"},
      {"{", "p.json:1:2: a name must stand in double quotes"},
  };
  for (const Case& one : kCases) EXPECT_EQ(JsonErrorOf(one.text), one.error) << one.text;
}

}  // namespace
}  // namespace transportd
