#include "server/policy/policy_file.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace transportd {
namespace {

using testing::HasSubstr;

std::string ErrorOf(std::string_view text) {
  const absl::StatusOr<v1::Policy> policy = ReadPolicy(text, "p.txtpb");
  return policy.ok() ? "" : std::string(policy.status().message());
}

TEST(ReadPolicy, ErrorsOfTextSayWhere) {
  EXPECT_EQ(ErrorOf("version: \"v1\"\n  rule { }"),
            R"(p.txtpb:2:8: Message type "transportd.v1.Policy" has no field named "rule".)");
}

TEST(ReadPolicy, EachOffenceHasTheFilesName) {
  EXPECT_EQ(ErrorOf("role { name: 'A' }"),
            "p.txtpb: version: \"\" must be \"v1\"\n"
            "p.txtpb: role[0] \"A\": name \"A\": a name is 1 to 64 of a-z, 0-9, `-`, `_` and `.`");
}

TEST(ReadPolicyFile, ReadsAFile) {
  const TempDir folder;
  EXPECT_THAT(ReadPolicyFile(folder.WriteFile("policy.txtpb", "version: 'v1'")), IsOk());
  EXPECT_THAT(ReadPolicyFile(folder.WriteFile("policy.json", R"({"version": "v1"})")), IsOk());
}

TEST(ReadPolicyFile, ErrorsNameTheFile) {
  const TempDir folder;
  const std::string path = folder.Path("none.txtpb");
  EXPECT_THAT(ReadPolicyFile(path), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(std::string(ReadPolicyFile(path).status().message()), HasSubstr(path));
  EXPECT_EQ(std::string(ReadPolicyFile(folder.path()).status().message()),
            folder.path() + ": it must be a regular file");
}

}  // namespace
}  // namespace transportd
