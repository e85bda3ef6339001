#include "server/ops/options.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <thread>
#include <utility>

#include "server/ops/flags.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kGiB = 1024 * kMiB;

constexpr char kUsage[] = R"(transportd: an event loop with its sockets, used over gRPC

Usage: transportd --dev [flags]

Examples
  transportd --dev
      Listens on 127.0.0.1:50051, for programs of this machine.
  transportd --dev --listen=unix:/run/user/1000/transportd.sock --reflection
      A Unix socket that only this user can open; grpcurl can ask for the protos.
  transportd --dev --listen=127.0.0.1:0 --address-file=/tmp/address
      The kernel picks the port; the file says which, as soon as calls are answered.
)";

constexpr char kAfter[] = R"(
Signals
  SIGTERM, SIGINT: no new sessions; ends when the last one has, at --drain-timeout at the latest. A second
  one: ends at once.

Exit status
  0  stopped by a signal
  1  could not start or go on: a port in use, no memory
  78 bad configuration: nothing was started
)";

// The flags as they were written, before they are made into Options.
struct Raw {
  Options options;
  std::vector<std::string> listen = {"127.0.0.1:50051"};
  std::string policy;
  std::string log_level = "info";
  std::vector<std::string> inherited_fds;
  std::string spawn_helper;
};

void AddFlags(Raw& raw, FlagTable& flags) {
  Options& options = raw.options;
  SessionLimits& session = options.session_limits;
  ServiceLimits& service = options.service_limits;
  options.loops = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, 4);

  flags.Group("Where and for whom");
  flags.List("listen", "ADDR", raw.listen,
             "Where to take calls; may be given several times: 127.0.0.1:PORT, [::1]:PORT (port 0: the kernel picks), "
             "unix:PATH, unix-abstract:NAME.");
  flags.Text("address-file", "PATH", options.address_file,
             "Written when calls are answered: the addresses to dial, one a line. Removed at the end.");
  flags.Switch("dev", options.dev,
               "For local use: every caller may do everything, so only loopback and Unix addresses are listened on.");
  flags.Text("policy", "FILE", raw.policy, "Who may do what. Not in this release, which needs --dev.");
  flags.List("tls-identity", "NAME=CERTFILE,KEYFILE", options.tls_identity,
             "A certificate and its key (PEM files) that clients may name in TlsOptions.identity; may be given several "
             "times.");
  flags.Switch("reflection", options.reflection, "Answer grpc.reflection, for grpcurl.");

  flags.Group("How");
  flags.Count("loops", options.loops, 1, 64, "Event loop threads; each session is pinned to one.");
  flags.Count("grpc-threads", options.grpc_threads, 1, 16, "Threads that serve gRPC.");
  flags.Count("max-concurrent-streams", options.max_concurrent_streams, 1, 1'000'000,
              "Calls at once on one connection; more wait at the client.");
  flags.Time("drain-timeout", options.drain_timeout, seconds(0), hours(24),
             "How long SIGTERM waits for the open sessions to end.");
  flags.List(
      "inherited-fd", "N", raw.inherited_fds,
      "A descriptor that transportd was started with and that clients may use by its number: a pipe, a terminal or "
      "a socket; may be given several times.");
  flags.Text(
      "spawn-helper", "PATH", raw.spawn_helper,
      "The program transportd-spawn, which starts subprocesses; found beside transportd, in ../libexec or ../bin, "
      "when it is not given.");
  flags.Choice("log-level", {"debug", "info", "warning", "error"}, raw.log_level, "What is written to standard error.");

  flags.Group("Limits of a session (types.proto, Limits)");
  flags.Bytes("max-client-frame-bytes", session.max_client_frame_bytes, 64 * kKiB, 512 * kMiB,
              "The largest message that is read.");
  flags.Bytes("max-server-frame-bytes", session.max_server_frame_bytes, 64 * kKiB, 512 * kMiB,
              "The largest message that is sent.");
  flags.Count("session-max-transport-count", session.max_transport_count, 1, 1'000'000,
              "Open transports and servers at once.");
  flags.Count("session-max-request-count", session.max_request_count, 1, 1'000'000, "Unanswered requests at once.");
  flags.Bytes("receive-window-bytes", session.receive_window_bytes, 4 * kKiB, kGiB,
              "Of each transport: what may be sent to the client before it acknowledges.");
  flags.Bytes("max-receive-window-bytes", session.max_receive_window_bytes, 4 * kKiB, kGiB,
              "How far that grows over a long link, while the client keeps up; at most a quarter of the session's.");
  flags.Bytes("callback-charge-bytes", session.callback_charge_bytes, 1, 64 * kKiB,
              "What a data callback weighs in the window besides its bytes.");
  flags.Bytes("session-receive-window-bytes", session.session_receive_window_bytes, 4 * kKiB, 64 * kGiB,
              "Of all transports together.");
  flags.Bytes("send-window-bytes", session.send_window_bytes, 4 * kKiB, kGiB,
              "Of each transport: what the client may send before the socket has taken it.");
  flags.Bytes("session-send-window-bytes", session.session_send_window_bytes, 4 * kKiB, 64 * kGiB,
              "Of all transports together.");
  flags.Time("default-create-timeout", session.default_create_timeout, milliseconds(1), hours(1),
             "How long a create_* command may take that names no timeout.");

  flags.Group("Limits of the service");
  flags.Count("max-session-count", service.max_session_count, 1, 1'000'000, "Open sessions at once.");
  flags.Count("max-transport-count", service.max_transport_count, 1, 10'000'000,
              "Open transports and servers of all sessions.");
  flags.Bytes("grpc-buffer-bytes", options.grpc_buffer_bytes, 64 * kMiB, 1024 * kGiB,
              "What gRPC may hold of messages that have not all arrived; beyond it calls are cancelled.");
  flags.Bytes("buffered-bytes", service.buffered_bytes, kMiB, 1024 * kGiB,
              "What all sessions together may hold in buffers; beyond it nothing is read.");

  flags.Group("Other");
  flags.Switch("help", options.help, "This text.");
  flags.Switch("version", options.version, "The version.");
}

LogLevel ToLogLevel(const std::string& word) {
  if (word == "debug") return LogLevel::kDebug;
  if (word == "warning") return LogLevel::kWarning;
  if (word == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

absl::Status BadConfiguration(const std::string& message) { return InvalidArgument("BAD_CONFIGURATION", "", message); }

}  // namespace

absl::StatusOr<Options> ParseOptions(std::span<const char* const> arguments) {
  Raw raw;
  FlagTable flags;
  AddFlags(raw, flags);
  if (absl::Status status = flags.Parse(arguments); !status.ok()) return status;
  Options& options = raw.options;
  if (options.help || options.version) return options;

  if (!raw.policy.empty()) {
    return BadConfiguration(
        "--policy: this release has no policies yet. Start it with --dev, for local use, without --policy");
  }
  if (!options.dev) {
    return BadConfiguration(
        "neither --dev nor --policy: nobody would be allowed anything. Start it with --dev, for local use on loopback "
        "and Unix sockets (policies come with a later release)");
  }
  for (const std::string& text : raw.listen) {
    absl::StatusOr<ListenAddress> address = ParseListenAddress(text);
    if (!address.ok()) return address.status();
    if (!address->local) {
      return BadConfiguration(
          StrCat("--listen=", text,
                 ": --dev lets every caller do everything, so it listens on loopback (127.0.0.1, [::1]) "
                 "and on Unix sockets only"));
    }
    options.listen.push_back(*std::move(address));
  }
  for (const std::string& text : raw.inherited_fds) {
    int fd = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), fd);
    if (error != std::errc() || end != text.data() + text.size() || fd < 0) {
      return BadConfiguration(StrCat("--inherited-fd=", text, ": must be the number of a descriptor"));
    }
    options.inherited_fds.push_back(fd);
  }
  if (!raw.spawn_helper.empty()) options.spawn_helper = raw.spawn_helper;
  options.log_level = ToLogLevel(raw.log_level);
  return options;
}

std::string OptionsHelp() {
  Raw raw;
  FlagTable flags;
  AddFlags(raw, flags);
  return StrCat(kUsage, flags.Help(), kAfter);
}

}  // namespace transportd
