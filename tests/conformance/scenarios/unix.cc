// create_unix_server and create_unix_connection: what is theirs alone. What Unix sockets share with other streams is
// played in the family `unix`.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/conformance/scenarios/scenarios.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd::conformance {

namespace {

// Null when it failed, which goes to `trace`.
std::shared_ptr<Server> ServeUnix(Stage& s, CreateUnixServerOptions options, Trace& trace) {
  const auto server = Await<std::shared_ptr<Server>>(
      s, [&](auto done) { s.loop().CreateUnixServer(s.Factory(), std::move(options), std::move(done)); });
  trace.Add("create_unix_server " + (server.ok() ? "returns" : ToTransportError(server.status()).reason));
  return server.ok() ? *server : nullptr;
}

Tracing& ConnectUnix(Stage& s, const std::string& path, const std::string& name = "client") {
  Tracing& protocol = s.NewProtocol(name);
  const auto connection = Await<Connection>(s, [&](auto done) {
    s.loop().CreateUnixConnection([&] { return protocol.AsProtocol(); }, {.path = path}, std::move(done));
  });
  protocol.Note("create_unix_connection " +
                (connection.ok() ? "returns" : ToTransportError(connection.status()).reason));
  return protocol;
}

// Talks with the server at `path`, then closes both ends and the server.
void TalkAndClose(Stage& s, Server& server, const std::string& path) {
  Tracing& client = ConnectUnix(s, path);
  s.Until([&] { return s.IsMade("server1"); });
  Tracing& accepted = s.Get("server1");
  client.Write("hello");
  s.Until([&] { return accepted.received_bytes() == 5; });
  s.CloseServer(server);
  client.transport().Close();
  s.UntilLost(client);
  s.UntilLost(accepted);
}

// A socket file that nobody listens to any more.
std::string StaleFile(Stage& s) {
  const std::string path = s.PathOf("stale");
  BoundUnixSocket(path).Reset();
  return path;
}

void UnixServerTalks(Stage& s) {
  const std::string path = s.PathOf("socket");
  const auto server = ServeUnix(s, {.path = path}, s.NewTrace("server"));
  TalkAndClose(s, *server, path);
}

void UnixServerTakesAStaleFilesPlace(Stage& s) {
  const std::string path = StaleFile(s);
  const auto server = ServeUnix(s, {.path = path}, s.NewTrace("server"));
  TalkAndClose(s, *server, path);
}

void UnixServerLeavesWhatIsNoSocket(Stage& s) {
  Trace& trace = s.NewTrace("server");
  const std::string path = s.PathOf("file");
  std::ofstream(path) << "content";
  ServeUnix(s, {.path = path}, trace);
  trace.Add(StrCat("exists ", ::access(path.c_str(), F_OK) == 0 ? "True" : "False"));
  ServeUnix(s, {.path = s.PathOf("no-folder") + "/socket"}, trace);
}

void UnixServerStartsServingLater(Stage& s) {
  const std::string path = s.PathOf("socket");
  Trace& trace = s.NewTrace("server");
  const auto server = ServeUnix(s, {.path = path, .backlog = 1, .start_serving = false}, trace);
  trace.Add(StrCat("is_serving ", server->IsServing() ? "True" : "False"));
  ConnectUnix(s, path, "early");
  server->StartServing([&](absl::Status status) {
    trace.Add(StrCat("start_serving ", status.ok() ? "returns" : "fails"));
    s.Changed();
  });
  s.Until([&] { return server->IsServing(); });
  TalkAndClose(s, *server, path);
}

void UnixConnectionFails(Stage& s) {
  ConnectUnix(s, s.PathOf("nothing"), "nothing");
  ConnectUnix(s, StaleFile(s), "stale");
  ConnectUnix(s, s.PathOf("no-folder") + "/socket", "no_folder");
}

void UnixPeerCredentials(Stage& s) {
  const std::string path = s.PathOf("socket");
  const auto server = ServeUnix(s, {.path = path}, s.NewTrace("server"));
  Tracing& client = ConnectUnix(s, path);
  s.Until([&] { return s.IsMade("server1"); });
  for (Tracing* end : {&client, &s.Get("server1")}) {
    const ExtraInfo& info = end->transport().GetExtraInfo();
    const PeerCredentials peer = info.peercred.value();
    end->Note(StrCat("peer pid ", peer.pid > 0 ? "True" : "False", " uid ", peer.uid, " gid ", peer.gid));
    end->Note(StrCat("socket ", AF_UNIX, " ", static_cast<int>(info.socket->type), " ", info.socket->proto));
    EXPECT_EQ(info.socket->family, AddressFamily::kUnix);
  }
  s.CloseServer(*server);
  client.transport().Close();
  s.UntilLost(client);
  s.UntilLost(s.Get("server1"));
}

// asyncio gives the name as bytes.
void UnixAbstractName(Stage& s) {
  const std::string path = StrCat(std::string_view("\0", 1), "transportd-conformance-unix-", ::getpid());
  const auto server = ServeUnix(s, {.path = path}, s.NewTrace("server"));
  ASSERT_NE(server, nullptr);
  EXPECT_EQ(server->Sockets()[0].path, path);
  Tracing& client = ConnectUnix(s, path);
  s.Until([&] { return s.IsMade("server1"); });
  EXPECT_EQ(client.transport().GetExtraInfo().peername->path, path);
  EXPECT_EQ(s.Get("server1").transport().GetExtraInfo().sockname->path, path);
  s.CloseServer(*server);
  client.transport().Close();
  s.UntilLost(client);
  s.UntilLost(s.Get("server1"));
  ConnectUnix(s, path, "late");
  EXPECT_EQ(s.traces().at("late").lines().back(), "create_unix_connection ECONNREFUSED");
}

// asyncio has it since 3.13.
void UnixServerCleanupSocket(Stage& s) {
  Trace& trace = s.NewTrace("server");
  for (const bool cleanup_socket : {true, false}) {
    const std::string path = s.PathOf(cleanup_socket ? "cleaned" : "left");
    const auto server = ServeUnix(s, {.path = path, .cleanup_socket = cleanup_socket}, trace);
    EXPECT_EQ(::access(path.c_str(), F_OK), 0);
    s.CloseServer(*server);
    EXPECT_EQ(::access(path.c_str(), F_OK) == 0, !cleanup_socket);
  }
  // What somebody else has put there stays.
  const std::string path = s.PathOf("replaced");
  const auto server = ServeUnix(s, {.path = path}, trace);
  EXPECT_EQ(::unlink(path.c_str()), 0);
  const UniqueFd other = BoundUnixSocket(path);
  s.CloseServer(*server);
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
}

void UnixServerModeIsTheFiles(Stage& s) {
  Trace& trace = s.NewTrace("server");
  for (const uint32_t mode : {0600u, 0666u}) {
    const std::string path = s.PathOf(StrCat("mode", mode));
    const auto server = ServeUnix(s, {.path = path, .mode = mode}, trace);
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, mode);
    s.CloseServer(*server);
  }
}

constexpr bool kWithoutOracle = false;

}  // namespace

void AddUnixScenarios(Scenarios& scenarios) {
  scenarios.insert(scenarios.end(), {
                                        {"unix_server_talks", UnixServerTalks},
                                        {"unix_server_takes_a_stale_files_place", UnixServerTakesAStaleFilesPlace},
                                        {"unix_server_leaves_what_is_no_socket", UnixServerLeavesWhatIsNoSocket},
                                        {"unix_server_starts_serving_later", UnixServerStartsServingLater},
                                        {"unix_connection_fails", UnixConnectionFails},
                                        {"unix_peer_credentials", UnixPeerCredentials},
                                        {"unix_abstract_name", UnixAbstractName, kWithoutOracle},
                                        {"unix_server_cleanup_socket", UnixServerCleanupSocket, kWithoutOracle},
                                        {"unix_server_mode_is_the_files", UnixServerModeIsTheFiles, kWithoutOracle},
                                    });
}

}  // namespace transportd::conformance
