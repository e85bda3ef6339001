#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/scenarios/scenarios.h"
#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/sockaddr.h"
#include "transports/base/str_cat.h"
#include "transports/base/unique_fd.h"

namespace transportd::conformance {

namespace {

// A regular file, while it lives.
class File final {
 public:
  explicit File(const std::string& content) {
    const UniqueFd fd(::mkstemp(path_.data()));
    CHECK(::write(fd.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  }
  ~File() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/transportd-conformance-XXXXXX";
};

void NoteInfos(Stage& s, Trace& trace, GetaddrinfoOptions options) {
  const auto infos =
      Await<std::vector<AddressInfo>>(s, [&](auto done) { s.loop().Getaddrinfo(std::move(options), std::move(done)); });
  if (!infos.ok()) {
    trace.Add(StrCat("gaierror ", ToTransportError(infos.status()).gai_code));
    return;
  }
  for (const AddressInfo& info : *infos) {
    trace.Add(StrCat(AddressFamilyToNumber(info.family), " ", static_cast<int>(info.type), " ", info.proto, " '",
                     info.canonname, "' ", info.address.host, " ", info.address.port));
  }
}

void SocketsGetaddrinfo(Stage& s) {
  Trace& trace = s.NewTrace("names");
  NoteInfos(s, trace, {.host = "127.0.0.1", .port = "80"});
  NoteInfos(s, trace, {.host = "::1", .port = "http", .type = SocketType::kStream});
  NoteInfos(s, trace, {.host = "127.0.0.1", .flags = AI_CANONNAME});
  NoteInfos(s, trace,
            {.port = "7", .family = AddressFamily::kInet, .type = SocketType::kDatagram, .flags = AI_PASSIVE});
  NoteInfos(s, trace, {.host = "localhost", .port = "1", .family = AddressFamily::kInet, .proto = IPPROTO_TCP});
  NoteInfos(s, trace, {.host = "name", .flags = AI_NUMERICHOST});
  NoteInfos(s, trace, {.host = "127.0.0.1", .port = "no-such-service"});
  NoteInfos(s, trace, {.host = "127.0.0.1", .type = static_cast<SocketType>(77)});
}

void SocketsGetnameinfo(Stage& s) {
  Trace& trace = s.NewTrace("names");
  for (const int flags : {NI_NUMERICHOST | NI_NUMERICSERV, NI_NUMERICHOST, NI_NUMERICHOST | NI_DGRAM}) {
    const auto info = Await<NameInfo>(s, [&](auto done) {
      s.loop().Getnameinfo({.family = s.is_v4() ? AddressFamily::kInet : AddressFamily::kInet6,
                            .host = s.host(),
                            .port = 80,
                            .path = {}},
                           flags, std::move(done));
    });
    trace.Add(info.ok() ? StrCat(info->host, " ", info->service) : "failed");
  }
}

void SocketsExtraInfoTellsTheSocket(Stage& s) {
  Tracing& client = s.Pair();
  const SocketKind& socket = client.transport().GetExtraInfo().socket.value();
  client.Note(
      StrCat("socket ", AddressFamilyToNumber(socket.family), " ", static_cast<int>(socket.type), " ", socket.proto));
  client.transport().Close();
  s.UntilLost(client);
}

void SocketsPairTalks(Stage& s) {
  const auto pair = Await<SocketPair>(s, [&](auto done) { s.loop().Socketpair({}, std::move(done)); });
  Tracing& first = s.NewProtocol("first");
  Tracing& second = s.NewProtocol("second", {.data = [](Tracing& p, std::string_view data) { p.Write(data); }});
  CreateConnectionOptions options;
  options.sock = pair->first;
  s.Connect(first, std::move(options));
  const auto accepted = Await<Connection>(s, [&](auto done) {
    s.loop().ConnectAcceptedSocket([&] { return second.AsProtocol(); }, {.sock = pair->second}, std::move(done));
  });
  second.Note(accepted.ok() ? "connect_accepted_socket returns" : "connect_accepted_socket fails");
  first.Write("hello");
  s.Until([&] { return first.received_bytes() == 5; });
  first.transport().Close();
  s.UntilLost(first);
  s.UntilLost(second);
}

void SocketsSockErrors(Stage& s) {
  Trace& trace = s.NewTrace("errors");
  const auto note = [&](CreateConnectionOptions options) {
    const auto result = Await<Connection>(s, [&](auto done) {
      s.loop().CreateConnection(
          []() -> std::shared_ptr<BaseProtocol> {
            CHECK(false);
            return nullptr;
          },
          std::move(options), std::move(done));
    });
    trace.Add(result.ok() ? "returns" : ToTransportError(result.status()).reason);
  };
  const auto datagrams =
      Await<SocketPair>(s, [&](auto done) { s.loop().Socketpair({.type = SocketType::kDatagram}, std::move(done)); });
  const auto streams = Await<SocketPair>(s, [&](auto done) { s.loop().Socketpair({}, std::move(done)); });
  CreateConnectionOptions options;
  options.sock = datagrams->first;
  note(options);
  options.sock = streams->first;
  options.remote = {.host = s.host(), .port = 1};
  note(options);
  options.remote = {};
  options.sock->Close();
  note(options);
  CHECK((trace.lines() == std::vector<std::string>{"INVALID_SOCKET", "INVALID_SOCKET", "EBADF"}));
  for (const auto& socket : {datagrams->first, datagrams->second, streams->second}) socket->Close();
  s.Settle();
}

void SocketsSendfileInOrder(Stage& s) {
  const File file(Pattern(3'000'000));
  Tracing& client = s.Pair();
  auto reading = s.Start([&] { s.peer().RecvAll(); });
  client.Write(Pattern(60'000));
  std::optional<absl::StatusOr<uint64_t>> sent;
  s.loop().Sendfile(client.shared_transport(), {.path = file.path(), .offset_bytes = 1000, .count_bytes = 2'500'000},
                    [&](absl::StatusOr<uint64_t> result) {
                      sent = std::move(result);
                      s.Changed();
                    });
  client.Note(client.transport().Write("bare").ok() ? "bare write is taken" : "bare write is refused");
  s.Until([&] { return sent.has_value(); });
  client.Note("sendfile", sent->value_or(0));
  client.Write("after");
  client.transport().Close();
  s.UntilLost(client);
  s.Wait(std::move(reading));
}

}  // namespace

void AddSocketsScenarios(Scenarios& scenarios) {
  scenarios.push_back({"sockets_getaddrinfo", SocketsGetaddrinfo});
  scenarios.push_back({"sockets_getnameinfo", SocketsGetnameinfo});
  scenarios.push_back({"sockets_extra_info_tells_the_socket", SocketsExtraInfoTellsTheSocket});
  scenarios.push_back({"sockets_pair_talks", SocketsPairTalks});
  scenarios.push_back({"sockets_sock_errors", SocketsSockErrors, /*has_oracle=*/false});
  scenarios.push_back({"sockets_sendfile_in_order", SocketsSendfileInOrder});
}

}  // namespace transportd::conformance
