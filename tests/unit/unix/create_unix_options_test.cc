#include "transports/unix/create_unix_options.h"

#include <sys/socket.h>

#include <chrono>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/no_descriptor_limit.h"
#include "tests/support/status_matchers.h"
#include "transports/base/owned_socket.h"

namespace transportd {
namespace {

using std::chrono::seconds;
using testing::AllOf;

TEST(CreateUnixOptions, PathsAndNames) {
  for (const std::string& path : {std::string("/run/x"), std::string("relative"), std::string("\0abstract", 9),
                                  std::string("\xff\xfe", 2), std::string(108, 'x'), '\0' + std::string(107, '\0')}) {
    EXPECT_THAT(ValidateCreateUnixConnection({.path = path}), IsOk());
    EXPECT_THAT(ValidateCreateUnixServer({.path = path}), IsOk());
  }
  for (const std::string& path :
       {std::string(), std::string(109, 'x'), std::string("a\0b", 3), '\0' + std::string(108, 'x')}) {
    EXPECT_THAT(ValidateCreateUnixConnection({.path = path}), AllOf(HasReason("INVALID_PATH"), HasField("path")));
    EXPECT_THAT(ValidateCreateUnixServer({.path = path}), AllOf(HasReason("INVALID_PATH"), HasField("path")));
  }
}

TEST(CreateUnixOptions, APathOrASocketAndNotBoth) {
  const auto unix_socket = MakeSocketpair(AddressFamily::kUnix, SocketType::kStream, kNoDescriptorLimit)->first;
  const auto datagram = MakeSocketpair(AddressFamily::kUnix, SocketType::kDatagram, kNoDescriptorLimit)->first;
  const std::shared_ptr<ExistingSocket> inet =
      *OwnedSocket::Make(UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  EXPECT_THAT(ValidateCreateUnixConnection({}), AllOf(HasReason("INVALID_PATH"), HasField("path")));
  EXPECT_THAT(ValidateCreateUnixServer({}), AllOf(HasReason("INVALID_PATH"), HasField("path")));
  EXPECT_THAT(ValidateCreateUnixConnection({.sock = unix_socket}), IsOk());
  EXPECT_THAT(ValidateCreateUnixServer({.sock = unix_socket}), IsOk());
  EXPECT_THAT(ValidateCreateUnixConnection({.path = "/x", .sock = unix_socket}),
              AllOf(HasReason("INVALID_SOCKET"), HasField("sock")));
  EXPECT_THAT(ValidateCreateUnixServer({.path = "/x", .sock = unix_socket}), HasReason("INVALID_SOCKET"));
  for (const auto& wrong : {std::shared_ptr<ExistingSocket>(datagram), inet}) {
    EXPECT_THAT(ValidateCreateUnixConnection({.sock = wrong}), HasReason("INVALID_SOCKET"));
    EXPECT_THAT(ValidateCreateUnixServer({.sock = wrong}), HasReason("INVALID_SOCKET"));
  }
}

TEST(CreateUnixOptions, TheRest) {
  EXPECT_THAT(ValidateCreateUnixConnection({.path = "/x", .timeout = seconds(0)}), HasReason("INVALID_TIMEOUT"));
  EXPECT_THAT(ValidateCreateUnixConnection({.path = "/x", .write_buffer_limits = {.high_bytes = 1, .low_bytes = 2}}),
              HasReason("INVALID_LIMITS"));
  EXPECT_THAT(ValidateCreateUnixServer({.path = "/x", .write_buffer_limits = {.high_bytes = 1, .low_bytes = 2}}),
              HasReason("INVALID_LIMITS"));
  EXPECT_THAT(ValidateCreateUnixServer({.path = "/x", .backlog = 0}), HasReason("INVALID_BACKLOG"));
  EXPECT_THAT(ValidateCreateUnixServer({.path = "/x", .mode = 0}), IsOk());
  EXPECT_THAT(ValidateCreateUnixServer({.path = "/x", .mode = 0777}), IsOk());
  EXPECT_THAT(ValidateCreateUnixServer({.path = "/x", .mode = 01000}),
              AllOf(HasReason("INVALID_MODE"), HasField("mode")));
  EXPECT_THAT(ValidateCreateUnixServer({.path = std::string("\0x", 2), .mode = 0600}), HasReason("INVALID_MODE"));
}

}  // namespace
}  // namespace transportd
