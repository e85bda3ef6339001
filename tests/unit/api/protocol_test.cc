#include "transports/api/protocol.h"

#include <cerrno>
#include <set>

#include "gtest/gtest.h"

namespace transportd {
namespace {

TEST(EndCauseName, EveryCauseHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int cause = 0; cause <= static_cast<int>(EndCause::kRaggedEof); ++cause) {
    names.insert(EndCauseName(static_cast<EndCause>(cause)));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(EndCause::kRaggedEof) + 1);
  EXPECT_FALSE(names.contains("UNSPECIFIED"));
  EXPECT_EQ(EndCauseName(EndCause::kLocalClose), "LOCAL_CLOSE");
}

TEST(EndCauseFromErrno, MapsEachErrnoOfTheDataPath) {
  EXPECT_EQ(EndCauseFromErrno(ECONNRESET), EndCause::kReset);
  EXPECT_EQ(EndCauseFromErrno(EPIPE), EndCause::kBrokenPipe);
  EXPECT_EQ(EndCauseFromErrno(ESHUTDOWN), EndCause::kBrokenPipe);
  EXPECT_EQ(EndCauseFromErrno(ETIMEDOUT), EndCause::kTimedOut);
  for (int error_number : {EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN}) {
    EXPECT_EQ(EndCauseFromErrno(error_number), EndCause::kUnreachable);
  }
  EXPECT_EQ(EndCauseFromErrno(EIO), EndCause::kOsError);
}

}  // namespace
}  // namespace transportd
