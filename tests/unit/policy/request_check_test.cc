#include "server/policy/request_check.h"

#include <netdb.h>

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
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

using testing::ElementsAre;
using testing::IsEmpty;

// Remembers which names it was asked about; allows none but `allowed`.
class NameGuard final : public SessionGuard {
 public:
  absl::Status Check(std::string_view /*method*/, const Action& action) override {
    if (action.kind == ActionKind::kRun) {
      never.push_back(action.never);
      return MakeError(absl::StatusCode::kPermissionDenied, "POLICY_DENIED", "never");
    }
    EXPECT_EQ(action.kind, ActionKind::kResolve);
    asked.emplace_back(action.host);
    return action.host == "allowed" ? absl::OkStatus()
                                    : MakeError(absl::StatusCode::kPermissionDenied, "POLICY_DENIED", "not this");
  }
  absl::StatusOr<std::shared_ptr<OperationGate>> Begin(GuardedOperation /*operation*/) override {
    return std::shared_ptr<OperationGate>();
  }
  absl::StatusOr<std::shared_ptr<void>> TakeTransport() override { return std::shared_ptr<void>(); }
  bool StillAllows(const Action& /*action*/) const override { return true; }
  Bounds GetBounds() const override { return {}; }
  void SetBufferedBytes(uint64_t /*bytes*/) override {}
  uint64_t PrincipalBufferedBytes() const override { return 0; }
  void Closed(std::string_view /*cause*/, bool /*expired*/) override {}

  std::vector<std::string> asked;
  std::vector<NeverToRun> never;
};

TEST(NameIn, NumbersAreWhatGetaddrinfoTakesForOne) {
  for (const char* host : {"127.0.0.1",
                           "0",
                           "127.1",
                           "0x7f000001",
                           "2130706433",
                           "0177.0.0.1",
                           "0x7F.1",
                           "::",
                           "::1",
                           "::ffff:10.0.0.1",
                           "64:ff9b::a9fe:a9fe",
                           "fe80::1%lo",
                           "fe80::1%1",
                           "",
                           "a.test",
                           "1.2.3.4.test",
                           "1.2.3.4%a.test",
                           "1.2.3.4%",
                           "1%a",
                           "1.2.3.4 a.test",
                           "127.1 ",
                           "1.2.3.4\ta",
                           " 1.2.3.4",
                           "1.2.3.4\n",
                           "256.1.1.1",
                           "1.2.3.4.5",
                           "0x",
                           "08",
                           "a%b",
                           "%",
                           " ",
                           "-1",
                           "1.2.3.4."}) {
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICHOST;
    addrinfo* list = nullptr;
    const bool is_number = *host == '\0' || ::getaddrinfo(host, nullptr, &hints, &list) == 0;
    if (list != nullptr) ::freeaddrinfo(list);
    EXPECT_EQ(NameIn(host), is_number ? std::string_view() : std::string_view(host)) << host;
  }
  // The kernel knows no such interface; no name server is asked about it either.
  EXPECT_EQ(NameIn("fe80::1%nosuch"), "");
}

// As `tls:unverified`, `option:SO_KEEPALIVE`.
std::vector<std::string> SettingNames(const google::protobuf::Message& request) {
  std::vector<std::string> names;
  for (const Need& setting : NeedsIn(request)) {
    const Action action = ActionOf(setting);
    EXPECT_EQ(action.kind, setting.kind);
    names.push_back(StrCat(action.kind == ActionKind::kTls ? "tls:" : "option:", action.name));
  }
  return names;
}

v1::TlsOptions Tls() {
  v1::TlsOptions tls;
  tls.set_verify_mode(v1::TLS_VERIFY_MODE_NONE);
  tls.set_trust_roots_pem("pem");
  tls.set_identity("a");
  return tls;
}

TEST(NeedsIn, TlsOfClients) {
  v1::CreateConnectionRequest connection;
  EXPECT_THAT(SettingNames(connection), IsEmpty());
  *connection.mutable_tls() = Tls();
  v1::CreateUnixConnectionRequest unix_connection;
  *unix_connection.mutable_tls() = Tls();
  v1::ConnectAcceptedSocketRequest client_side;
  client_side.set_client_side(true);
  *client_side.mutable_tls() = Tls();
  v1::StartTlsRequest start_tls;
  *start_tls.mutable_tls() = Tls();
  for (const google::protobuf::Message* const request : std::initializer_list<const google::protobuf::Message*>{
           &connection, &unix_connection, &client_side, &start_tls}) {
    EXPECT_THAT(SettingNames(*request), ElementsAre("tls:unverified", "tls:own_trust", "tls:identity:a"))
        << request->GetTypeName();
  }
  connection.mutable_tls()->Clear();
  EXPECT_THAT(SettingNames(connection), IsEmpty());
}

// Whether its clients have certificates, and of whom, is the server's own affair.
TEST(NeedsIn, TlsOfServers) {
  v1::CreateServerRequest server;
  *server.mutable_tls() = Tls();
  v1::CreateUnixServerRequest unix_server;
  *unix_server.mutable_tls() = Tls();
  v1::ConnectAcceptedSocketRequest server_side;
  *server_side.mutable_tls() = Tls();
  v1::StartTlsRequest start_tls;
  start_tls.set_server_side(true);
  *start_tls.mutable_tls() = Tls();
  for (const google::protobuf::Message* const request :
       std::initializer_list<const google::protobuf::Message*>{&server, &unix_server, &server_side, &start_tls}) {
    EXPECT_THAT(SettingNames(*request), ElementsAre("tls:identity:a")) << request->GetTypeName();
  }
}

TEST(NeedsIn, SocketOptions) {
  v1::CreateServerRequest server;
  server.set_reuse_port(true);
  EXPECT_THAT(SettingNames(server), ElementsAre("option:SO_REUSEPORT"));
  v1::CreateDatagramEndpointRequest endpoint;
  EXPECT_THAT(SettingNames(endpoint), IsEmpty());
  endpoint.set_reuse_port(true);
  endpoint.set_allow_broadcast(true);
  EXPECT_THAT(SettingNames(endpoint), ElementsAre("option:SO_REUSEPORT", "option:SO_BROADCAST"));
  v1::SetsockoptRequest setsockopt;
  setsockopt.set_option(v1::SOCKET_OPTION_TCP_NODELAY);
  EXPECT_THAT(SettingNames(setsockopt), ElementsAre("option:TCP_NODELAY"));
  EXPECT_THAT(SettingNames(v1::JoinGroupRequest()), ElementsAre("option:IP_ADD_MEMBERSHIP"));
  EXPECT_THAT(SettingNames(v1::LeaveGroupRequest()), IsEmpty());
}

TEST(CheckRequest, EveryNameIsAskedAboutUntilOneIsRefused) {
  NameGuard guard;
  v1::CreateServerRequest server;
  for (const char* host : {"allowed", "127.0.0.1", "other", "third"}) server.add_hosts(host);
  EXPECT_THAT(CheckRequest(guard, "m", server), HasReason("POLICY_DENIED"));
  EXPECT_THAT(guard.asked, ElementsAre("allowed", "other"));
}

TEST(CheckRequest, NameOfAnAddressIsWhatANameServerIsAsked) {
  const auto asked_for = [](const std::string& host, int flags) {
    NameGuard guard;
    v1::GetnameinfoRequest request;
    request.mutable_address()->set_host(host);
    request.set_flags(flags);
    const bool is_allowed = CheckRequest(guard, "m", request).ok();
    EXPECT_EQ(is_allowed, guard.asked.empty());
    return guard.asked;
  };
  EXPECT_THAT(asked_for("169.254.10.1", 0), ElementsAre("1.10.254.169.in-addr.arpa"));
  EXPECT_THAT(asked_for("::ffff:169.254.10.1", NI_NAMEREQD), ElementsAre("1.10.254.169.in-addr.arpa"));
  EXPECT_THAT(asked_for("2001:db8::567:89ab", NI_NUMERICSERV),
              ElementsAre("b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"));
  EXPECT_THAT(asked_for("169.254.10.1", NI_NUMERICHOST), IsEmpty());
  EXPECT_THAT(asked_for("no address", 0), IsEmpty());
}

// A refusal is the guard's, which records it.
template <typename Request>
absl::Status CheckProgram(const Request& request, NeverToRun never = NeverToRun::kName) {
  NameGuard guard;
  absl::Status status = CheckRequest(guard, "m", request);
  EXPECT_EQ(guard.never, status.ok() ? std::vector<NeverToRun>() : std::vector<NeverToRun>{never});
  return status;
}

// Of an executable; null: none is given.
absl::Status CheckExec(const std::string& program, const char* executable) {
  v1::SubprocessExecRequest request;
  request.set_program(program);
  if (executable != nullptr) request.mutable_options()->set_executable(executable);
  return CheckProgram(request);
}

TEST(CheckRequest, AProgramIsCalledWhatItsExecutableIs) {
  for (const char* program : {"/usr/bin/dash", "dash", "", "x/-dash"}) EXPECT_THAT(CheckExec(program, nullptr), IsOk());
  for (const char* name : {"/usr/bin/dash", "dash"}) EXPECT_THAT(CheckExec(name, "/usr/bin/dash"), IsOk()) << name;
  EXPECT_THAT(CheckExec("dash", "dash"), IsOk());
  EXPECT_THAT(CheckExec("", ""), IsOk());
  for (const char* name : {"-dash", "", "sh", "/bin/dash", "bin/dash", "/usr/bin/dash/", "/usr/bin", "dash "}) {
    const absl::Status status = CheckExec(name, "/usr/bin/dash");
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << name;
    EXPECT_THAT(status, HasReason("POLICY_DENIED")) << name;
  }
  EXPECT_THAT(CheckExec("dash", ""), HasReason("POLICY_DENIED"));
}

// argv[0] is /bin/sh.
TEST(CheckRequest, AShellIsCalledSh) {
  const auto check = [](const char* executable) {
    v1::SubprocessShellRequest request;
    if (executable != nullptr) request.mutable_options()->set_executable(executable);
    return CheckProgram(request);
  };
  for (const char* executable : {"/bin/sh", "sh", "/srv/sh"}) EXPECT_THAT(check(executable), IsOk()) << executable;
  EXPECT_THAT(check(nullptr), IsOk());
  for (const char* executable : {"/usr/bin/busybox", "/usr/bin/dash", "", "/bin/sh/", "-sh"}) {
    EXPECT_THAT(check(executable), HasReason("POLICY_DENIED")) << executable;
  }
}

// A link of that name would make the shell that it leads to a login shell.
TEST(CheckRequest, NoProgramIsCalledAsALoginShellIs) {
  EXPECT_THAT(CheckExec("-dash", nullptr), HasReason("POLICY_DENIED"));
  EXPECT_THAT(CheckExec("-dash", "-dash"), HasReason("POLICY_DENIED"));
  EXPECT_THAT(CheckExec("-dash", "/srv/-dash"), HasReason("POLICY_DENIED"));
  EXPECT_THAT(CheckExec("/srv/-dash", "/srv/-dash"), IsOk());
}

TEST(CheckRequest, NoProgramIsOfAnotherUserOrGroup) {
  v1::SubprocessOptions user;
  user.mutable_user()->set_id(0);
  v1::SubprocessOptions group;
  group.mutable_group()->set_name("adm");
  v1::SubprocessOptions groups;
  groups.mutable_extra_groups();
  for (const v1::SubprocessOptions& options : {user, group, groups}) {
    v1::SubprocessExecRequest exec;
    exec.set_program("/usr/bin/id");
    *exec.mutable_options() = options;
    EXPECT_THAT(CheckProgram(exec, NeverToRun::kAccount), HasReason("POLICY_DENIED"));
    v1::SubprocessShellRequest shell;
    *shell.mutable_options() = options;
    EXPECT_THAT(CheckProgram(shell, NeverToRun::kAccount), HasReason("POLICY_DENIED"));
  }
}

}  // namespace
}  // namespace transportd
