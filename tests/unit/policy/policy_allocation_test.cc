#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "server/policy/policy.h"

namespace {

thread_local size_t allocation_count = 0;

}  // namespace

// Those that others call are made of these. GCC, which would see through them, takes the pairs for mismatched.
[[gnu::noinline]] void* operator new(size_t size_bytes) {
  ++allocation_count;
  void* const memory = std::malloc(size_bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t /*size_bytes*/) noexcept { std::free(memory); }

namespace transportd {
namespace {

TEST(PolicyAllocation, DatagramsThatAreAllowedAllocateNothing) {
  v1::Policy message;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
      version: "v1"
      role { name: "a" connect { name: "other" protocols: UDP to { hosts: "*.a.very.long.name.of.a.host.example" any_port: true } } }
      role { name: "b"
             connect { name: "names" protocols: UDP to { hosts: "*.another.long.name.of.a.host.example" classes: PRIVATE any_port: true } }
             listen { name: "in" protocols: UDP on { classes: LOOPBACK any_port: true } peers { cidrs: "fe80::/10" } } }
      binding { role: "a" principals: "*" }
      binding { role: "b" principals: ["spiffe://example.org/ns/lab/*", "spiffe://example.org/ns/lab/sa/one"] }
      deny { name: "d" connect { cidrs: "10.9.0.0/16" hosts: "*.a.denied.name.that.is.long.example" } })",
                                                            &message));
  SelfAddresses self;
  self.AddOwnPort(50051, ActionProtocol::kUdp);
  const auto policy = Policy::Compile(message, self);
  ASSERT_TRUE(policy.ok());
  const SocketAddress peer = {.family = AddressFamily::kInet, .host = "10.1.2.3", .port = 53};
  const Action send = {.kind = ActionKind::kSend,
                       .protocol = ActionProtocol::kUdp,
                       .address = &peer,
                       .host = "db.another.long.name.of.a.host.example"};
  const SocketAddress neighbour = {
      .family = AddressFamily::kInet6, .host = "fe80::ffff:eeee:dddd:cccc%2", .port = 53, .scope_id = 2};
  const SocketAddress local = {.family = AddressFamily::kInet6, .host = "::1", .port = 53};
  const Action receive = {
      .kind = ActionKind::kReceive, .protocol = ActionProtocol::kUdp, .address = &neighbour, .local = &local};
  for (const char* principal : {"spiffe://example.org/ns/lab/sa/one", "spiffe://example.org/ns/lab/sa/two"}) {
    const size_t before = allocation_count;
    const Decision sent = (*policy)->Decide(principal, send);
    const Decision received = (*policy)->Decide(principal, receive);
    EXPECT_EQ(allocation_count, before) << principal;
    EXPECT_EQ(sent.rule, "b/names");
    EXPECT_EQ(received.rule, "b/in");
    EXPECT_TRUE(sent.allowed && received.allowed);
  }
}

}  // namespace
}  // namespace transportd
