#include "server/listen/listen_address.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "transports/base/sockaddr.h"
#include "transports/base/unique_fd.h"

namespace transportd {
namespace {

// A folder of its own.
class ListenAddressTest : public testing::Test {
 protected:
  ListenAddressTest() {
    char name[] = "/tmp/listen_address_test.XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~ListenAddressTest() override {
    unlink(path().c_str());
    rmdir(folder_.c_str());
  }
  std::string path() const { return folder_ + "/socket"; }

  static UniqueFd Listen(const SocketAddress& address) {
    const auto raw = ToRawAddress(address);
    UniqueFd fd(socket(AddressFamilyToNumber(address.family), SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(bind(fd.get(), raw->get(), raw->length), 0);
    EXPECT_EQ(listen(fd.get(), 1), 0);
    return fd;
  }

  std::string folder_;
};

TEST_F(ListenAddressTest, RefusesWhatItDoesNotKnow) {
  for (const char* text :
       {"", "127.0.0.1", ":1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:1x", "::1:1", "[::1]",
        "[]:1", "[127.0.0.1]:1", "example.org:1", "*:1", "unix:", "unix-abstract:", "127.1:1", "[::1%lo]:1"}) {
    EXPECT_THAT(ParseListenAddress(text), HasReason("BAD_LISTEN_ADDRESS")) << text;
  }
  EXPECT_THAT(ParseListenAddress("unix:/" + std::string(107, 'p')), HasReason("BAD_LISTEN_ADDRESS"));
  EXPECT_THAT(ParseListenAddress("unix:/" + std::string(106, 'p')), IsOk());
}

TEST_F(ListenAddressTest, OptionsStandBehindCommas) {
  auto address = ParseListenAddress("unix:/run/x,principal=spiffe://a/b,mode=0660,uid=0,uid=1000");
  ASSERT_THAT(address, IsOk());
  EXPECT_EQ(address->address.path, "/run/x");
  EXPECT_EQ(address->principal, "spiffe://a/b");
  EXPECT_EQ(address->mode, 0660u);
  EXPECT_THAT(address->uids, testing::ElementsAre(0, 1000));
  address = ParseListenAddress("127.0.0.1:1,plaintext");
  ASSERT_THAT(address, IsOk());
  EXPECT_TRUE(address->plaintext);
  EXPECT_FALSE(ParseListenAddress("127.0.0.1:1")->plaintext);
  EXPECT_EQ(ParseListenAddress("unix:/run/x")->mode, 0600u);
  EXPECT_EQ(ParseListenAddress("unix:/run/x")->principal, std::nullopt);
}

TEST_F(ListenAddressTest, RefusesOptionsThatItDoesNotKnowOrThatHaveNoMeaning) {
  for (const char* text : {"127.0.0.1:1,", "127.0.0.1:1,,plaintext", "127.0.0.1:1,plain", "127.0.0.1:1,plaintext=1",
                           "10.0.0.1:1,plaintext", "0.0.0.0:1,plaintext", "unix:/x,plaintext",
                           "127.0.0.1:1,principal=a", "unix:/x,principal=", "unix:/x,principal=a b", "unix:/x,mode=8",
                           "unix:/x,mode=1000", "unix:/x,mode=", "unix-abstract:x,mode=600", "unix:/x,uid=-1",
                           "unix:/x,uid=4294967295", "unix:/x,uid=", "127.0.0.1:1,uid=0"}) {
    EXPECT_THAT(ParseListenAddress(text), HasReason("BAD_LISTEN_ADDRESS")) << text;
  }
}

TEST_F(ListenAddressTest, RelativePathBecomesAbsolute) {
  const auto address = ParseListenAddress("unix:x");
  ASSERT_THAT(address, IsOk());
  EXPECT_EQ(address->target.rfind("unix:/", 0), 0u);
}

TEST_F(ListenAddressTest, PortInUseIsTheKernelsError) {
  auto address = ParseListenAddress("127.0.0.1:0");
  ASSERT_THAT(address, IsOk());
  EXPECT_THAT(CheckListenAddress(*address), IsOk());
  const UniqueFd taken = Listen(address->address);
  address = ParseListenAddress(GetSockname(taken.get())->ToString());
  ASSERT_THAT(address, IsOk());
  EXPECT_THAT(CheckListenAddress(*address), HasReason("EADDRINUSE"));
}

TEST_F(ListenAddressTest, UnixPathOfALiveServiceIsInUseAndALeftOverOneIsNot) {
  const auto address = ParseListenAddress("unix:" + path());
  ASSERT_THAT(address, IsOk());
  EXPECT_THAT(CheckListenAddress(*address), IsOk());
  {
    const UniqueFd live = Listen(address->address);
    EXPECT_THAT(CheckListenAddress(*address), HasReason("EADDRINUSE"));
  }
  EXPECT_THAT(CheckListenAddress(*address), IsOk());
}

TEST_F(ListenAddressTest, UnixPathThatIsNoSocketIsLeftAlone) {
  UniqueFd file(open(path().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  ASSERT_TRUE(file.valid());
  EXPECT_THAT(CheckListenAddress(*ParseListenAddress("unix:" + path())), HasReason("EEXIST"));
  EXPECT_THAT(CheckListenAddress(*ParseListenAddress("unix:" + folder_ + "/none/socket")), HasReason("ENOENT"));
}

TEST_F(ListenAddressTest, AbstractNameInUseIsTheKernelsError) {
  const auto address = ParseListenAddress("unix-abstract:listen_address_test." + std::to_string(getpid()));
  ASSERT_THAT(address, IsOk());
  EXPECT_THAT(CheckListenAddress(*address), IsOk());
  const UniqueFd taken = Listen(address->address);
  EXPECT_THAT(CheckListenAddress(*address), HasReason("EADDRINUSE"));
}

}  // namespace
}  // namespace transportd
