#include "server/ops/configuration.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "server/ops/options.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "transportd/v1/config.pb.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using Variables = std::map<std::string, std::string>;

// A table with one flag of each kind that config.proto has, and the file and environment of a program.
class ConfigurationTest : public testing::Test {
 protected:
  ConfigurationTest() {
    table_.Group("All");
    table_.List("listen", "ADDR", listen_, "A list.");
    table_.Text("config", "FILE", config_, "The file.");
    table_.Group("Rest");
    table_.Text("policy", "FILE", policy_, "A text.");
    table_.Switch("reflection", reflection_, "A switch.");
    table_.Count("loops", loops_, 1, 64, "A count.");
    table_.Bytes("buffered-bytes", bytes_, 1024, 1 << 20, "Bytes.");
    table_.Time("drain-timeout", drain_timeout_, std::chrono::seconds(0), std::chrono::hours(1), "A time.");
  }
  absl::Status Read(std::vector<std::string> arguments, const Variables& variables = {}) {
    std::vector<const char*> pointers;
    for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
    return Configure(table_, pointers, [&variables](const char* name) -> const char* {
      const auto found = variables.find(name);
      return found == variables.end() ? nullptr : found->second.c_str();
    });
  }
  std::string Error(std::vector<std::string> arguments, const Variables& variables = {}) {
    const absl::Status status = Read(std::move(arguments), variables);
    return status.ok() ? "" : ToTransportError(status).message;
  }
  // What both tests of every kind say.
  void ExpectTheRest() const {
    EXPECT_EQ(policy_, "/p q");
    EXPECT_TRUE(reflection_);
    EXPECT_EQ(loops_, 7);
    EXPECT_EQ(bytes_, 65536u);
    EXPECT_EQ(drain_timeout_, std::chrono::seconds(90));
  }
  // `--config=`, and a file that says this.
  std::string File(std::string_view text) const {
    return "--config=" + folder_.WriteFile("config", StrCat("version: \"v1\"\n", text));
  }

  const TempDir folder_;
  std::vector<std::string> listen_ = {"default"};
  std::string config_;
  std::string policy_;
  bool reflection_ = false;
  int loops_ = 1;
  uint64_t bytes_ = 4096;
  std::chrono::nanoseconds drain_timeout_ = std::chrono::seconds(30);
  FlagTable table_;
};

TEST_F(ConfigurationTest, EveryKindFromAFile) {
  ASSERT_THAT(Read({File("listen: \"a\" listen: \"b c\" policy: \"/p q\" reflection: true loops: 7 "
                         "buffered_bytes: \"64KiB\" drain_timeout: \"1m30s\"")}),
              IsOk());
  EXPECT_THAT(listen_, ElementsAre("a", "b c"));
  ExpectTheRest();
}

TEST_F(ConfigurationTest, EveryKindFromTheEnvironment) {
  ASSERT_THAT(Read({}, {{"TRANSPORTD_LISTEN", " a\n b  "},
                        {"TRANSPORTD_POLICY", "/p q"},
                        {"TRANSPORTD_REFLECTION", "true"},
                        {"TRANSPORTD_LOOPS", "7"},
                        {"TRANSPORTD_BUFFERED_BYTES", "64KiB"},
                        {"TRANSPORTD_DRAIN_TIMEOUT", "1m30s"},
                        {"TRANSPORTD_PORT", "tcp://10.0.0.1:80"}}),  // Kubernetes' own, of a Service of this name.
              IsOk());
  EXPECT_THAT(listen_, ElementsAre("a", "b"));
  ExpectTheRest();
}

TEST_F(ConfigurationTest, TheNearestOneCounts) {
  const std::string file = File("listen: \"file\" listen: \"file2\" loops: 2 policy: \"/file\"");
  ASSERT_THAT(Read({"--loops=4", file, "--loops=5"},
                   {{"TRANSPORTD_LOOPS", "3"}, {"TRANSPORTD_LISTEN", "variable"}, {"TRANSPORTD_POLICY", ""}}),
              IsOk());
  EXPECT_EQ(loops_, 5);
  EXPECT_THAT(listen_, ElementsAre("variable"));  // None of the file's.
  EXPECT_EQ(policy_, "/file");                    // A variable that is empty says nothing.
}

TEST_F(ConfigurationTest, TheFileMayBeNamedByTheEnvironment) {
  const std::string path = File("loops: 2").substr(std::string("--config=").size());
  ASSERT_THAT(Read({}, {{"TRANSPORTD_CONFIG", path}}), IsOk());
  EXPECT_EQ(loops_, 2);
  EXPECT_THAT(Error({}, {{"TRANSPORTD_CONFIG", "/nowhere/config"}}), HasSubstr("/nowhere/config"));
  // But the command line's counts.
  ASSERT_THAT(Read({StrCat("--config=", path)}, {{"TRANSPORTD_CONFIG", "/nowhere/config"}}), IsOk());
}

TEST_F(ConfigurationTest, WhatIsWrongIsNamedAsItWasSaid) {
  EXPECT_THAT(Error({File("loops: 65")}), HasSubstr("config: loops=65: allowed: 1 to 64"));
  EXPECT_THAT(Error({}, {{"TRANSPORTD_LOOPS", "65"}}), HasSubstr("TRANSPORTD_LOOPS=65: allowed: 1 to 64"));
  EXPECT_THAT(Error({"--loops=65"}), HasSubstr("--loops=65: allowed: 1 to 64"));
  EXPECT_THAT(Error({"--drain-timeout=5"}), HasSubstr("=5: allowed: 0 to 1h, with a unit: 500ms, 30s, 5m"));
}

TEST_F(ConfigurationTest, AFileThatIsNoneIsAnError) {
  EXPECT_THAT(Error({File("lops: 2")}), HasSubstr("config:2:"));
  EXPECT_THAT(Error({File("loops: 2 loops: 3")}), HasSubstr("config:2:"));
  EXPECT_THAT(Error({"--config=" + folder_.WriteFile("bare", "loops: 2")}), HasSubstr("version must be \"v1\""));
  ASSERT_THAT(Read({"--config=" + folder_.WriteFile("json", R"({"version": "v1", "loops": 3})")}), IsOk());
  EXPECT_EQ(loops_, 3);
}

TEST_F(ConfigurationTest, PrintedIsWhatWasRead) {
  ASSERT_THAT(Read({"--listen=a", "--listen=b \"c\"", File("loops: 2")}, {{"TRANSPORTD_DRAIN_TIMEOUT", "5s"}}), IsOk());
  const std::string text = PrintConfiguration(table_);
  EXPECT_THAT(text, HasSubstr("\n# All\nlisten: \"a\"  # command line\nlisten: \"b \\\"c\\\"\"  # command line\n"));
  EXPECT_THAT(text, HasSubstr("\n# policy: nothing\n"));
  EXPECT_THAT(text,
              HasSubstr("\nreflection: false  # default\nloops: 2  # file\nbuffered_bytes: \"4KiB\"  # default\n"));
  EXPECT_THAT(text, HasSubstr("\ndrain_timeout: \"5s\"  # environment, TRANSPORTD_DRAIN_TIMEOUT\n"));
  EXPECT_THAT(text, Not(HasSubstr("config")));
}

absl::StatusOr<Options> ParseAll(std::vector<const char*> arguments, std::string* printed) {
  return ParseOptions(
      arguments, [](const char* /*name*/) -> const char* { return nullptr; },
      [printed](const std::string& text) { *printed = text; });
}

// The service's own flags.
TEST(Configuration, WhatIsPrintedIsAFileThatMeansTheSame) {
  std::string printed;
  ASSERT_THAT(ParseAll({"--dev", "--print-config", "--inherited-fd=3", "--log-level=debug"}, &printed), IsOk());
  const TempDir folder;
  const std::string path = folder.WriteFile("config", printed);
  std::string again;
  const auto options = ParseAll({"--config", path.c_str(), "--print-config"}, &again);
  ASSERT_THAT(options, IsOk());
  EXPECT_TRUE(options->dev);
  EXPECT_THAT(options->inherited_fds, ElementsAre(3));
  for (const char* origin : {"# default", "# command line"}) {
    for (size_t at = 0; (at = printed.find(origin, at)) != std::string::npos;) {
      printed.replace(at, std::string(origin).size(), "# file");
    }
  }
  EXPECT_EQ(again, printed);
}

TEST(Configuration, EveryFlagHasItsField) {
  std::string printed;
  ASSERT_THAT(ParseAll({"--dev", "--print-config"}, &printed), IsOk());
  std::vector<std::string> missing;
  const google::protobuf::Descriptor& descriptor = *v1::ServiceConfig::descriptor();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const std::string& name = descriptor.field(i)->name();
    const bool is_there = printed.find(StrCat("\n", name, ": ")) != std::string::npos ||
                          printed.find(StrCat("\n# ", name, ": nothing")) != std::string::npos;
    if (!is_there && name != "version") missing.push_back(name);
  }
  EXPECT_THAT(missing, IsEmpty());
  // And every field its flag, but for those that have no place in a file.
  size_t flag_count = 0;
  const std::string help = OptionsHelp();
  for (size_t at = 0; (at = help.find("\n  --", at)) != std::string::npos; ++at) ++flag_count;
  EXPECT_EQ(flag_count, static_cast<size_t>(descriptor.field_count()) - 1 + 5);
}

TEST(Configuration, WhatIsNoneToStartWithIsPrintedAllTheSame) {
  std::string printed;
  const auto options = ParseAll({"--print-config"}, &printed);
  ASSERT_FALSE(options.ok());
  EXPECT_THAT(ToTransportError(options.status()).message, HasSubstr("--dev"));
  EXPECT_THAT(printed, HasSubstr("dev: false  # default"));
}

}  // namespace
}  // namespace transportd
