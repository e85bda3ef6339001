// main() of every test program.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/leak_check.h"

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  // Appended listeners hear of a test's end before the one that prints its result. gtest owns it.
  testing::UnitTest::GetInstance()->listeners().Append(new transportd::FdLeakListener);
  return RUN_ALL_TESTS();
}
