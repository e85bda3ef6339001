// Addresses as texts and as bits: whatever the spelling, the class is that of the bits.
#include <arpa/inet.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "server/policy/address_class.h"
#include "transports/base/check.h"

namespace transportd::fuzz {
namespace {

SelfAddresses Self() {
  SelfAddresses self;
  self.AddOwnPort(50051, ActionProtocol::kTcp);
  self.AddLocal(*IpAddress::Parse("10.1.2.3"));
  self.Add(*IpAddress::Parse("10.96.0.1"), 443, ActionProtocol::kTcp);
  return self;
}

AddressClass ClassOf(const IpAddress& address, uint16_t port) {
  static const auto& self = *new SelfAddresses(Self());
  return Classify(address, port, ActionProtocol::kTcp, self);
}

void CheckText(std::string_view text) {
  const std::string host(text);
  for (const AddressFamily family : {AddressFamily::kInet, AddressFamily::kInet6}) {
    SocketAddress address;
    address.family = family;
    address.host = host;
    address.port = 50051;
    const auto ip = IpAddress::From(address);
    CHECK((Classify(address, ActionProtocol::kTcp, SelfAddresses()) == AddressClass::kNone) == !ip);
    if (!ip || text.find('%') != std::string_view::npos) continue;
    // What is no wildcard of the policy's is none of the kernel's.
    unsigned char bytes[16];
    CHECK(::inet_pton(family == AddressFamily::kInet ? AF_INET : AF_INET6, host.c_str(), bytes) == 1);
  }
  const auto network = IpNetwork::Parse(text);
  if (!network) return;
  CHECK(network->Contains(network->address));
  CHECK(network->prefix_bits >= 0 && network->prefix_bits <= (network->address.is_v4 ? 32 : 128));
}

void CheckBits(const unsigned char (&bytes)[16], uint16_t port) {
  char text[INET6_ADDRSTRLEN];
  CHECK(::inet_ntop(AF_INET6, bytes, text, sizeof(text)) != nullptr);
  const auto v6 = IpAddress::Parse(text);
  CHECK(v6.has_value());
  const AddressClass class_v6 = ClassOf(*v6, port);
  CHECK(class_v6 != AddressClass::kNone);
  // One outside 2000::/3 and all that is listed is never the Internet.
  if (!v6->is_v4 && bytes[0] >> 5 != 1) CHECK(class_v6 != AddressClass::kGlobal);

  CHECK(::inet_ntop(AF_INET, bytes, text, sizeof(text)) != nullptr);
  const auto v4 = IpAddress::Parse(text);
  CHECK(v4 && v4->is_v4);
  const AddressClass class_v4 = ClassOf(*v4, port);
  const std::string dotted = text;
  CHECK(IpAddress::Parse("::ffff:" + dotted) == v4);
  for (const char* prefix : {"64:ff9b::", "64:ff9b:1::", "::ffff:0:", "2001:db9::5efe:", "2001:db9::200:5efe:"}) {
    const auto embedding = IpAddress::Parse(prefix + dotted);
    CHECK(embedding.has_value());
    const AddressClass outer = ClassOf(*embedding, port);
    CHECK(outer != AddressClass::kGlobal);
    if (class_v4 == AddressClass::kMetadata || class_v4 == AddressClass::kSelf) CHECK(outer <= AddressClass::kMetadata);
  }
}

}  // namespace

static void TestOneInput(const uint8_t* data, size_t size) {
  CheckText({reinterpret_cast<const char*>(data), size});
  unsigned char bytes[16] = {};
  std::memcpy(bytes, data, size < 16 ? size : 16);
  CheckBits(bytes, size % 2 == 0 ? 50051 : 443);
}

}  // namespace transportd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  transportd::fuzz::TestOneInput(data, size);
  return 0;
}
