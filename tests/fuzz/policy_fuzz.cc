// Policies as files and as messages: what is read and found valid compiles, and decides by its own rules.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/policy/policy.h"
#include "server/policy/policy_file.h"
#include "transports/base/check.h"

namespace transportd::fuzz {
namespace {

SocketAddress AddressOf(std::string_view host, uint16_t port) {
  SocketAddress address;
  address.family = host.find(':') == std::string_view::npos ? AddressFamily::kInet : AddressFamily::kInet6;
  address.host = std::string(host);
  address.port = port;
  return address;
}

void CheckDecision(const Decision& decision) {
  CHECK(!decision.rule.empty());
  const bool is_refusal = decision.rule.starts_with("builtin/") || decision.rule.starts_with("deny/");
  CHECK(decision.allowed != is_refusal);
}

// Does a grant name one of the classes that only their names open?
bool NamesClass(const v1::Policy& policy, v1::AddressClass::Value address_class) {
  const auto has = [&](const v1::AddressSet& set) {
    return std::find(set.classes().begin(), set.classes().end(), address_class) != set.classes().end();
  };
  for (const v1::Role& role : policy.role()) {
    for (const v1::ConnectGrant& grant : role.connect()) {
      if (has(grant.to())) return true;
    }
    for (const v1::ListenGrant& grant : role.listen()) {
      if (has(grant.on()) || has(grant.peers())) return true;
    }
  }
  return false;
}

void AskEverything(const Policy& policy, std::string_view principal) {
  const v1::Policy& message = policy.message();
  std::vector<std::string_view> hosts = {"127.0.0.1", "0.0.0.0", "::", "169.254.169.254", "64:ff9b::a9fe:a9fe",
                                         "10.1.2.3",  "8.8.8.8", "",   "nonsense"};
  std::vector<std::string_view> names = {"", "db.lab.example"};
  std::vector<std::string_view> paths = {"", "/", "/bin/sh", "/bin/../x", "@x", "fd:3"};
  for (const v1::Role& role : message.role()) {
    for (const v1::ConnectGrant& grant : role.connect()) {
      for (const std::string& cidr : grant.to().cidrs()) {
        hosts.push_back(std::string_view(cidr).substr(0, cidr.find('/')));
      }
      for (const std::string& host : grant.to().hosts()) names.push_back(host);
    }
    for (const v1::RunGrant& grant : role.run()) paths.push_back(grant.program());
    for (const v1::PathGrant& grant : role.path())
      paths.insert(paths.end(), grant.paths().begin(), grant.paths().end());
  }
  hosts.resize(std::min<size_t>(hosts.size(), 16));
  names.resize(std::min<size_t>(names.size(), 6));
  paths.resize(std::min<size_t>(paths.size(), 16));
  const SocketAddress local = AddressOf("127.0.0.1", 20000);
  for (const std::string_view host : hosts) {
    for (const uint16_t port : {uint16_t{0}, uint16_t{443}, uint16_t{50051}}) {
      const SocketAddress address = AddressOf(host, port);
      for (const std::string_view name : names) {
        for (const ActionKind kind : {ActionKind::kConnect, ActionKind::kSend, ActionKind::kListen, ActionKind::kAccept,
                                      ActionKind::kReceive}) {
          Action action;
          action.kind = kind;
          action.protocol = ActionProtocol::kTcp;
          action.address = &address;
          action.local = &local;
          action.host = name;
          const Decision decision = policy.Decide(principal, action);
          CheckDecision(decision);
          if (decision.allowed && decision.address_class == AddressClass::kMetadata && kind != ActionKind::kAccept &&
              kind != ActionKind::kReceive) {
            CHECK(NamesClass(message, v1::AddressClass::METADATA));
          }
          if (decision.allowed && decision.address_class == AddressClass::kSelf) {
            CHECK(NamesClass(message, v1::AddressClass::SELF));
          }
          if (kind != ActionKind::kListen) continue;
          for (const PortRange& range : policy.PortsFor(principal, action))
            CHECK(range.first >= 1 && range.first <= range.last);
        }
      }
    }
  }
  const std::vector<std::string_view> args = {"-c", "\xff"};
  for (const std::string_view path : paths) {
    for (const ActionKind kind : {ActionKind::kRun, ActionKind::kPath}) {
      Action action;
      action.kind = kind;
      action.path = path;
      action.use = PathUse::kRead;
      action.args = args;
      CheckDecision(policy.Decide(principal, action));
    }
  }
  for (const std::string_view name : names) {
    for (const ActionKind kind :
         {ActionKind::kSession, ActionKind::kResolve, ActionKind::kOption, ActionKind::kTls, ActionKind::kAdmin}) {
      Action action;
      action.kind = kind;
      action.host = name;
      action.name = name;
      CheckDecision(policy.Decide(principal, action));
    }
  }
}

// The first byte says what the rest is: 0 a message, all else a file's text with it.
void TestOneInput(std::string_view input) {
  if (input.empty()) return;
  v1::Policy message;
  if (input.front() == '\0') {
    input.remove_prefix(1);
    if (!message.ParseFromArray(input.data(), static_cast<int>(input.size()))) return;
    if (!ValidatePolicy(message).ok()) return;
  } else {
    auto read = ReadPolicy(input, "fuzz");
    if (!read.ok()) {
      CHECK(!read.status().message().empty());
      return;
    }
    message = *std::move(read);
  }
  SelfAddresses self;
  self.AddOwnPort(50051, ActionProtocol::kTcp);
  const auto policy = Policy::Compile(message, self);
  CHECK(policy.ok());
  AskEverything(**policy, "spiffe://example.org/ns/lab/sa/ci");
  CHECK(!(*policy)->Decide("", Action()).allowed);
  for (const v1::Binding& binding : message.binding()) {
    if (binding.principals(0).front() != '*') AskEverything(**policy, binding.principals(0));
    break;
  }
}

}  // namespace
}  // namespace transportd::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  transportd::fuzz::TestOneInput({reinterpret_cast<const char*>(data), size});
  return 0;
}
