#include "server/policy/config_text.h"

#include <string>

#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "transportd/v1/identity.pb.h"
#include "transportd/v1/policy.pb.h"

namespace transportd {
namespace {

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
  const absl::Status status = ReadConfigText(text, "p.txtpb", message);
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
      "run": [{"name": "r", "program": "/x", "limits": {"wallTime": "1.5s", "memory_bytes": 2.68435456e+08}}],
      "quota": {"sessions": 0, "connects": {"per_second": 0.5, "burst": 3}}}],
    "binding": [{"role": "\u006cab", "principals": ["*"]}]} )");
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(text, json)) << json.DebugString();
  EXPECT_TRUE(json.role(0).quota().has_sessions());
}

TEST(ConfigText, TimesOfJsonAreRfc3339) {
  const auto identities = Read<v1::Identities>(R"({"token": [{"not_after": "2030-01-31T12:00:00Z"}]})");
  EXPECT_EQ(identities.token(0).not_after().seconds(), 1896091200);
  EXPECT_EQ(ErrorOf<v1::Identities>(R"({"token": [{"not_after": 5}]})"),
            "p.txtpb:1:26: not_after must be a time as \"2030-01-31T12:00:00Z\"");
}

TEST(ConfigText, SixtyFourBitsMayBeInQuotesAsProtobufWritesThem) {
  const auto policy = Read<v1::Policy>(R"({"role": [{"quota": {"buffered_bytes": "18446744073709551615"}}]})");
  EXPECT_EQ(policy.role(0).quota().buffered_bytes(), UINT64_MAX);
}

TEST(ConfigText, AnEmptyFileIsAnEmptyMessage) {
  EXPECT_EQ(Read<v1::Policy>("").ByteSizeLong(), 0u);
  EXPECT_EQ(Read<v1::Policy>(" {} ").ByteSizeLong(), 0u);
}

TEST(ConfigText, ErrorsOfTextSayWhere) {
  EXPECT_THAT(ErrorOf("version: \"v1\"\n  rule { }"), StartsWith("p.txtpb:2:"));
  EXPECT_THAT(ErrorOf("version: \"v1\"\n  rule { }"), HasSubstr("\"rule\""));
  EXPECT_THAT(ErrorOf("version: \"v1\"\nversion: \"v1\""), StartsWith("p.txtpb:2:"));
  EXPECT_THAT(ErrorOf("role {\n connect { protocols: ICMP } }"), StartsWith("p.txtpb:2:"));
  EXPECT_THAT(ErrorOf("role { connect {\n\n   protocols: TCP protocols: 99 } }"),
              StartsWith("p.txtpb:3:19: protocols: 99"));
  EXPECT_THAT(ErrorOf("role { run { network: 7 } }"), StartsWith("p.txtpb:1:14: network: 7"));
  EXPECT_THAT(ErrorOf("role { name: \"\\xff\" }"), StartsWith("p.txtpb:1:8: name must be UTF-8"));
  EXPECT_THAT(ErrorOf("# \xff"), StartsWith("p.txtpb:1:3: the file must be UTF-8"));
  EXPECT_THAT(ErrorOf(std::string(5 << 20, ' ')), HasSubstr("at most 4 MiB"));
}

TEST(ConfigText, ErrorsOfJsonSayWhere) {
  EXPECT_EQ(ErrorOf("{\n \"rule\": []}"), "p.txtpb:2:2: `rule` is no field of Policy");
  EXPECT_EQ(ErrorOf("{\"version\": \"v1\",\n \"version\": \"v1\"}"), "p.txtpb:2:2: `version` is there twice");
  EXPECT_EQ(ErrorOf("{\"role\": [{\"run\": [{\"args_regex\": \"\",\n\"argsRegex\": \"\"}]}]}"),
            "p.txtpb:2:1: `argsRegex` is there twice");
  EXPECT_EQ(ErrorOf("{\"version\": 1}"), "p.txtpb:1:13: version must be text in quotes");
  EXPECT_EQ(ErrorOf("{\"version\": null}"), "p.txtpb:1:13: version must be text in quotes");
  EXPECT_EQ(ErrorOf("{\"role\": {}}"), "p.txtpb:1:10: role must be an array in brackets");
  EXPECT_EQ(ErrorOf("{\"role\": [3]}"), "p.txtpb:1:11: role must be an object in braces");
  EXPECT_THAT(ErrorOf("{\"role\": [{\"connect\": [{\"protocols\": [99]}]}]}"),
              HasSubstr("1:39: protocols must be one of"));
  EXPECT_THAT(ErrorOf("{\"role\": [{\"connect\": [{\"to\": {\"any_port\": 1}}]}]}"),
              HasSubstr("any_port must be true or false"));
  for (const char* port : {"-1", "4294967296", "1.5", "\"x\"", "1e99"}) {
    EXPECT_THAT(ErrorOf(std::string(R"({"deny": [{"connect": {"ports": [{"first": )") + port + "}]}}]}"),
                HasSubstr("first must be a whole number from 0 to 4294967295"));
  }
  for (const char* age : {"\"5\"", "\"s\"", "\".5s\"", "\" 5s\"", "\"5 s\"", "\"--5s\"", "\"9999999999999s\"", "5"}) {
    EXPECT_THAT(ErrorOf(std::string(R"({"role": [{"quota": {"session_age": )") + age + "}}]}"),
                HasSubstr("session_age must be a duration"));
  }
}

TEST(ConfigText, JsonOfDialectsIsRefused) {
  EXPECT_EQ(ErrorOf("{version: \"v1\"}"), "p.txtpb:1:2: a name in quotes is missing");
  EXPECT_EQ(ErrorOf("{'version': \"v1\"}"), "p.txtpb:1:2: a name in quotes is missing");
  EXPECT_EQ(ErrorOf("{\"version\": \"v1\",}"), "p.txtpb:1:18: a name in quotes is missing");
  EXPECT_EQ(ErrorOf("{\"version\": \"v1\"} x"), "p.txtpb:1:19: nothing may follow the value");
  EXPECT_EQ(ErrorOf("{\"version\": // no\n\"v1\"}"), "p.txtpb:1:13: a JSON value is missing");
  EXPECT_EQ(ErrorOf("{\"version\""), "p.txtpb:1:11: the text ends here: `:` is missing");
}

}  // namespace
}  // namespace transportd
