#include "transports/base/socket_place.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/raw_peer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace transportd {
namespace {

class SocketPlaceTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::mkdir(directory_.Path("real").c_str(), 0700), 0);
    ASSERT_EQ(::symlink("real", directory_.Path("link").c_str()), 0);
  }
  absl::StatusOr<SocketPlace> Place(const std::string& name) {
    return FindSocketPlace(UnixAddress(directory_.Path(name)), Symlinks::kForbid);
  }
  absl::StatusOr<SocketTarget> Target(const std::string& name) {
    return FindSocketTarget(UnixAddress(directory_.Path(name)), Symlinks::kForbid, "connect");
  }

  TempDir directory_;
};

TEST_F(SocketPlaceTest, WhenLinksAreFollowedThePathIsThePath) {
  const auto place = FindSocketPlace(UnixAddress(directory_.Path("link/s")), Symlinks::kFollow);
  ASSERT_THAT(place, IsOk());
  EXPECT_EQ(place->name, directory_.Path("link/s"));
  EXPECT_EQ(place->at(), AT_FDCWD);
  const auto target = FindSocketTarget(UnixAddress(directory_.Path("link/s")), Symlinks::kFollow, "connect");
  ASSERT_THAT(target, IsOk()) << "the kernel will say that it is not there";
  EXPECT_FALSE(target->pin.valid());
}

TEST_F(SocketPlaceTest, PlaceStaysTheFolderThatItWas) {
  const auto place = Place("real/s");
  ASSERT_THAT(place, IsOk());
  EXPECT_EQ(place->name, "s");
  ASSERT_EQ(::rename(directory_.Path("real").c_str(), directory_.Path("moved").c_str()), 0);
  ASSERT_EQ(::mkdir(directory_.Path("other").c_str(), 0700), 0);
  ASSERT_EQ(::symlink("other", directory_.Path("real").c_str()), 0);
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::bind(fd.get(), place->raw.get(), place->raw.length), 0);
  EXPECT_TRUE(directory_.Exists("moved/s"));
  EXPECT_FALSE(directory_.Exists("other/s"));
}

TEST_F(SocketPlaceTest, LinkAnywhereIsRefused) {
  EXPECT_THAT(Place("link/s"), HasReason("ELOOP"));
  ASSERT_EQ(::symlink("nowhere", directory_.Path("real/s").c_str()), 0);
  EXPECT_THAT(Place("real/s"), HasReason("ELOOP"));
  EXPECT_THAT(Place("none/s"), HasReason("ENOENT"));
}

TEST_F(SocketPlaceTest, PathEndsInAName) {
  for (const char* name : {"real/", "real/.", "real/.."}) {
    EXPECT_THAT(Place(name), HasReason("INVALID_PATH")) << name;
  }
  // Relative ones too.
  const auto here = FindSocketPlace(UnixAddress("s"), Symlinks::kForbid);
  ASSERT_THAT(here, IsOk());
  EXPECT_TRUE(here->folder.valid());
  EXPECT_EQ(here->name, "s");
  const auto root = FindSocketPlace(UnixAddress("/s"), Symlinks::kForbid);
  ASSERT_THAT(root, IsOk());
  EXPECT_EQ(root->name, "s");
}

TEST_F(SocketPlaceTest, NameThatDoesNotFitThroughTheFolderIsRefused) {
  // A path has 108 bytes; "/proc/self/fd/N/" takes some.
  const std::string prefix = "/tmp/";
  EXPECT_THAT(FindSocketPlace(UnixAddress(prefix + std::string(80, 'n')), Symlinks::kForbid), IsOk());
  const std::string long_path = prefix + std::string(103, 'n');
  EXPECT_THAT(FindSocketPlace(UnixAddress(long_path), Symlinks::kFollow), IsOk());
  EXPECT_THAT(FindSocketPlace(UnixAddress(long_path), Symlinks::kForbid),
              testing::AllOf(HasReason("INVALID_PATH"), HasField("path")));
}

TEST_F(SocketPlaceTest, AbstractNameIsNoPath) {
  const SocketAddress address = UnixAddress(std::string("\0transportd/none", 16));
  EXPECT_FALSE(FindSocketPlace(address, Symlinks::kForbid)->folder.valid());
  EXPECT_FALSE(FindSocketTarget(address, Symlinks::kForbid, "connect")->pin.valid());
}

TEST_F(SocketPlaceTest, TargetStaysTheSocketThatItWas) {
  const RawListener first(UnixAddress(directory_.Path("real/s")));
  const auto target = Target("real/s");
  ASSERT_THAT(target, IsOk());
  ASSERT_EQ(::unlink(directory_.Path("real/s").c_str()), 0);
  RawListener second(UnixAddress(directory_.Path("real/s")));
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(fd.get(), target->raw.get(), target->raw.length), 0);
  EXPECT_FALSE(second.TryAccept().valid());
}

TEST_F(SocketPlaceTest, TargetBehindALinkOrThatIsNoneIsRefused) {
  const RawListener listener(UnixAddress(directory_.Path("real/s")));
  ASSERT_EQ(::symlink("s", directory_.Path("real/l").c_str()), 0);
  directory_.WriteFile("real/f", "");
  EXPECT_THAT(Target("link/s"), HasReason("ELOOP"));
  EXPECT_THAT(Target("real/l"), HasReason("ELOOP"));
  EXPECT_THAT(Target("real/f"), HasReason("ECONNREFUSED"));
  EXPECT_THAT(Target("real"), HasReason("ECONNREFUSED"));
  EXPECT_THAT(Target("real/none"), HasReason("ENOENT"));
}

}  // namespace
}  // namespace transportd
