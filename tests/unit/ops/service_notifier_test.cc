#include "server/ops/service_notifier.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "transports/base/str_cat.h"
#include "transports/base/unique_fd.h"

namespace transportd {
namespace {

using std::chrono::seconds;

// What a service manager has.
class Manager final {
 public:
  // `address`: as NOTIFY_SOCKET has it.
  explicit Manager(const std::string& address) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un to = {};
    to.sun_family = AF_UNIX;
    std::memcpy(to.sun_path, address.data(), address.size());
    if (to.sun_path[0] == '@') to.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&to), size), 0) << errno;
  }

  // The next message; empty: there is none.
  std::string Receive() {
    char text[512];
    const ssize_t size = ::recv(fd_.get(), text, sizeof(text), MSG_DONTWAIT);
    return size < 0 ? std::string() : std::string(text, static_cast<size_t>(size));
  }

 private:
  const UniqueFd fd_;
};

TEST(ServiceNotifier, SaysReadyAndStoppingToAPath) {
  const std::string path = StrCat(testing::TempDir(), "service_notifier_test.", ::getpid());
  ::unlink(path.c_str());
  Manager manager(path);
  const auto notifier = ServiceNotifier::Create(path);
  ASSERT_TRUE(notifier.ok()) << notifier.status();
  EXPECT_TRUE(notifier->Ready("listens on 127.0.0.1:1").ok());
  EXPECT_EQ(manager.Receive(), "READY=1\nSTATUS=listens on 127.0.0.1:1");
  EXPECT_TRUE(notifier->Stopping(seconds(3), "waits").ok());
  EXPECT_EQ(manager.Receive(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=3000000\nSTATUS=waits");
  ::unlink(path.c_str());
}

TEST(ServiceNotifier, ReachesAnAbstractName) {
  const std::string name = StrCat("@transportd/service_notifier_test/", ::getpid());
  Manager manager(name);
  const auto notifier = ServiceNotifier::Create(name);
  ASSERT_TRUE(notifier.ok()) << notifier.status();
  EXPECT_TRUE(notifier->Ready("").ok());
  EXPECT_EQ(manager.Receive(), "READY=1\nSTATUS=");
}

TEST(ServiceNotifier, WithoutAManagerSaysNothing) {
  const auto notifier = ServiceNotifier::Create("");
  ASSERT_TRUE(notifier.ok()) << notifier.status();
  EXPECT_TRUE(notifier->Ready("").ok());
  EXPECT_TRUE(notifier->Stopping(seconds(1), "").ok());
}

TEST(ServiceNotifier, TellsOfAManagerThatIsNotThere) {
  const auto notifier = ServiceNotifier::Create(StrCat("@transportd/nobody/", ::getpid()));
  ASSERT_TRUE(notifier.ok()) << notifier.status();
  EXPECT_FALSE(notifier->Ready("").ok());
}

TEST(ServiceNotifier, RefusesWhatIsNoAddress) {
  for (const std::string& address : {std::string("vsock:2:1"), "/" + std::string(200, 'x')}) {
    const auto notifier = ServiceNotifier::Create(address);
    EXPECT_THAT(notifier.status().message(), testing::HasSubstr("NOTIFY_SOCKET")) << address;
  }
}

}  // namespace
}  // namespace transportd
