#include "transports/unix/socket_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/no_descriptor_limit.h"
#include "tests/support/raw_peer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "transports/api/error.h"

namespace transportd {
namespace {

// The umask of the process, set for a scope.
class ScopedUmask final {
 public:
  explicit ScopedUmask(mode_t mask) : before_(::umask(mask)) {}
  ~ScopedUmask() { ::umask(before_); }

 private:
  const mode_t before_;
};

class SocketFileTest : public testing::Test {
 protected:
  absl::StatusOr<BoundSocket> Bind(std::optional<uint32_t> mode = std::nullopt) {
    return BindUnixSocket(UnixAddress(directory_.Path("s")), mode, kNoDescriptorLimit);
  }
  mode_t Mode() const {
    struct stat status {};
    EXPECT_EQ(::lstat(directory_.Path("s").c_str(), &status), 0);
    EXPECT_TRUE(S_ISSOCK(status.st_mode));
    return status.st_mode & 07777;
  }

  TempDir directory_;
};

TEST_F(SocketFileTest, ModeIsTheUmasksUnlessAskedFor) {
  const ScopedUmask umask(027);
  const auto socket = Bind();
  ASSERT_THAT(socket, IsOk());
  EXPECT_EQ(Mode(), 0750u);
  EXPECT_EQ(socket->address.path, directory_.Path("s"));
}

TEST_F(SocketFileTest, ModeIsJustWhatIsAskedForWhateverTheUmask) {
  for (const mode_t mask : {mode_t{0}, mode_t{022}, mode_t{0777}}) {
    const ScopedUmask umask(mask);
    for (const uint32_t mode : {0u, 0600u, 0660u, 0666u, 0777u}) {
      const auto socket = Bind(mode);
      ASSERT_THAT(socket, IsOk());
      EXPECT_EQ(Mode(), mode) << "umask " << mask;
    }
  }
}

TEST_F(SocketFileTest, StaleSocketGoesAndAnythingElseIsInUse) {
  const auto first = Bind();
  const auto second = Bind();
  EXPECT_THAT(second, IsOk());
  EXPECT_EQ(::unlink(directory_.Path("s").c_str()), 0);
  directory_.WriteFile("s", "precious");
  const auto third = Bind();
  EXPECT_THAT(third, HasReason("EADDRINUSE"));
  EXPECT_EQ(ToTransportError(third.status()).operation, "bind");
  EXPECT_EQ(ToTransportError(third.status()).address, directory_.Path("s"));
  EXPECT_TRUE(directory_.Exists("s"));
}

TEST_F(SocketFileTest, BindFailures) {
  EXPECT_THAT(BindUnixSocket(UnixAddress(directory_.Path("no/s")), 0600, kNoDescriptorLimit), HasReason("ENOENT"));
  EXPECT_THAT(BindUnixSocket(UnixAddress(directory_.Path("s")), {}, 3), HasReason("EMFILE"));
  EXPECT_FALSE(directory_.Exists("s"));
}

TEST_F(SocketFileTest, RemoverRemovesItsOwn) {
  const auto socket = Bind();
  auto remove = SocketFileRemover(directory_.Path("s"));
  ASSERT_TRUE(remove);
  remove();
  EXPECT_FALSE(directory_.Exists("s"));
  remove();  // Gone already: nothing to say.
}

TEST_F(SocketFileTest, RemoverLeavesWhatTookItsPlace) {
  const auto socket = Bind();
  auto remove = SocketFileRemover(directory_.Path("s"));
  const auto thief = Bind();
  remove();
  EXPECT_TRUE(directory_.Exists("s"));
}

TEST_F(SocketFileTest, NothingToRemove) {
  EXPECT_FALSE(SocketFileRemover(""));
  EXPECT_FALSE(SocketFileRemover(std::string("\0name", 5)));
  EXPECT_FALSE(SocketFileRemover(directory_.Path("none")));
}

}  // namespace
}  // namespace transportd
