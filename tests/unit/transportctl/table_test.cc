#include "clients/cpp/transportctl/table.h"

#include "gtest/gtest.h"

namespace transportd::ctl {
namespace {

TEST(Table, ColumnsAreAligned) {
  EXPECT_EQ(FormatTable({{"ID", "NAME"}, {"1", "a"}, {"100", ""}}), "ID   NAME\n1    a\n100  -\n");
}

TEST(Table, ControlCharactersDoNotReachTheTerminal) {
  EXPECT_EQ(FormatTable({{"A"}, {"\x1b[2J\n\x7f"}}), "A\n\\x1b[2J\\n\\x7f\n");
}

}  // namespace
}  // namespace transportd::ctl
