#include "server/ops/flags.h"

#include "gmock/gmock.h"
#include "server/ops/configuration.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A table with one flag of each kind.
class FlagTableTest : public testing::Test {
 protected:
  FlagTableTest() {
    table_.Group("All");
    table_.Switch("dev", dev_, "A switch.");
    table_.Text("file", "PATH", file_, "A text.");
    table_.List("listen", "ADDR", listen_, "A list.");
    table_.Choice("level", {"low", "middle", "high"}, level_, "A choice.");
    table_.Count("threads", threads_, 1, 16, "A count.");
    table_.Bytes("window-bytes", window_bytes_, 4096, 1 << 30, "Bytes.");
    table_.Time("timeout", timeout_, std::chrono::seconds(0), std::chrono::hours(1), "A time.");
  }

  absl::Status Parse(std::vector<const char*> arguments) {
    return Configure(table_, arguments, [](const char* /*name*/) -> const char* { return nullptr; });
  }
  std::string Error(std::vector<const char*> arguments) {
    const absl::Status status = Parse(std::move(arguments));
    return status.ok() ? "" : ToTransportError(status).message;
  }

  bool dev_ = false;
  std::string file_;
  std::vector<std::string> listen_ = {"default"};
  std::string level_ = "low";
  int threads_ = 1;
  uint64_t window_bytes_ = 65536;
  std::chrono::nanoseconds timeout_ = std::chrono::seconds(30);
  FlagTable table_;
};

TEST_F(FlagTableTest, ReadsEveryKind) {
  ASSERT_THAT(Parse({"--dev", "--file=/a=b", "--listen", "x", "--listen=y", "--level=high", "--threads=16",
                     "--window-bytes=64KiB", "--timeout=1m30s"}),
              IsOk());
  EXPECT_TRUE(dev_);
  EXPECT_EQ(file_, "/a=b");
  EXPECT_THAT(listen_, ElementsAre("x", "y"));
  EXPECT_EQ(level_, "high");
  EXPECT_EQ(threads_, 16);
  EXPECT_EQ(window_bytes_, 65536u);
  EXPECT_EQ(timeout_, std::chrono::seconds(90));
}

TEST_F(FlagTableTest, KeepsDefaultsOfWhatIsNotGiven) {
  ASSERT_THAT(Parse({}), IsOk());
  EXPECT_THAT(listen_, ElementsAre("default"));
  EXPECT_EQ(timeout_, std::chrono::seconds(30));
}

TEST_F(FlagTableTest, SwitchTakesTrueAndFalseButNotTheNextArgument) {
  ASSERT_THAT(Parse({"--dev=true", "--dev=false"}), IsOk());
  EXPECT_FALSE(dev_);
  EXPECT_THAT(Error({"--dev", "true"}), HasSubstr("unexpected argument `true`"));
  EXPECT_THAT(Error({"--dev=yes"}), HasSubstr("true or false"));
}

TEST_F(FlagTableTest, BadValueNamesTheFlagAndWhatIsAllowed) {
  for (const char* text : {"--threads=0", "--threads=17", "--threads=-1", "--threads=", "--threads=2x", "--threads= 2",
                           "--threads=99999999999999999999"}) {
    EXPECT_THAT(Error({text}), HasSubstr("--threads=")) << text;
    EXPECT_THAT(Error({text}), HasSubstr("1 to 16")) << text;
  }
  for (const char* text : {"--window-bytes=4095", "--window-bytes=2GiB", "--window-bytes=-1", "--window-bytes=1MB",
                           "--window-bytes=18446744073709551615GiB", "--window-bytes=KiB"}) {
    EXPECT_THAT(Error({text}), HasSubstr("4KiB to 1GiB")) << text;
  }
  for (const char* text : {"--timeout=-1s", "--timeout=2h", "--timeout=5", "--timeout=inf", "--timeout="}) {
    EXPECT_THAT(Error({text}), HasSubstr("0 to 1h")) << text;
  }
  EXPECT_THAT(Error({"--level=none"}), HasSubstr("low, middle or high"));
  EXPECT_THAT(Error({"--file="}), HasSubstr("not empty"));
}

TEST_F(FlagTableTest, UnknownFlagSuggestsTheNearest) {
  EXPECT_THAT(Error({"--thread=1"}), HasSubstr("did you mean --threads?"));
  EXPECT_THAT(Error({"--something-else=1"}), HasSubstr("see --help"));
  EXPECT_THAT(Error({"-v"}), HasSubstr("unexpected argument `-v`"));
  EXPECT_THAT(Error({"--"}), HasSubstr("unexpected argument"));
}

TEST_F(FlagTableTest, MissingValueIsAnError) {
  EXPECT_THAT(Error({"--threads"}), HasSubstr("--threads needs a value"));
}

TEST_F(FlagTableTest, HelpNamesEveryFlagRangeAndDefaultWithinTheWidth) {
  const std::string help = table_.Help();
  for (const char* text : {"--dev\n", "--file=PATH", "--threads=N", "1 to 16. Default: 1.",
                           "4KiB to 1GiB. Default: 64KiB.", "Default: 30s."}) {
    EXPECT_THAT(help, HasSubstr(text));
  }
  for (size_t begin = 0; begin < help.size();) {
    const size_t end = help.find('\n', begin);
    EXPECT_LE(end - begin, 100u);
    begin = end + 1;
  }
}

TEST(FormatBytes, UsesTheLargestWholeUnit) {
  EXPECT_EQ(FormatBytes(0), "0");
  EXPECT_EQ(FormatBytes(1023), "1023");
  EXPECT_EQ(FormatBytes(4 << 20), "4MiB");
  EXPECT_EQ(FormatBytes((4 << 20) + 1024), "4097KiB");
}

}  // namespace
}  // namespace transportd
