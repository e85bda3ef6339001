#include "transports/unix/socket_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_gate.h"
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

// With a gate.

class GatedSocketFileTest : public SocketFileTest {
 protected:
  void SetUp() override {
    gate_.forbids_symlinks = true;
    ASSERT_EQ(::symlink(".", directory_.Path("link").c_str()), 0);
  }
  absl::StatusOr<BoundSocket> BindAt(const std::string& name, std::optional<uint32_t> mode = std::nullopt) {
    return BindUnixSocket(UnixAddress(directory_.Path(name)), mode, kNoDescriptorLimit, &gate_);
  }

  FakeGate gate_;
};

TEST_F(GatedSocketFileTest, RefusedIsNeitherBoundNorClearedAway) {
  ASSERT_THAT(Bind(), IsOk());
  gate_.Refuse("bind");
  EXPECT_THAT(BindAt("s"), HasReason("POLICY_DENIED"));
  EXPECT_TRUE(directory_.Exists("s"));
  EXPECT_THAT(gate_.asked(), testing::ElementsAre("bind " + directory_.Path("s")));
}

TEST_F(GatedSocketFileTest, SocketInUseStays) {
  for (const bool forbids_symlinks : {true, false}) {
    gate_.forbids_symlinks = forbids_symlinks;
    const auto owner = Bind();
    ASSERT_THAT(owner, IsOk());
    const auto bound = BindAt("s");
    EXPECT_THAT(bound, HasReason("EADDRINUSE")) << "bound";
    EXPECT_EQ(ToTransportError(bound.status()).address, directory_.Path("s"));
    ASSERT_EQ(::listen(owner->fd.get(), 0), 0);
    EXPECT_THAT(BindAt("s", 0600), HasReason("EADDRINUSE")) << "listens";
    const RawPeer first = RawPeer::Connect(UnixAddress(directory_.Path("s")));
    EXPECT_TRUE(first.valid()) << "it is reached as before";
    EXPECT_THAT(BindAt("s"), HasReason("EADDRINUSE")) << "its backlog is full";
  }
}

TEST_F(GatedSocketFileTest, StaleSocketGoesAndTheNewOneIsReachedByItsPath) {
  ASSERT_THAT(Bind(), IsOk());
  ASSERT_TRUE(directory_.Exists("s"));
  for (const std::optional<uint32_t> mode : {std::optional<uint32_t>(), std::optional<uint32_t>(0640)}) {
    const ScopedUmask umask(027);
    const auto socket = BindAt("s", mode);
    ASSERT_THAT(socket, IsOk());
    EXPECT_EQ(socket->address.path, directory_.Path("s"));
    EXPECT_EQ(Mode(), mode.value_or(0750));
    ASSERT_EQ(::listen(socket->fd.get(), 1), 0);
    EXPECT_TRUE(RawPeer::Connect(UnixAddress(directory_.Path("s"))).valid());
  }
}

TEST_F(GatedSocketFileTest, LinkAnywhereIsRefusedAndNothingChanges) {
  auto socket = Bind();
  EXPECT_THAT(BindAt("link/s"), HasReason("ELOOP"));
  EXPECT_THAT(BindAt("link"), HasReason("ELOOP"));
  ASSERT_EQ(::symlink("s", directory_.Path("to_s").c_str()), 0);
  EXPECT_THAT(BindAt("to_s"), HasReason("ELOOP"));
  EXPECT_TRUE(directory_.Exists("s")) << "a link does not lead to what is stale";
  gate_.forbids_symlinks = false;
  socket->fd.Reset();
  EXPECT_THAT(BindAt("link/s"), IsOk());
}

TEST_F(GatedSocketFileTest, RemoverFollowsNoLink) {
  ASSERT_EQ(::mkdir(directory_.Path("d").c_str(), 0700), 0);
  const auto socket = BindAt("d/s");
  ASSERT_THAT(socket, IsOk());
  EXPECT_FALSE(SocketFileRemover(directory_.Path("link/d/s"), Symlinks::kForbid));
  auto remove = SocketFileRemover(directory_.Path("d/s"), Symlinks::kForbid);
  ASSERT_TRUE(remove);
  ASSERT_EQ(::rename(directory_.Path("d").c_str(), directory_.Path("moved").c_str()), 0);
  ASSERT_EQ(::symlink("moved", directory_.Path("d").c_str()), 0);
  remove();
  EXPECT_TRUE(directory_.Exists("moved/s")) << "through a link";
  ASSERT_EQ(::unlink(directory_.Path("d").c_str()), 0);
  ASSERT_EQ(::rename(directory_.Path("moved").c_str(), directory_.Path("d").c_str()), 0);
  remove();
  EXPECT_FALSE(directory_.Exists("d/s"));
}

}  // namespace
}  // namespace transportd
