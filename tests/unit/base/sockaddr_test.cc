#include "transports/base/sockaddr.h"

#include <netinet/in.h>
#include <sys/un.h>

#include <cerrno>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/raw_peer.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

SocketAddress RoundTrip(const SocketAddress& address) {
  absl::StatusOr<RawAddress> raw = ToRawAddress(address);
  EXPECT_THAT(raw, IsOk());
  if (!raw.ok()) return {};
  return FromRawAddress(raw->get(), raw->length);
}

SocketAddress UnixAddress(std::string path) {
  return {.family = AddressFamily::kUnix, .host = {}, .path = std::move(path)};
}

TEST(RawAddress, RoundTripKeepsIpAddresses) {
  const SocketAddress inet{.family = AddressFamily::kInet, .host = "192.0.2.1", .port = 65535, .path = {}};
  EXPECT_EQ(RoundTrip(inet), inet);
  const SocketAddress inet6{
      .family = AddressFamily::kInet6, .host = "fe80::1", .port = 1, .flowinfo = 0x12345, .scope_id = 3, .path = {}};
  EXPECT_EQ(RoundTrip(inet6), inet6);
}

TEST(RawAddress, RoundTripKeepsUnixPaths) {
  for (const std::string& path : {std::string(), std::string("/run/x"), std::string("\0abstract\0name", 14),
                                  std::string("\0", 1), std::string(108, 'p'), std::string("\xff\xfe")}) {
    EXPECT_EQ(RoundTrip(UnixAddress(path)), UnixAddress(path));
  }
}

TEST(RawAddress, PathThatTheKernelEndedWithAZeroLosesIt) {
  RawAddress raw = ToRawAddress(UnixAddress("/run/x")).value();
  EXPECT_EQ(FromRawAddress(raw.get(), raw.length + 1), UnixAddress("/run/x"));
}

TEST(RawAddress, BadHostsAreInvalidHost) {
  for (const char* host : {"", "localhost", "1.2.3", "1.2.3.4.5", "::1", "127.0.0.1 "}) {
    EXPECT_THAT(ToRawAddress({.family = AddressFamily::kInet, .host = host, .path = {}}), HasReason("INVALID_HOST"))
        << host;
  }
  EXPECT_THAT(ToRawAddress({.family = AddressFamily::kInet6, .host = "127.0.0.1", .path = {}}),
              HasReason("INVALID_HOST"));
  EXPECT_THAT(ToRawAddress(SocketAddress()), HasReason("INVALID_FAMILY"));
}

TEST(RawAddress, BadPathsAreInvalidPath) {
  EXPECT_THAT(ToRawAddress(UnixAddress(std::string(109, 'p'))), HasReason("INVALID_PATH"));
  EXPECT_THAT(ToRawAddress(UnixAddress(std::string("a\0b", 3))), HasReason("INVALID_PATH"));
}

TEST(RawAddress, TooShortOrUnknownIsUnspecified) {
  RawAddress raw = ToRawAddress({.family = AddressFamily::kInet, .host = "127.0.0.1", .path = {}}).value();
  EXPECT_EQ(FromRawAddress(raw.get(), 0), SocketAddress());
  EXPECT_EQ(FromRawAddress(raw.get(), 4), SocketAddress());
  raw.storage.ss_family = AF_PACKET;
  EXPECT_EQ(FromRawAddress(raw.get(), raw.length), SocketAddress());
}

TEST(AddressFamilyNumber, RoundTrips) {
  for (AddressFamily family :
       {AddressFamily::kUnspecified, AddressFamily::kInet, AddressFamily::kInet6, AddressFamily::kUnix}) {
    EXPECT_EQ(AddressFamilyFromNumber(AddressFamilyToNumber(family)), family);
  }
  EXPECT_EQ(AddressFamilyFromNumber(AF_PACKET), AddressFamily::kUnspecified);
}

TEST(GetSockname, BothEndsAgree) {
  for (AddressFamily family : {AddressFamily::kInet, AddressFamily::kInet6}) {
    if (!RawListener(family).valid()) continue;
    TcpPair pair = MakeTcpPair(family);
    EXPECT_EQ(GetSockname(pair.first.get()).value(), GetPeername(pair.second.get()).value());
    EXPECT_EQ(GetSockname(pair.first.get())->family, family);
  }
}

TEST(GetPeername, UnconnectedSocketIsEnotconn) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_THAT(GetPeername(fd.get()), HasReason("ENOTCONN"));
  EXPECT_THAT(GetSockname(-1), HasReason("EBADF"));
}

}  // namespace
}  // namespace transportd
