#include "transports/base/shell_completion.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Kind = CompletionValue::Kind;

TEST(ParseCompletionValue, KnowsFilesFoldersAndWords) {
  EXPECT_EQ(ParseCompletionValue("FILE").kind, Kind::kFile);
  EXPECT_EQ(ParseCompletionValue("PATH").kind, Kind::kFile);
  EXPECT_EQ(ParseCompletionValue("DIR").kind, Kind::kDirectory);
  EXPECT_THAT(ParseCompletionValue("bash|zsh").words, ElementsAre("bash", "zsh"));
  for (const char* const text : {"", "N", "NAME=CERTFILE,KEYFILE", "HOST|PORT", "word"}) {
    EXPECT_EQ(ParseCompletionValue(text).kind, Kind::kText) << text;
  }
}

TEST(FindShell, KnowsThreeByName) {
  for (const std::string_view name : kShellNames) EXPECT_NE(FindShell(name), nullptr) << name;
  EXPECT_EQ(*FindShell("fish"), Shell::kFish);
  EXPECT_EQ(FindShell("csh"), nullptr);
}

// What the shells make of them is asked in tests/deploy/completion.
TEST(CompletionScript, QuotesWhatTheShellWouldRead) {
  const CompletionTable table{.program = "a-program",
                              .commands = {{.name = "go", .text = "it's: [so]"}},
                              .options = {{.name = "--where", .text = "it's [there]", .has_value = true}}};
  EXPECT_THAT(CompletionScript(Shell::kBash, table), HasSubstr("complete -F _a_program a-program\n"));
  EXPECT_THAT(CompletionScript(Shell::kZsh, table), HasSubstr(R"('go:it'\''s\: \[so\]')"));
  EXPECT_THAT(CompletionScript(Shell::kZsh, table), HasSubstr(R"('*--where=[it'\''s \[there\]]:value: ')"));
  EXPECT_THAT(CompletionScript(Shell::kFish, table), HasSubstr(R"(-l where -r -f -d 'it\'s [there]')"));
}

}  // namespace
}  // namespace transportd
