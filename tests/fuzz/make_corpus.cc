// Writes the seeds of every fuzz target: frames, tokens, policies and addresses that mean something, from which a
// fuzzer starts.
//
// usage: fuzz_make_corpus FOLDER POLICIES
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/frame/frame_writer.h"
#include "tests/fuzz/audit_steps.h"
#include "tests/fuzz/client_steps.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/session_steps.h"
#include "transportd/v1/event_loop.pb.h"
#include "transportd/v1/policy.pb.h"

namespace transportd::fuzz {
namespace {

class Folder final {
 public:
  explicit Folder(const std::filesystem::path& path) : path_(path) {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  void Add(std::string_view name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

 private:
  const std::filesystem::path path_;
};

// --- Messages.

v1::SessionRequest OpenFrame(bool acknowledged) {
  v1::SessionRequest frame;
  frame.set_sequence(1);
  frame.mutable_open()->set_revision(1);
  frame.mutable_open()->set_acknowledged(acknowledged);
  frame.mutable_open()->set_client_name("seed");
  return frame;
}

v1::Command Write(uint32_t id, std::string data) {
  v1::Command command;
  command.set_transport_id(id);
  command.set_write(std::move(data));
  return command;
}

v1::Command Connect(uint32_t request_id) {
  v1::Command command;
  command.set_request_id(request_id);
  command.mutable_create_connection()->mutable_remote()->set_host("127.0.0.1");
  command.mutable_create_connection()->mutable_remote()->set_port(1);
  return command;
}

v1::Command Serve(uint32_t request_id) {
  v1::Command command;
  command.set_request_id(request_id);
  command.mutable_create_server()->add_hosts("127.0.0.1");
  return command;
}

// One of each command that names a transport or server.
std::vector<v1::Command> CommandsFor(uint32_t id) {
  std::vector<v1::Command> commands;
  const auto add = [&]() -> v1::Command& {
    commands.emplace_back().set_request_id(static_cast<uint32_t>(100 + commands.size()));
    return commands.back();
  };
  add().mutable_write_and_drain()->set_transport_id(id);
  commands.back().mutable_write_and_drain()->set_data("waits");
  add().mutable_writelines()->set_transport_id(id);
  commands.back().mutable_writelines()->add_lines("line");
  add().mutable_pause_reading()->set_transport_id(id);
  add().mutable_resume_reading()->set_transport_id(id);
  add().mutable_set_write_buffer_limits()->set_transport_id(id);
  commands.back().mutable_set_write_buffer_limits()->mutable_limits()->set_high_bytes(1000);
  add().mutable_get_state()->set_transport_id(id);
  add().mutable_getsockopt()->set_transport_id(id);
  commands.back().mutable_getsockopt()->set_option(v1::SOCKET_OPTION_TCP_NODELAY);
  add().mutable_setsockopt()->set_transport_id(id);
  commands.back().mutable_setsockopt()->set_option(v1::SOCKET_OPTION_SO_KEEPALIVE);
  commands.back().mutable_setsockopt()->set_value(1);
  add().mutable_start_serving()->set_server_id(id);
  add().mutable_close_clients()->set_server_id(id);
  add().mutable_abort_clients()->set_server_id(id);
  add().mutable_wait_closed()->set_server_id(id);
  add().mutable_server_close()->set_server_id(id);
  add().mutable_write_eof()->set_transport_id(id);
  add().mutable_close()->set_transport_id(id);
  add().mutable_abort()->set_transport_id(id);
  add().mutable_cancel()->set_request_id(1);
  return commands;
}

v1::SessionRequest Request(std::initializer_list<v1::Command> commands) {
  v1::SessionRequest frame;
  for (const v1::Command& command : commands) *frame.add_commands() = command;
  return frame;
}

v1::SessionResponse OpenedFrame() {
  v1::SessionResponse frame;
  frame.set_sequence(1);
  frame.mutable_opened()->set_revision(1);
  frame.mutable_opened()->set_session_id("0123456789abcdef0123456789abcdef");
  v1::Limits& limits = *frame.mutable_opened()->mutable_limits();
  limits.set_max_client_frame_bytes(65536);
  limits.set_max_server_frame_bytes(65536);
  limits.set_receive_window_bytes(8192);
  limits.set_callback_charge_bytes(64);
  limits.set_session_receive_window_bytes(16384);
  limits.set_send_window_bytes(64);
  limits.set_session_send_window_bytes(128);
  return frame;
}

v1::Callback Made(uint32_t id, uint32_t request_id, uint32_t server_id = 0) {
  v1::Callback callback;
  callback.set_transport_id(id);
  callback.mutable_connection_made()->set_request_id(request_id);
  callback.mutable_connection_made()->set_server_id(server_id);
  v1::SocketAddress& peername = *callback.mutable_connection_made()->mutable_extra_info()->mutable_peername();
  peername.set_family(v1::ADDRESS_FAMILY_INET);
  peername.set_host("127.0.0.1");
  peername.set_port(80);
  return callback;
}

v1::Callback Connected(uint32_t request_id, uint32_t id) {
  v1::Callback callback;
  callback.mutable_reply()->set_request_id(request_id);
  callback.mutable_reply()->mutable_create_connection()->set_transport_id(id);
  return callback;
}

v1::Callback Served(uint32_t request_id, uint32_t id) {
  v1::Callback callback;
  callback.mutable_reply()->set_request_id(request_id);
  callback.mutable_reply()->mutable_create_server()->set_server_id(id);
  return callback;
}

v1::Callback Failed(uint32_t request_id) {
  v1::Callback callback;
  callback.mutable_reply()->set_request_id(request_id);
  v1::TransportError& error = *callback.mutable_reply()->mutable_error();
  error.set_code(14);
  error.set_reason("ECONNREFUSED");
  error.set_errno_number(111);
  error.add_causes()->set_reason("ECONNREFUSED");
  return callback;
}

v1::Callback Data(uint32_t id, std::string data) {
  v1::Callback callback;
  callback.set_transport_id(id);
  callback.set_data_received(std::move(data));
  return callback;
}

v1::Callback Progress(uint32_t id, uint64_t sent_bytes) {
  v1::Callback callback;
  callback.set_transport_id(id);
  callback.set_write_progress(sent_bytes);
  return callback;
}

v1::Callback Eof(uint32_t id) {
  v1::Callback callback;
  callback.set_transport_id(id);
  callback.mutable_eof_received();
  return callback;
}

v1::Callback Lost(uint32_t id, v1::EndCause cause) {
  v1::Callback callback;
  callback.set_transport_id(id);
  callback.mutable_connection_lost()->set_cause(cause);
  return callback;
}

v1::SessionResponse Response(std::initializer_list<v1::Callback> callbacks) {
  v1::SessionResponse frame;
  for (const v1::Callback& callback : callbacks) *frame.add_callbacks() = callback;
  return frame;
}

// --- Inputs.

void WriteFrameSeeds(const Folder& folder) {
  folder.Add("empty", "");
  folder.Add("open", OpenFrame(true).SerializeAsString());
  folder.Add("opened", OpenedFrame().SerializeAsString());
  folder.Add("command_write", Write(1, "data").SerializeAsString());
  folder.Add("command_write_empty", Write(1, "").SerializeAsString());
  folder.Add("command_connect", Connect(1).SerializeAsString());
  folder.Add("callback_data", Data(1, "data").SerializeAsString());
  folder.Add("callback_progress", Progress(1, 1 << 20).SerializeAsString());
  folder.Add("callback_made", Made(1, 1).SerializeAsString());
  folder.Add("callback_failed", Failed(1).SerializeAsString());
  folder.Add("callback_lost", Lost(1, v1::END_CAUSE_RESET).SerializeAsString());
  v1::SessionRequest request;
  for (const v1::Command& command : CommandsFor(1)) *request.add_commands() = command;
  request.add_acknowledgements()->set_data_bytes(70'000);
  folder.Add("request", request.SerializeAsString());
  folder.Add("acknowledgement", request.acknowledgements(0).SerializeAsString());
  folder.Add("response",
             Response({Made(1, 1), Connected(1, 1), Data(1, "x"), Eof(1), Progress(1, 1), Lost(1, v1::END_CAUSE_EOF)})
                 .SerializeAsString());
  FrameWriter writer;
  writer.AppendDataReceived(300, "padded");
  writer.AppendWrite(300, "short");
  writer.AppendAcknowledgement(300, 1, 1);
  writer.AppendWriteProgress(300, 1);
  folder.Add("written_by_hand", writer.Seal(1, 1).view());
  const std::string_view overlong[] = {// A tag, a length and a number with more bytes than they need.
                                       std::string_view("\x90\x80\x80\x80\x80\x00\x01", 7),
                                       std::string_view("\x0a\x80\x80\x80\x80\x80\x00", 7),
                                       std::string_view("\x10\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11),
                                       std::string_view("\x0a\x00\x0a\x00", 4),
                                       std::string_view("\x0b\x0c", 2),
                                       std::string_view("\x12\x01x", 3)};
  for (size_t i = 0; i < std::size(overlong); ++i) folder.Add("odd_" + std::to_string(i), overlong[i]);
}

std::string Frame(const v1::SessionRequest& frame) {
  return Step(static_cast<uint8_t>(SessionStep::kFrame), frame.SerializeAsString());
}
std::string Do(SessionStep what, std::string_view bytes = "") { return Step(static_cast<uint8_t>(what), bytes); }

void WriteSessionSeeds(const Folder& folder) {
  const std::string open = Frame(OpenFrame(true)) + Do(SessionStep::kTurn) + Do(SessionStep::kFrameSent);
  const std::string open_plain = Frame(OpenFrame(false)) + Do(SessionStep::kTurn) + Do(SessionStep::kFrameSent);
  const std::string turns = Do(SessionStep::kTurn) + Do(SessionStep::kTurn) + Do(SessionStep::kFrameSent);
  const std::string connected = Frame(Request({Connect(1)})) + turns + turns;
  const std::string much = Do(SessionStep::kPeerSends, "\xff");
  v1::SessionRequest acknowledge;
  acknowledge.add_acknowledgements()->set_transport_id(1);
  acknowledge.mutable_acknowledgements(0)->set_data_bytes(100);
  acknowledge.mutable_acknowledgements(0)->set_data_count(1);

  folder.Add("open", open);
  folder.Add("open_plain", open_plain);
  folder.Add("open_twice", open + Frame(OpenFrame(true)));
  folder.Add("no_open", Frame(Request({Connect(1)})));
  folder.Add("garbage", Do(SessionStep::kRawFrame, "garbage"));
  folder.Add("gap", Do(SessionStep::kRawFrame, OpenFrame(true).SerializeAsString()) +
                        Do(SessionStep::kRawFrame, OpenFrame(true).SerializeAsString()));
  folder.Add("half_close", open + connected + Do(SessionStep::kHalfClose) + turns);
  folder.Add("lose", open + connected + Do(SessionStep::kLose) + turns);
  folder.Add("write",
             open + connected + Frame(Request({Write(1, "hello"), Write(1, std::string(20'000, 'x'))})) + turns);
  folder.Add("write_too_much", open + connected + Frame(Request({Write(1, std::string(60'000, 'x'))})) +
                                   Frame(Request({Write(1, std::string(60'000, 'x'))})) + Do(SessionStep::kPeerReads) +
                                   turns);
  // More than small buffers take: the session holds the rest, pauses and, when the peer reads, resumes.
  v1::Command small_buffer;
  small_buffer.mutable_setsockopt()->set_transport_id(1);
  small_buffer.mutable_setsockopt()->set_option(v1::SOCKET_OPTION_SO_SNDBUF);
  small_buffer.mutable_setsockopt()->set_value(4096);
  std::string write_until_full = open + connected + Frame(Request({small_buffer}));
  for (int i = 0; i < 8; ++i) write_until_full += Frame(Request({Write(1, std::string(40'000, 'x'))}));
  for (int i = 0; i < 8; ++i) write_until_full += Do(SessionStep::kPeerReads) + turns;
  folder.Add("write_until_full", write_until_full);
  folder.Add("data", open + connected + much + turns + Frame(acknowledge) + turns);
  folder.Add("data_without_end", open + connected + much + much + much + much + turns + much + turns + much);
  folder.Add("data_plain", open_plain + connected + much + turns + much + turns);
  folder.Add("acknowledged_too_much", open + connected + Frame(acknowledge));
  folder.Add("peer_ends", open + connected + Do(SessionStep::kPeerShutsDown) + turns);
  folder.Add("peer_resets", open + connected + Do(SessionStep::kPeerResets) + turns);
  folder.Add("many_connections",
             open + Frame(Request({Connect(1), Connect(2), Connect(3), Connect(4), Connect(5)})) + turns);
  folder.Add("same_request_id", open + Frame(Request({Connect(1), Connect(1)})) + turns);
  v1::Command cancel;
  cancel.mutable_cancel()->set_request_id(1);
  folder.Add("cancel", open + Frame(Request({Connect(1), cancel})) + turns);
  folder.Add("server", open + Frame(Request({Serve(1)})) + turns + Do(SessionStep::kDial) + Do(SessionStep::kDial) +
                           turns + much);
  v1::SessionRequest all, all_unknown;
  for (const v1::Command& command : CommandsFor(1)) {
    *all.add_commands() = command;
    v1::SessionRequest one;
    *one.add_commands() = command;
    folder.Add("command_" + std::to_string(command.command_case()), open + connected + Frame(one) + turns);
  }
  for (const v1::Command& command : CommandsFor(99)) *all_unknown.add_commands() = command;
  folder.Add("all_commands", open + connected + Frame(all) + turns);
  folder.Add("all_commands_server",
             open + Frame(Request({Serve(1)})) + turns + Do(SessionStep::kDial) + Frame(all) + turns);
  folder.Add("all_commands_unknown", open + Frame(all_unknown) + turns);
}

std::string Frame(const v1::SessionResponse& frame) {
  return Step(static_cast<uint8_t>(ClientStep::kFrame), frame.SerializeAsString());
}
std::string Do(ClientStep what, std::string_view bytes = "") { return Step(static_cast<uint8_t>(what), bytes); }

void WriteClientSeeds(const Folder& folder) {
  const std::string open = Frame(OpenedFrame()) + Do(ClientStep::kFrameSent);
  // The first request of the client has the id 1.
  const auto connected = [&](std::string_view options) {
    return open + Do(ClientStep::kCreateConnection, options) + Do(ClientStep::kFrameSent) +
           Frame(Response({Made(1, 1), Connected(1, 1)}));
  };
  const std::string served = open + Do(ClientStep::kCreateServer) + Do(ClientStep::kFrameSent) +
                             Frame(Response({Served(1, 1), Made(2, 0, 1)}));
  const std::string zero(1, '\0');

  folder.Add("opened", open);
  folder.Add("opened_twice", open + Frame(OpenedFrame()));
  folder.Add("garbage", Do(ClientStep::kRawFrame, "garbage"));
  folder.Add("gap", open + Do(ClientStep::kRawFrame, OpenedFrame().SerializeAsString()));
  folder.Add("closed", open + Do(ClientStep::kCreateConnection) + Do(ClientStep::kClosed, "\x0e"));
  folder.Add("refused",
             open + Do(ClientStep::kCreateConnection) + Do(ClientStep::kFrameSent) + Frame(Response({Failed(1)})));
  folder.Add("cancel", open + Do(ClientStep::kCreateConnection) + Do(ClientStep::kCancel) + Do(ClientStep::kFrameSent) +
                           Frame(Response({Made(1, 1), Connected(1, 1)})));
  int number = 0;
  for (const std::string_view options : {std::string_view("\0", 1), std::string_view("\1"), std::string_view("\2"),
                                         std::string_view("\3"), std::string_view("\4")}) {
    folder.Add("data_" + std::to_string(number++),
               connected(options) + Frame(Response({Data(1, "hello"), Data(1, "again"), Eof(1)})) +
                   Do(ClientStep::kClose, zero) + Frame(Response({Lost(1, v1::END_CAUSE_EOF)})));
  }
  folder.Add("paused", connected("") + Do(ClientStep::kPauseReading, zero) +
                           Frame(Response({Data(1, "held"), Eof(1), Lost(1, v1::END_CAUSE_RESET)})) +
                           Do(ClientStep::kResumeReading, zero));
  folder.Add("too_much_data", connected("") + Do(ClientStep::kPauseReading, zero) +
                                  Frame(Response({Data(1, std::string(20'000, 'x'))})));
  folder.Add("write", connected("") + Do(ClientStep::kSetLimits, std::string("\0\x10", 2)) +
                          Do(ClientStep::kWrite, std::string(200, '\0')) + Do(ClientStep::kFrameSent) +
                          Frame(Response({Progress(1, 64)})) + Do(ClientStep::kFrameSent) +
                          Frame(Response({Progress(1, 128)})) + Frame(Response({Progress(1, 200)})));
  folder.Add("progress_beyond", connected("") + Frame(Response({Progress(1, 1'000'000)})));
  folder.Add("write_eof", connected("") + Do(ClientStep::kWrite, zero) + Do(ClientStep::kWriteEof, zero) +
                              Do(ClientStep::kWrite, zero) + Do(ClientStep::kClose, zero));
  folder.Add("abort",
             connected("") + Do(ClientStep::kAbort, "\1") + Frame(Response({Lost(1, v1::END_CAUSE_LOCAL_ABORT)})));
  folder.Add("after_lost", connected("") + Frame(Response({Lost(1, v1::END_CAUSE_EOF), Data(1, "late"), Eof(1)})));
  folder.Add("made_twice", connected("") + Frame(Response({Made(1, 1)})));
  folder.Add("made_by_nobody", open + Frame(Response({Made(7, 7), Made(8, 0, 9), Data(7, "x")})));
  folder.Add("server", served + Frame(Response({Data(2, "hello"), Eof(2), Lost(2, v1::END_CAUSE_EOF)})) +
                           Do(ClientStep::kCloseClients, zero) + Do(ClientStep::kServerClose, zero));
  folder.Add("getsockopt", connected("") + Do(ClientStep::kGetsockopt, zero) + Do(ClientStep::kFrameSent) +
                               Frame(Response({Failed(2)})));
}

void WriteAuditSeeds(const Folder& folder) {
  const std::string evil = "x\",\"decision\":\"allow\"}\n{\"v\":1}\r\x1b[2J\\ \xc2\x85\xe2\x80\xae\xff\xed\xa0\x80";
  const auto repeated = [](uint8_t what, std::string_view text, char times) {
    return Step(what, text) + Step(kAuditRepeat, std::string(1, times));
  };
  std::string all = Step(kAuditEvent, "\7");
  for (uint8_t what = kAuditUid; what < kAuditRepeat; ++what) all += Step(what, "abc");
  folder.Add("all", all);
  std::string all_evil;
  for (uint8_t what = kAuditUid; what < kAuditRepeat; ++what) all_evil += Step(what, evil);
  folder.Add("evil", all_evil);
  folder.Add("empty", "");
  folder.Add("long", repeated(kAuditPrincipal, "abcdefghijklmnopqrstuvwxyz", '\x7f'));
  folder.Add("long_escaped", repeated(kAuditCause, evil, '\x7f'));
  folder.Add("long_wide", repeated(kAuditPeer, "\xf0\x9f\x98\x80\xe4\xb8\xad", '\x7f'));
  folder.Add("long_args", repeated(kAuditArg, evil, '\x7f') + Step(kAuditArg, "last"));
  std::string many;
  for (int i = 0; i < 200; ++i) many += Step(kAuditEnvName, "") + Step(kAuditArg, "a");
  folder.Add("many", many);
}

// --- Who calls.

void WriteTokenSeeds(const Folder& folder) {
  folder.Add("known", "Bearer abc");
  folder.Add("unknown", "bearer transportd_0123456789abcdef0123456789abcdef0123456789a");
  folder.Add("another_scheme", "Basic YTpi");
  folder.Add("two", "Bearer abc\nBearer abc");
  folder.Add("jwt", "Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6ImUxIn0.eyJpc3MiOiJpIn0.AAAA");
}

void WriteJwtSeeds(const Folder& folder) {
  folder.Add("token", "teyJhbGciOiJFUzI1NiIsImtpZCI6ImUxIn0.eyJpc3MiOiJpIn0.AAAA");
  folder.Add("none", "teyJhbGciOiJub25lIn0.eyJpc3MiOiJpIn0.");
  folder.Add("signed",
             "s{\"alg\":\"ES256\",\"kid\":\"e1\",\"typ\":\"JWT\"}\n{\"iss\":\"i\",\"aud\":[\"a\",\"b\"],\"sub\":\"x\","
             "\"exp\":1900000300,\"nbf\":1899999999.5,\"iat\":1.9e9}");
  folder.Add("critical",
             "s{\"alg\":\"ES256\",\"crit\":[\"b64\"]}\n{\"iss\":\"i\",\"aud\":\"a\",\"sub\":\"x\",\"exp\":1900000300}");
  // RFC 7515, appendix A.3.1.
  folder.Add("keys",
             "k{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\",\"use\":\"sig\",\"key_ops\":[\"verify\"],"
             "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
             "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}");
  folder.Add("weak_key", "k{\"keys\":[{\"kty\":\"RSA\",\"alg\":\"RS256\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}");
}

void WriteIdentitiesSeeds(const Folder& folder) {
  folder.Add(
      "identities",
      "version: \"v1\"\ntoken { principal: \"ci\" sha256: "
      "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\" not_after { seconds: 1 nanos: 2 } }\n"
      "jwt { issuer: \"i\" audiences: [\"a\"] jwks_file: \"/k\" principal_prefix: \"j:\" }\n"
      "certificates { trust_domains: \"example.org\" dns_names: true }");
  folder.Add("json",
             "{\"version\": \"v1\", \"token\": [{\"principal\": \"c\\u0069\", \"sha256\": "
             "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\", \"notAfter\": "
             "\"2030-01-31T12:00:00.5Z\"}]}");
  folder.Add("policy",
             "version: \"v1\" role { name: \"r\" connect { name: \"c\" protocols: [TCP, UDP] to { classes: PRIVATE "
             "ports { first: 1 } } }"
             " quota { connects { per_second: 0.5 } session_age { seconds: 5 } } }");
  folder.Add("policy_json",
             "{\"role\": [{\"listen\": [{\"protocols\": [\"TCP\"], \"on\": {\"any_port\": true}}], \"quota\": "
             "{\"sessions\": 10,"
             " \"connects\": {\"per_second\": 0.5}, \"session_age\": \"1.5s\", \"bufferedBytes\": \"5\"}}]}");
}

// --- Policies and addresses.

// The policies that ship, and what the fuzzer would hardly think of.
void WritePolicySeeds(const Folder& folder, const std::filesystem::path& policies) {
  for (const auto& entry : std::filesystem::directory_iterator(policies)) {
    std::ifstream file(entry.path(), std::ios::binary);
    folder.Add(entry.path().filename().string(), std::string{std::istreambuf_iterator<char>(file), {}});
  }
  v1::Policy policy;
  policy.set_version("v1");
  v1::Role& role = *policy.add_role();
  role.set_name("a");
  v1::ConnectGrant& connect = *role.add_connect();
  connect.set_name("c");
  connect.add_protocols(v1::Protocol::TCP);
  connect.mutable_to()->add_cidrs("0.0.0.0/0");
  connect.mutable_to()->add_classes(v1::AddressClass::METADATA);
  connect.mutable_to()->set_any_port(true);
  v1::Binding& binding = *policy.add_binding();
  binding.set_role("a");
  binding.add_principals("*");
  folder.Add("message", std::string(1, '\0').append(policy.SerializeAsString()));
  folder.Add("json", R"({"version": "v1", "role": [{"name": "a", "quota": {"sessions": 1, "sessionAge": "1.5s",
    "connects": {"per_second": 1e-1}}, "run": [{"name": "r", "program": "/bin/sh", "args_regex": "[a-c]{2,5}"}]}],
    "binding": [{"role": "a", "principals": ["*"]}], "deny": [{"name": "d", "run": ["/bin/"]}]})");
  folder.Add("deny",
             R"(version: "v1" deny { name: "d" principals: "a*" connect { hosts: "*.x" classes: SELF any_port: true }
    listen { cidrs: "::1" ports { first: 1 last: 9 } } path: "@x*" })");
}

void WriteAddressSeeds(const Folder& folder) {
  int number = 0;
  for (const std::string_view text : {"127.0.0.1", "169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
                                      "2002:a9fe:a9fe::1", "fe80::1%2", "2001:0:a9fe:a9fe::1", "10.0.0.0/8",
                                      "::ffff:10.0.0.0/104", "fd00:ec2::254/128", "0x7f000001", "1::2::3"}) {
    folder.Add(std::to_string(number++), text);
  }
  folder.Add("bits", std::string("\xa9\xfe\xa9\xfe\x00\x00\x5e\xfe\xff\xff\x00\x00\x7f\x00\x00\x01", 16));
}

}  // namespace

static void WriteAll(const std::filesystem::path& root, const std::filesystem::path& policies) {
  WriteFrameSeeds(Folder(root / "frame_reader_fuzz"));
  WriteSessionSeeds(Folder(root / "session_fuzz"));
  WriteClientSeeds(Folder(root / "client_frames_fuzz"));
  WriteAuditSeeds(Folder(root / "audit_fuzz"));
  WriteTokenSeeds(Folder(root / "token_fuzz"));
  WriteJwtSeeds(Folder(root / "jwt_fuzz"));
  WriteIdentitiesSeeds(Folder(root / "identities_fuzz"));
  WritePolicySeeds(Folder(root / "policy_fuzz"), policies);
  WriteAddressSeeds(Folder(root / "address_class_fuzz"));
}

}  // namespace transportd::fuzz

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  transportd::fuzz::WriteAll(argv[1], argv[2]);
  return 0;
}
