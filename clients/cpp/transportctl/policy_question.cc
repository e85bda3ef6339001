#include "clients/cpp/transportctl/policy_question.h"

#include <memory>
#include <optional>
#include <utility>

#include "server/policy/ip_address.h"
#include "server/policy/policy_file.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

std::vector<std::string_view> ViewsOf(const std::vector<std::string>& texts) { return {texts.begin(), texts.end()}; }

// An action for as long as its question lives. Threading: a value.
struct Asked {
  explicit Asked(const PolicyQuestion& question)
      : args(ViewsOf(question.args)), env_names(ViewsOf(question.env_names)) {
    action.kind = question.kind;
    action.protocol = question.protocol;
    action.address = &question.address;
    action.local = question.local.family == AddressFamily::kUnspecified ? nullptr : &question.local;
    action.host = question.host;
    action.path = question.path;
    action.use = question.use;
    action.args = args;
    action.env_names = env_names;
    action.folder = question.folder;
    action.name = question.name;
  }
  Asked(const Asked&) = delete;
  Asked& operator=(const Asked&) = delete;

  std::vector<std::string_view> args;
  std::vector<std::string_view> env_names;
  Action action;
};

std::string_view UseText(PathUse use) {
  switch (use) {
    case PathUse::kConnect:
      return "connect";
    case PathUse::kListen:
      return "listen";
    case PathUse::kRead:
      return "read";
    case PathUse::kWrite:
      return "write";
    case PathUse::kNone:
      break;
  }
  return "use";
}

}  // namespace

Decision PolicyQuestion::Ask(const Policy& policy, std::string_view principal) const {
  const Asked asked(*this);
  return policy.Decide(principal, asked.action);
}

std::vector<PortRange> PolicyQuestion::Ports(const Policy& policy, std::string_view principal) const {
  const Asked asked(*this);
  return policy.PortsFor(principal, asked.action);
}

std::string PolicyQuestion::ToString() const {
  const std::string named = host.empty() ? "" : StrCat(" (", host, ")");
  std::string words;
  for (const std::string& arg : args) words += StrCat(" ", arg);
  switch (kind) {
    case ActionKind::kSession:
      return "session";
    case ActionKind::kConnect:
      return StrCat("connect ", address.ToString(), named);
    case ActionKind::kSend:
      return StrCat("send to ", address.ToString(), named);
    case ActionKind::kListen:
      return StrCat(protocol == ActionProtocol::kUdp ? "listen (UDP) " : "listen ", address.ToString());
    case ActionKind::kAccept:
      return StrCat("accept ", address.ToString(), " at ", local.ToString());
    case ActionKind::kReceive:
      return StrCat("receive from ", address.ToString(), " at ", local.ToString());
    case ActionKind::kResolve:
      return StrCat("resolve ", host);
    case ActionKind::kRun:
      return StrCat("run ", path, asked_path.empty() ? "" : StrCat(" (", asked_path, ")"), words);
    case ActionKind::kPath:
      return StrCat("path ", UseText(use), " ", path);
    case ActionKind::kOption:
      return StrCat("option ", name);
    case ActionKind::kTls:
      return StrCat("tls ", name);
    case ActionKind::kAdmin:
      return StrCat("admin ", name);
  }
  return "";
}

absl::StatusOr<SocketAddress> ParseNumericAddress(std::string_view text, uint32_t port) {
  SocketAddress address;
  address.family = text.find(':') == std::string_view::npos ? AddressFamily::kInet : AddressFamily::kInet6;
  address.host = std::string(text);
  if (!IpAddress::From(address)) {
    return absl::InvalidArgumentError(ToAbsl(StrCat("`", text, "` is no address; write 10.1.2.3 or fd00::1")));
  }
  if (port > 65535) {
    return absl::InvalidArgumentError(ToAbsl(StrCat("the port is ", port, "; it must be 0 to 65535")));
  }
  address.port = static_cast<uint16_t>(port);
  return address;
}

absl::StatusOr<std::shared_ptr<const Policy>> LoadPolicy(const std::string& path,
                                                         const std::vector<uint16_t>& own_ports) {
  absl::StatusOr<v1::Policy> policy = ReadPolicyFile(path);
  if (!policy.ok()) return policy.status();
  SelfAddresses self;
  for (const uint16_t port : own_ports) self.AddOwnPort(port, ActionProtocol::kTcp);
  return Policy::Compile(*std::move(policy), std::move(self));
}

}  // namespace transportd::ctl
