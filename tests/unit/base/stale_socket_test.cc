#include "transports/base/stale_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "transports/api/error.h"
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
  UniqueFd MakeSocket(int type = SOCK_DGRAM) const {
    UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    const RawAddress address = *ToRawAddress({.family = AddressFamily::kUnix, .path = Path()});
    EXPECT_EQ(::bind(fd.get(), address.get(), address.length), 0);
    return fd;
  }
  absl::Status RemoveUnused(Symlinks symlinks) const {
    const auto place = FindSocketPlace({.family = AddressFamily::kUnix, .path = Path()}, symlinks);
    EXPECT_THAT(place, IsOk());
    return RemoveUnusedSocket(*place, "shown");
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

TEST_F(StaleSocketTest, UnusedSocketGoesAndOneInUseStays) {
  for (const Symlinks symlinks : {Symlinks::kFollow, Symlinks::kForbid}) {
    for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
      {
        const UniqueFd owner = MakeSocket(type);
        for (const bool listens : {false, true}) {
          if (listens && type != SOCK_DGRAM) {
            ASSERT_EQ(::listen(owner.get(), 1), 0);
          }
          const absl::Status status = RemoveUnused(symlinks);
          EXPECT_THAT(status, HasReason("EADDRINUSE")) << type;
          EXPECT_EQ(ToTransportError(status).address, "shown");
          EXPECT_EQ(ToTransportError(status).operation, "bind");
          EXPECT_TRUE(Exists());
        }
        if (type != SOCK_DGRAM) {
          ASSERT_EQ(::fcntl(owner.get(), F_SETFL, O_NONBLOCK), 0);
          EXPECT_EQ(::accept4(owner.get(), nullptr, nullptr, SOCK_CLOEXEC), -1) << "nobody has connected";
        }
      }
      EXPECT_THAT(RemoveUnused(symlinks), IsOk());
      EXPECT_FALSE(Exists());
      EXPECT_THAT(RemoveUnused(symlinks), IsOk()) << "nothing is there";
    }
  }
}

TEST_F(StaleSocketTest, UnusedIsNoFile) {
  const UniqueFd fd(::open(Path().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  EXPECT_THAT(RemoveUnused(Symlinks::kForbid), IsOk()) << "bind tells";
  EXPECT_TRUE(Exists());
  EXPECT_THAT(RemoveUnusedSocket({.folder = {}, .name = Path() + std::string("\0x", 2), .raw = {}}, "shown"), IsOk());
}

}  // namespace
}  // namespace transportd
