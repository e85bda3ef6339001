#include "transports/base/stale_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "gtest/gtest.h"
#include "transports/base/sockaddr.h"
#include "transports/base/unique_fd.h"

namespace transportd {
namespace {

class StaleSocketTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/stale-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override {
    ::unlink(Path().c_str());
    ::rmdir(directory_.c_str());
  }
  std::string Path() const { return directory_ + "/s"; }
  bool Exists() const {
    struct stat status {};
    return ::lstat(Path().c_str(), &status) == 0;
  }
  void MakeSocket() const {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const RawAddress address = *ToRawAddress({.family = AddressFamily::kUnix, .path = Path()});
    ASSERT_EQ(::bind(fd.get(), address.get(), address.length), 0);
  }

  std::string directory_;
};

TEST_F(StaleSocketTest, RemovesASocket) {
  MakeSocket();
  ASSERT_TRUE(Exists());
  RemoveStaleSocket(Path());
  EXPECT_FALSE(Exists());
}

TEST_F(StaleSocketTest, LeavesAFile) {
  const UniqueFd fd(::open(Path().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  ASSERT_TRUE(fd.valid());
  RemoveStaleSocket(Path());
  EXPECT_TRUE(Exists());
}

TEST_F(StaleSocketTest, LeavesWhatANameWithAByteZeroBeginsWith) {
  MakeSocket();
  RemoveStaleSocket(Path() + std::string("\0x", 2));
  EXPECT_TRUE(Exists());
}

TEST_F(StaleSocketTest, IsQuietWhereNothingIs) {
  testing::internal::CaptureStderr();
  RemoveStaleSocket(Path());
  RemoveStaleSocket("");
  RemoveStaleSocket(std::string("\0abstract", 9));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(StaleSocketTest, LogsWhatItCannotCheck) {
  const UniqueFd fd(::open(Path().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  testing::internal::CaptureStderr();
  RemoveStaleSocket(Path() + "/below-a-file");
  EXPECT_NE(testing::internal::GetCapturedStderr().find("ENOTDIR"), std::string::npos);
}

}  // namespace
}  // namespace transportd
