#include "server/policy/policy_file.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/policy/message_file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "transportd/v1/identity.pb.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string ErrorOf(std::string_view text) {
  const absl::StatusOr<v1::Policy> policy = ReadPolicy(text, "p.txtpb");
  return policy.ok() ? "" : std::string(policy.status().message());
}

TEST(ReadPolicy, TextAndJsonAreTheSame) {
  const auto text = ReadPolicy(R"(
      # Who may look.
      version: "v1"
      role { name: "ops" admin { name: "look" methods: "*" } quota { sessions: 3 session_age { seconds: 90 } } }
      binding { role: "ops" principals: ["a", "b*"] })",
                               "p");
  const auto json = ReadPolicy(R"(
      {"version": "v1",
       "role": [{"name": "ops", "admin": [{"name": "look", "methods": ["*"]}],
                 "quota": {"sessions": 3, "session_age": "90s"}}],
       "binding": [{"role": "ops", "principals": ["a", "b*"]}]})",
                               "p");
  ASSERT_THAT(text, IsOk());
  ASSERT_THAT(json, IsOk());
  EXPECT_EQ(text->SerializeAsString(), json->SerializeAsString());
}

TEST(ReadPolicy, ErrorsOfTextSayWhere) {
  EXPECT_EQ(ErrorOf("version: \"v1\"\n  rule { }"),
            R"(p.txtpb:2:8: Message type "transportd.v1.Policy" has no field named "rule".)");
  EXPECT_THAT(ErrorOf("version: \"v1\"\nversion: \"v1\""), StartsWith("p.txtpb:2:8: Non-repeated field \"version\""));
  EXPECT_THAT(ErrorOf("version: \"v1\" role {"), StartsWith("p.txtpb:1:21: "));
  EXPECT_THAT(ErrorOf("version: v1"), StartsWith("p.txtpb:1:10: "));
  EXPECT_THAT(ErrorOf("role { connect { protocols: TPC } }"), HasSubstr("TPC"));
}

TEST(ReadPolicy, ErrorsOfJsonSayWhere) {
  EXPECT_EQ(ErrorOf("{\"version\": \"v1\",\n\"rule\": 1}"),
            "p.txtpb:2:1: Policy has no `rule`; it has version, role, binding, deny");
}

TEST(ReadPolicy, EachOffenceHasTheFilesName) {
  EXPECT_EQ(ErrorOf("role { name: 'A' }"),
            "p.txtpb: version: \"\" must be \"v1\"\n"
            "p.txtpb: role[0] \"A\": name \"A\": a name is 1 to 64 of a-z, 0-9, `-`, `_` and `.`");
}

TEST(ReadPolicy, WhatSaysNothingIsRefused) {
  EXPECT_EQ(ErrorOf(""), "p.txtpb: is empty");
  EXPECT_EQ(ErrorOf(" \n"), "p.txtpb: is empty");
  EXPECT_EQ(ErrorOf("# Later."), "p.txtpb: says nothing");
  EXPECT_EQ(ErrorOf("{}"), "p.txtpb: says nothing");
  EXPECT_EQ(ErrorOf("\xff"), "p.txtpb: is not UTF-8");
  EXPECT_EQ(ErrorOf(std::string((4 << 20) + 1, ' ')), "p.txtpb: has more than 4 MiB");
}

TEST(ReadPolicy, DepthIsBounded) {
  std::string deep = "{\"version\": ";
  for (int i = 0; i < 100'000; ++i) deep += "{\"role\": ";
  EXPECT_NE(ErrorOf(deep), "");
  EXPECT_NE(ErrorOf(std::string(100'000, '{')), "");
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "role {";
  EXPECT_NE(ErrorOf(text), "");
}

TEST(ReadPolicyFile, ReadsAFile) {
  const TempDir folder;
  EXPECT_THAT(ReadPolicyFile(folder.WriteFile("policy.txtpb", "version: 'v1'")), IsOk());
}

TEST(ReadPolicyFile, ErrorsNameTheFile) {
  const TempDir folder;
  const std::string path = folder.Path("none.txtpb");
  EXPECT_THAT(ReadPolicyFile(path), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(std::string(ReadPolicyFile(path).status().message()), HasSubstr(path));
  EXPECT_EQ(std::string(ReadPolicyFile(folder.path()).status().message()), folder.path() + ": is not a regular file");
}

TEST(ReadMessage, TakesOtherMessages) {
  v1::Identities identities;
  EXPECT_THAT(ReadMessage(R"({"version": "v1", "token": [{"principal": "a", "not_after": "2030-01-01T00:00:00Z"}]})",
                          "i", identities),
              IsOk());
  EXPECT_EQ(identities.token(0).not_after().seconds(), 1893456000);
  const absl::Status status = ReadMessage(R"({"token": [{"not_after": "tomorrow"}]})", "i", identities);
  EXPECT_EQ(std::string(status.message()), R"(i:1:26: `not_after` must be a date as "2027-01-31T12:00:00Z")");
}

}  // namespace
}  // namespace transportd
