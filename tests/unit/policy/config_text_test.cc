#include "server/policy/config_text.h"

#include <string>
#include <utility>

#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "transportd/v1/identity.pb.h"
#include "transportd/v1/policy.pb.h"
#include "transportd/v1/policy_test.pb.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

template <typename Message>
Message Read(std::string_view text) {
  Message message;
  EXPECT_THAT(ReadConfigText(text, "f", message), IsOk());
  return message;
}

template <typename Message = v1::Policy>
std::string ErrorOf(std::string_view text) {
  Message message;
  const absl::Status status = ReadConfigText(text, "p", message);
  EXPECT_FALSE(status.ok()) << message.ShortDebugString();
  return std::string(status.message());
}

TEST(ConfigText, TextAndJsonMeanTheSame) {
  const auto text = Read<v1::Policy>(R"(
    # A comment.
    version: "v1"
    role {
      name: "lab"
      connect { name: "db" protocols: [TCP, UDP] to { cidrs: "10.0.0.0/8" classes: PRIVATE ports { first: 1 last: 2 } } }
      run { name: "r" program: "/x" limits { wall_time { seconds: 1 nanos: 500000000 } memory_bytes: 268435456 } }
      quota { sessions: 0 connects { per_second: 0.5 burst: 3 } }
    }
    binding { role: "lab" principals: "*" })");
  const auto json = Read<v1::Policy>(R"( {"version": "v1", "role": [{
      "name": "lab",
      "connect": [{"name": "db", "protocols": ["TCP", "UDP"],
                   "to": {"cidrs": ["10.0.0.0\/8"], "classes": ["PRIVATE"], "ports": [{"first": 1, "last": 2}]}}],
      "run": [{"name": "r", "program": "/x", "limits": {"wallTime": "1.5s", "memory_bytes": 268435456}}],
      "quota": {"sessions": 0, "connects": {"per_second": 0.5, "burst": 3}}}],
    "binding": [{"role": "\u006cab", "principals": ["*"]}]} )");
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(text, json)) << json.DebugString();
  EXPECT_TRUE(json.role(0).quota().has_sessions());
}

TEST(ConfigText, JsonMayBeWrittenInManyWays) {
  for (const char* text : {
           "\t{ \"version\" : \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\" ,\r\n \"role\":[ ] }\n",
           R"({"role": [{"name": "a", "connect": [{"protocols": ["TCP"], "to": {"anyPort": true}}]}]})",
           R"({"role": [{"connect": [{"to": {"any_port": false, "ports": [{"first": 1, "last": 65535}]}}]}]})",
           R"({"role": [{"quota": {"buffered_bytes": 12, "connects": {"per_second": 1.5e1}, "sessionAge": "30s"}}]})",
       }) {
    Read<v1::Policy>(text);
  }
}

TEST(ConfigText, TimesOfJsonAreRfc3339) {
  const auto identities = Read<v1::Identities>(R"({"token": [{"not_after": "2030-01-31T12:00:00Z"}]})");
  EXPECT_EQ(identities.token(0).not_after().seconds(), 1896091200);
  for (const char* time : {"5", "\"tomorrow\"", "\"2030-01-31\"", "\"2030-01-31T12:00:00\"",
                           "\"2030-01-31T12:00:00Z\\u0000\"", "\"2030-01-31T25:00:00Z\"", "null"}) {
    EXPECT_EQ(ErrorOf<v1::Identities>(StrCat(R"({"token": [{"not_after": )", time, "}]}")),
              "p:1:26: `not_after` must be a time as \"2030-01-31T12:00:00Z\"");
  }
}

TEST(ConfigText, SixtyFourBitsMayBeInQuotesAsProtobufWritesThem) {
  const auto policy = Read<v1::Policy>(R"({"role": [{"quota": {"buffered_bytes": "18446744073709551615"}}]})");
  EXPECT_EQ(policy.role(0).quota().buffered_bytes(), UINT64_MAX);
}

TEST(ConfigText, WhatIsNoTextIsRefused) {
  for (const char* nothing : {"", " \n", "# Later.", "{}", R"({"role": []})"}) {
    EXPECT_EQ(ErrorOf(nothing), "p: it says nothing; it must be a transportd.v1.Policy in textproto or JSON");
  }
  EXPECT_EQ(ErrorOf("# \xff"), "p:1:3: must be UTF-8");
  EXPECT_EQ(ErrorOf("{\n\"version\": \"\xff\"}"), "p:2:13: must be UTF-8");
  EXPECT_EQ(ErrorOf(std::string(kMaxConfigBytes + 1, ' ')), "p: it must be at most 4194304 bytes long");
}

TEST(ConfigText, ErrorsOfTextSayWhere) {
  EXPECT_EQ(ErrorOf("version: \"v1\"\n  rule { }"),
            R"(p:2:8: Message type "transportd.v1.Policy" has no field named "rule".)");
  EXPECT_THAT(ErrorOf("version: \"v1\"\nversion: \"v1\""), StartsWith("p:2:8: Non-repeated field \"version\""));
  EXPECT_THAT(ErrorOf("version: \"v1\" role {"), StartsWith("p:1:21: "));
  EXPECT_THAT(ErrorOf("version: v1"), StartsWith("p:1:10: "));
  EXPECT_THAT(ErrorOf("role {\n connect { protocols: TPC } }"), AllOf(StartsWith("p:2:"), HasSubstr("TPC")));
  EXPECT_EQ(ErrorOf("role { connect {\n\n   protocols: TCP protocols: 99 }\nrun { network: 7 } name: \"\\xff\" }"),
            "p:4:20: `name` must be UTF-8\n"
            "p:3:19: `protocols` must be one of TCP, UDP\n"
            "p:4:7: `network` must be one of NONE, HOST");
}

TEST(ConfigText, ErrorsOfJsonSayWhereAndWhatIsAllowed) {
  struct Case {
    const char* text;
    const char* error;
  };
  constexpr Case kCases[] = {
      {"{\n \"verzion\": \"v1\"}",
       "2:2: Policy has no `verzion`; it has version, role, binding, deny, principal_quota, service_quota"},
      {"{\n  \"version\": \"v1\",\n  \"version\": \"v1\"\n}", "3:3: `version` is there twice"},
      {R"({"role": [{"connect": [{"to": {"any_port": true, "anyPort": false}}]}]})", "1:50: `anyPort` is there twice"},
      {R"({"version": 1})", "1:13: `version` must be text in double quotes"},
      {R"({"version": null})", "1:13: `version` must be text in double quotes"},
      {R"({"role": {}})", "1:10: `role` must be a list: [ … ]"},
      {R"({"role": [3]})", "1:11: a Role must be an object: { … }"},
      {R"({"role": [{"connect": [{"protocols": ["TPC"]}]}]})", R"(1:39: `protocols` must be one of TCP, UDP)"},
      {R"({"role": [{"connect": [{"protocols": [1]}]}]})", R"(1:39: `protocols` must be one of TCP, UDP)"},
      {R"({"role": [{"connect": [{"to": {"any_port": 1}}]}]})", "1:44: `any_port` must be true or false"},
      {R"({"role": [{"quota": {"buffered_bytes": -1}}]})",
       "1:40: `buffered_bytes` must be a whole number, 0 to 18446744073709551615"},
      {R"({"role": [{"quota": {"connects": {"per_second": "1"}}}]})", "1:49: `per_second` must be a number"},
      {R"({"role": [{"quota": {"connects": {"per_second": 1e999}}}]})", "1:49: `per_second` must be a number"},
  };
  for (const Case& one : kCases) EXPECT_EQ(ErrorOf(one.text), StrCat("p:", one.error)) << one.text;
  for (const char* port : {"-1", "4294967296", "1.5", "1e1", "\"x\"", "\"\"", "true", "1e99"}) {
    EXPECT_EQ(ErrorOf(StrCat(R"({"deny": [{"connect": {"ports": [{"first": )", port, "}]}}]}")),
              "p:1:44: `first` must be a whole number, 0 to 4294967295");
  }
  for (const char* age : {"\"5\"", "\"s\"", "\".5s\"", "\" 5s\"", "\"5 s\"", "\"--5s\"", "\"9999999999999s\"",
                          "\"0.1234567890s\"", "\"soon\"", "5"}) {
    EXPECT_EQ(ErrorOf(StrCat(R"({"role": [{"quota": {"session_age": )", age, "}}]}")),
              R"(p:1:37: `session_age` must be a duration as "30s" or "0.5s")");
  }
  EXPECT_EQ(ErrorOf<v1::PolicyTest>(R"({"expect": [{"session": true, "path": {}}]})"),
            "p:1:31: `path` excludes another that is there");
}

TEST(ConfigText, JsonOfDialectsIsRefused) {
  constexpr char kValue[] = "here must come a value: text in double quotes, a number, true, false, [ … ] or { … }";
  const std::pair<const char*, std::string> cases[] = {
      {R"({version: "v1"})", "1:2: here must come a name in double quotes"},
      {R"({'version': "v1"})", "1:2: here must come a name in double quotes"},
      {R"({"version": "v1",})", "1:18: here must come a name in double quotes"},
      {R"({"version": 'v1'})", StrCat("1:13: ", kValue)},
      {R"({"version": NaN})", StrCat("1:13: ", kValue)},
      {"{\"version\": // no\n\"v1\"}", StrCat("1:13: ", kValue)},
      {R"({"version": "v1"} {})", "1:19: nothing may follow the value"},
      {R"({"version" "v1"})", "1:12: here must come `:`"},
      {R"({"version": "v1" "role": []})", "1:18: here must come `,` or `}`"},
      {R"({"role": [{} {}]})", "1:14: here must come `,` or `]`"},
      {R"({"version": "v1)", "1:13: this text has no end"},
      {"{\"version\": \"v\n1\"}", R"(1:15: a control character, as a line's end, is written \n or \u000a)"},
      {R"({"version": "\x"})", R"(1:14: after \ must come one of " \ / b f n r t, or u and four hexadecimal digits)"},
      {R"({"version": 01})", "1:13: a number does not begin with 0"},
      {R"({"version")", "1:11: the text ends here: here must come `:`"},
      {"{", "1:2: the text ends here: here must come a name in double quotes"},
  };
  for (const auto& [text, error] : cases) EXPECT_EQ(ErrorOf(text), "p:" + error) << text;
}

TEST(ConfigText, DepthIsBounded) {
  const auto deep = [](std::string_view piece) {
    std::string text;
    for (int i = 0; i < 100'000; ++i) text += piece;
    return text;
  };
  EXPECT_EQ(ErrorOf(deep(R"({"role": )")), "p:1:289: at most 32 values may be inside each other");
  EXPECT_NE(ErrorOf(deep("{")), "");
  EXPECT_THAT(ErrorOf<google::protobuf::DescriptorProto>(deep("nested_type {")), HasSubstr("too deep"));
}

}  // namespace
}  // namespace transportd
