#include "server/policy/request_check.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/policy/ip_address.h"
#include "transportd/v1/datagram.pb.h"
#include "transportd/v1/event_loop.pb.h"
#include "transportd/v1/socket.pb.h"
#include "transportd/v1/subprocess.pb.h"
#include "transportd/v1/tls.pb.h"
#include "transportd/v1/transport.pb.h"
#include "transportd/v1/unix.pb.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using google::protobuf::Message;

// Null when it is another message.
template <typename T>
const T* As(const Message& request) {
  return request.GetDescriptor() == T::descriptor() ? static_cast<const T*>(&request) : nullptr;
}

// Of one request.
class NeedsCollector {
 public:
  void Name(std::string_view host) {
    const std::string_view name = NameIn(host);
    if (!name.empty()) needs_.push_back({ActionKind::kResolve, std::string(name)});
  }
  void Option(std::string_view name) { needs_.push_back({ActionKind::kOption, std::string(name)}); }
  void OptionIf(bool wanted, std::string_view name) {
    if (wanted) Option(name);
  }
  void Tls(const v1::TlsOptions& tls, bool is_client) {
    if (is_client && tls.verify_mode() == v1::TLS_VERIFY_MODE_NONE) TlsSetting("unverified");
    if (is_client && tls.has_trust_roots_pem()) TlsSetting("own_trust");
    if (!tls.identity().empty()) TlsSetting(StrCat("identity:", tls.identity()));
  }

  std::vector<Need> Take() { return std::move(needs_); }

 private:
  void TlsSetting(std::string name) { needs_.push_back({ActionKind::kTls, std::move(name)}); }

  std::vector<Need> needs_;
};

constexpr std::string_view kShell = "/bin/sh";  // What subprocess_shell runs, and argv[0].

std::string_view LastComponent(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// Of one request: the first refusal.
class Check {
 public:
  Check(SessionGuard& guard, std::string_view method) : guard_(guard), method_(method) {}

  void Needs(const Message& request) {
    for (const Need& need : NeedsIn(request)) Ask(ActionOf(need));
  }
  void Exec(const v1::SubprocessExecRequest& exec) {
    const v1::SubprocessOptions& options = exec.options();
    const std::string& executable = options.has_executable() ? options.executable() : exec.program();
    const bool is_named =
        exec.program() == executable || (options.has_executable() && exec.program() == LastComponent(executable));
    // Programs take what they are from argv[0]: a login shell (`-dash`), another one of several in a file. Where a link
    // leads is for the gate to say: IsNameOfProgram.
    const bool is_login_shell = exec.program().starts_with('-');
    Program(options, is_named && !is_login_shell, executable, exec.program(), {exec.args().begin(), exec.args().end()});
  }
  void Shell(const v1::SubprocessShellRequest& shell) {
    const v1::SubprocessOptions& options = shell.options();
    const std::string_view executable = options.has_executable() ? std::string_view(options.executable()) : kShell;
    const bool is_named = LastComponent(executable) == LastComponent(kShell);
    Program(options, is_named, executable, shell.cmd(), {"-c", shell.cmd()});
  }

  absl::Status status() const { return status_; }

 private:
  // Asks about what no grant allows, so that it is recorded; what may be granted is the gate's.
  void Program(const v1::SubprocessOptions& options, bool is_named, std::string_view executable,
               std::string_view requested, const std::vector<std::string_view>& args) {
    const bool has_account = options.has_user() || options.has_group() || options.has_extra_groups();
    if (is_named && !has_account) return;
    std::vector<std::string_view> env_names;
    for (const v1::EnvironmentVariable& variable : options.env().variables()) env_names.push_back(variable.name());
    Action action;
    action.kind = ActionKind::kRun;
    action.never = has_account ? NeverToRun::kAccount : NeverToRun::kName;
    action.path = executable;
    action.name = requested;
    action.args = args;
    action.env_names = env_names;
    action.folder = options.cwd();
    Ask(action);
  }
  void Ask(const Action& action) {
    if (status_.ok()) status_ = guard_.Check(method_, action);
  }

  SessionGuard& guard_;
  const std::string_view method_;
  absl::Status status_;
};

// `SO_KEEPALIVE`; a number that is no option is refused by who carries it out.
std::string OptionName(v1::SocketOption option) {
  constexpr std::string_view kPrefix = "SOCKET_OPTION_";
  const std::string& name = v1::SocketOption_Name(option);
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
}

// What a name server is asked for the name of an address (RFC 1035, section 3.5; RFC 3596, section 2.5); empty: it is
// none.
std::string ReverseName(std::string_view host) {
  // A scope names no other name.
  const std::optional<IpAddress> address = IpAddress::Parse(host.substr(0, host.find('%')));
  if (!address) return {};
  std::string name;
  if (address->is_v4) {
    for (int shift = 0; shift < 32; shift += 8) name += StrCat(address->low >> shift & 0xff, ".");
    return name + "in-addr.arpa";
  }
  for (const uint64_t half : {address->low, address->high}) {
    for (int shift = 0; shift < 64; shift += 4) name += {"0123456789abcdef"[half >> shift & 0xf], '.'};
  }
  return name + "ip6.arpa";
}

}  // namespace

std::string_view NameIn(std::string_view host) {
  const std::string text(host.substr(0, host.find('%')));
  in_addr v4{};
  in6_addr v6{};
  if (host.empty() || inet_pton(AF_INET6, text.c_str(), &v6) == 1) return {};
  // getaddrinfo takes no scope behind IPv4, and nothing behind a blank, where inet_aton stops reading: all that is a
  // name.
  const bool is_whole = text.size() == host.size() && host.find_first_of(" \t\n\v\f\r") == std::string_view::npos;
  if (is_whole && inet_aton(text.c_str(), &v4) != 0) return {};
  return host;
}

std::vector<Need> NeedsIn(const Message& request) {
  NeedsCollector needs;
  if (const auto* connection = As<v1::CreateConnectionRequest>(request)) {
    needs.Name(connection->remote().host());
    needs.Name(connection->local().host());
    if (connection->has_tls()) needs.Tls(connection->tls(), /*is_client=*/true);
  } else if (const auto* server = As<v1::CreateServerRequest>(request)) {
    for (const std::string& host : server->hosts()) needs.Name(host);
    needs.OptionIf(server->reuse_port(), "SO_REUSEPORT");
    if (server->has_tls()) needs.Tls(server->tls(), /*is_client=*/false);
  } else if (const auto* endpoint = As<v1::CreateDatagramEndpointRequest>(request)) {
    needs.Name(endpoint->local().host());
    needs.Name(endpoint->remote().host());
    needs.OptionIf(endpoint->reuse_port(), "SO_REUSEPORT");
    needs.OptionIf(endpoint->allow_broadcast(), "SO_BROADCAST");
  } else if (const auto* unix_connection = As<v1::CreateUnixConnectionRequest>(request)) {
    if (unix_connection->has_tls()) needs.Tls(unix_connection->tls(), /*is_client=*/true);
  } else if (const auto* unix_server = As<v1::CreateUnixServerRequest>(request)) {
    if (unix_server->has_tls()) needs.Tls(unix_server->tls(), /*is_client=*/false);
  } else if (const auto* accepted = As<v1::ConnectAcceptedSocketRequest>(request)) {
    if (accepted->has_tls()) needs.Tls(accepted->tls(), accepted->client_side());
  } else if (const auto* start_tls = As<v1::StartTlsRequest>(request)) {
    needs.Tls(start_tls->tls(), !start_tls->server_side());
  } else if (const auto* setsockopt = As<v1::SetsockoptRequest>(request)) {
    needs.Option(OptionName(setsockopt->option()));
  } else if (As<v1::JoinGroupRequest>(request) != nullptr) {
    needs.Option(kMembershipOption);
  } else if (const auto* getaddrinfo = As<v1::GetaddrinfoRequest>(request)) {
    needs.Name(getaddrinfo->host());
  } else if (const auto* getnameinfo = As<v1::GetnameinfoRequest>(request)) {
    if ((getnameinfo->flags() & NI_NUMERICHOST) == 0) needs.Name(ReverseName(getnameinfo->address().host()));
  }
  return needs.Take();
}

Action ActionOf(const Need& need) {
  Action action;
  action.kind = need.kind;
  (need.kind == ActionKind::kResolve ? action.host : action.name) = need.name;
  return action;
}

absl::Status CheckRequest(SessionGuard& guard, std::string_view method, const Message& request) {
  Check check(guard, method);
  check.Needs(request);
  if (const auto* exec = As<v1::SubprocessExecRequest>(request)) check.Exec(*exec);
  if (const auto* shell = As<v1::SubprocessShellRequest>(request)) check.Shell(*shell);
  return check.status();
}

}  // namespace transportd
