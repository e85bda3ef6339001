#include "clients/cpp/transportctl/screen_text.h"

#include "clients/cpp/transportctl/figures.h"
#include "clients/cpp/transportctl/key_reader.h"
#include "clients/cpp/transportctl/plot.h"
#include "clients/cpp/transportctl/status_text.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace transportd::ctl {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(ScreenText, WidthsAreThoseOfTerminals) {
  EXPECT_EQ(TextWidth("abc"), 3);
  EXPECT_EQ(TextWidth("→ ‖é"), 4);
  EXPECT_EQ(TextWidth("漢字"), 4);
  EXPECT_EQ(TextWidth("😀"), 2);
  EXPECT_EQ(ScreenText("a\u0301\u202e\n"), "a\ufffd\ufffd\\n");
  EXPECT_LE(ScreenText(std::string(1 << 20, 'x')).size(), 1000u);
}

TEST(ScreenText, FitsExactly) {
  EXPECT_EQ(Fit("ab", 4), "ab  ");
  EXPECT_EQ(Fit("ab", 4, Align::kRight), "  ab");
  EXPECT_EQ(Fit("abcdef", 4), "abc…");
  EXPECT_EQ(Fit("abcdef", 4, Align::kLeft, Cut::kBeginning), "…def");
  EXPECT_EQ(Fit("漢字漢", 4), "漢… ");
  EXPECT_EQ(Fit("漢字漢", 4, Align::kLeft, Cut::kBeginning), "…漢 ");
  EXPECT_EQ(Fit("ab", 1), "…");
  EXPECT_EQ(Fit("ab", 0), "");
  EXPECT_EQ(Line("abc").Add("def").CutTo(5).text(), "abcd…");
}

TEST(Figures, AreShort) {
  EXPECT_EQ(BytesText(0), "0");
  EXPECT_EQ(BytesText(1023), "1023");
  EXPECT_EQ(BytesText(1024), "1.0K");
  EXPECT_EQ(BytesText(1023.9 * 1024), "1.0M");
  EXPECT_EQ(BytesText(1e30).substr(0, 3), "867");
  EXPECT_EQ(AgeText(59.9), "59s");
  EXPECT_EQ(AgeText(61), "1m01s");
  EXPECT_EQ(AgeText(7500), "2h05m");
  EXPECT_EQ(AgeText(100 * 86400), "100d");
  EXPECT_EQ(AgeText(-5), "0s");
  EXPECT_EQ(LagText(0.0002), "0.2ms");
  EXPECT_EQ(PercentText(0.256), "26%");
}

TEST(Plot, BarsAndSparklines) {
  EXPECT_EQ(Bar(0, 3), "···");
  EXPECT_EQ(Bar(0.00001, 3), "▏··");
  EXPECT_EQ(Bar(0.5, 3), "█▌·");
  EXPECT_EQ(Bar(7, 3), "███");
  EXPECT_EQ(Sparkline(std::vector<double>{-1, 0, 1, 4, 8}), " ▁▂▅█");
  EXPECT_EQ(Sparkline({}), "");
}

TEST(KeyReader, SequencesMayComeInPieces) {
  KeyReader reader;
  const auto kinds = [&](std::string_view bytes) {
    std::vector<Key::Kind> out;
    for (const Key& key : reader.Feed(bytes)) out.push_back(key.kind);
    return out;
  };
  using testing::ElementsAre;
  EXPECT_THAT(kinds("q\r\x7f"), ElementsAre(Key::Kind::kCharacter, Key::Kind::kEnter, Key::Kind::kBackspace));
  EXPECT_THAT(kinds("\x1b[A\x1bOB\x1b[5~\x1b[6~"),
              ElementsAre(Key::Kind::kUp, Key::Kind::kDown, Key::Kind::kPageUp, Key::Kind::kPageDown));
  EXPECT_THAT(kinds("\x1b["), ElementsAre());
  EXPECT_THAT(kinds("B"), ElementsAre(Key::Kind::kDown));
  EXPECT_THAT(kinds("\x1b"), ElementsAre(Key::Kind::kEscape));
  EXPECT_THAT(kinds("\x1b[99;99x"), ElementsAre());
  EXPECT_THAT(kinds("\xc3"), ElementsAre());
  EXPECT_EQ(reader.Feed("\xa9").at(0).text, "é");
  EXPECT_TRUE(reader.Feed("\x03").at(0).IsControl("c"));
  EXPECT_THAT(kinds("\xff\xc3("), ElementsAre(Key::Kind::kCharacter));
  EXPECT_THAT(kinds(std::string(1000, '\x9b')), ElementsAre());
  EXPECT_THAT(kinds("\x1b[" + std::string(1000, '1')), ElementsAre());
}

TEST(StatusText, TellsAllAndEscapesIt) {
  v1::GetStatusResponse status;
  status.mutable_version()->set_version("0.1.0");
  status.add_event_loops()->set_session_count(3);
  status.mutable_policy()->set_file("/etc/\x1b[2J");
  status.mutable_policy()->set_error("bad\nline");
  status.mutable_audit()->set_lost_count(7);
  status.add_quotas()->set_principal("");
  EXPECT_THAT(StatusText(status),
              AllOf(HasSubstr("service       transportd 0.1.0"), HasSubstr("loop 0        3 sessions"),
                    HasSubstr("/etc/\\x1b[2J"), HasSubstr("policy error  bad\\nline\n"), HasSubstr("7 lost"),
                    HasSubstr("quota         all together: 0 sessions"), HasSubstr("denials       none\n"),
                    Not(HasSubstr("\x1b"))));
}

}  // namespace
}  // namespace transportd::ctl
