#include "server/ops/options.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <system_error>
#include <thread>
#include <utility>

#include "server/ops/flags.h"
#include "transports/api/error.h"
#include "transports/base/shell_completion.h"
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
       transportd --policy=FILE [flags]

Examples
  transportd --dev
      Listens on 127.0.0.1:50051, for programs of this machine.
  transportd --policy=policy.txtpb --listen=0.0.0.0:50051
             --tls-certificate=tls.crt --tls-key=tls.key --tls-client-ca=ca.crt
      Clients show a certificate with a SPIFFE ID, and may do what the policy grants it.
  transportd --policy=policy.txtpb --listen=unix:/run/transportd/lab,mode=0660,principal=lab
      Whoever may open the socket is the principal `lab`.
  transportd --dev --listen=unix:/run/user/1000/transportd.sock --reflection
      A Unix socket that only this user can open; grpcurl can ask for the protos.
  transportd --dev --listen=127.0.0.1:0 --address-file=/tmp/address
      The kernel picks the port; the file says which, as soon as calls are answered.
)";

constexpr char kAfter[] = R"(
Where a flag's value comes from
  The command line; else the environment, TRANSPORTD_DRAIN_TIMEOUT for --drain-timeout (a list's values
  have blanks between them); else the file of --config; else the default. A list is taken whole from one
  of them. --print-config says which.

Signals
  SIGTERM, SIGINT: no new sessions, readiness is NOT_SERVING, and each open session is told how long it
  has; ends when the last one has, at --drain-timeout at the latest. A second one: ends at once.

Exit status
  0  stopped by a signal
  1  could not start or go on: a port in use, no memory
  78 bad configuration: nothing was started
)";

// The flags as they were written, before they are made into Options.
struct Raw {
  Options options;
  std::vector<std::string> listen = {"127.0.0.1:50051"};
  std::vector<std::string> health_listen;
  std::vector<std::string> admin_listen;
  std::vector<std::string> metrics_listen;
  std::string policy_reload = "revoke";
  std::string audit_on_failure = "refuse";
  std::string log_level = "info";
  std::string log_format = "text";
  std::vector<std::string> inherited_fds;
  std::string spawn_helper;
  std::string config;
};

void AddFlags(Raw& raw, FlagTable& flags) {
  Options& options = raw.options;
  SessionLimits& session = options.session_limits;
  ServiceLimits& service = options.service_limits;
  options.loops = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, 4);

  flags.Group("Where and for whom");
  flags.List(
      "listen", "ADDR", raw.listen,
      "Where to take calls; may be given several times: ADDRESS:PORT, [ADDRESS]:PORT (port 0: the kernel picks), "
      "unix:PATH, unix-abstract:NAME. [::] takes no IPv4: give 0.0.0.0:PORT, too. Behind a comma: plaintext (TCP on "
      "loopback), principal=NAME (who comes through "
      "this Unix socket), mode=OCTAL (its file's), uid=NUMBER (whose processes may connect).");
  flags.List(
      "health-listen", "ADDR", raw.health_listen,
      "Where grpc.health.v1 alone is answered, without TLS and to whoever asks, for probes that have no credentials "
      "(Kubernetes' `grpc`): the services \"\" and readiness, which a SIGTERM makes NOT_SERVING, startup and "
      "liveness. ADDRESS:PORT or unix:PATH; may be given several times. --listen answers it, too.");
  flags.List(
      "admin-listen", "ADDR", raw.admin_listen,
      "Where the status page and its figures are, over HTTP: 127.0.0.1:PORT, [::1]:PORT or unix:PATH with "
      "principal=NAME and mode=OCTAL behind a comma; may be given several times. Who looks shows a token or a JSON Web "
      "Token of somebody who has an admin grant; with --dev nobody is asked.");
  flags.List("metrics-listen", "ADDR", raw.metrics_listen,
             "Where GET /metrics is answered over HTTP, in Prometheus' text format, to whoever asks, and nothing else. "
             "ADDRESS:PORT or unix:PATH; may be given several times. --admin-listen answers it, too.");
  flags.Text("address-file", "PATH", options.address_file,
             "Written when calls are answered: the addresses to dial, one a line. Removed at the end.");
  flags.Text(
      "instance-target", "TARGET", options.instance_target,
      "How clients dial this instance and no other, as Opened tells them: $(POD_IP):50051 in Kubernetes. Else the "
      "first --listen, unless that is a wildcard.");
  flags.Switch("dev", options.dev,
               "For local use: every caller may do everything, so only loopback and Unix addresses are listened on.");
  flags.Text(
      "policy", "FILE", options.policy,
      "Who may do what (policy.proto; transportctl policy check FILE). Read again when it changes, or at SIGHUP.");
  flags.Choice("policy-reload", {"revoke", "keep"}, raw.policy_reload,
               "What becomes of open transports, and calls under way, that a new policy does not allow.");
  flags.Text("shadow-policy", "FILE", options.shadow_policy,
             "Another policy, which decides nothing: what it would have decided otherwise is recorded.");
  flags.Text("identities", "FILE", options.identities,
             "Tokens, issuers of JSON Web Tokens, and which certificates count (identity.proto). Read again as the "
             "policy is.");
  flags.Text("tls-certificate", "FILE", options.tls_certificate,
             "The service's certificate chain, PEM. With it TCP listeners have TLS. Read again when it changes.");
  flags.Text("tls-key", "FILE", options.tls_key, "Its key, PEM.");
  flags.Text("tls-client-ca", "FILE", options.tls_client_ca, "Who signs the certificates of clients, PEM.");
  flags.List("self-address", "ADDRESS:PORT", options.self_addresses,
             "What policies call SELF besides the service's own listeners, Kubernetes' API server and kubelet.");
  flags.Text("audit-log", "WHERE", options.audit_log,
             "Where each decision is recorded, as JSON Lines: stdout, stderr, /PATH or ./PATH, fd:N, or off.");
  flags.Choice("audit-on-failure", {"refuse", "continue"}, raw.audit_on_failure,
               "What happens to new work while the audit log cannot be written.");
  flags.Time("authentication-timeout", options.authentication_timeout, seconds(1), hours(1),
             "How long a TCP connection may go without a call of somebody known; then it is closed.");
  flags.Count("max-unauthenticated-count", options.per_source.max_open_count, 1, 1024,
              "Such connections at once of one address (of IPv6: of one /64); all addresses have 1024.");
  flags.Switch("refuse-after-failures", options.per_source.refuse_after_failures,
               "Refuse an address for 15 s, up to 10 min if it goes on, after three calls with wrong credentials. Give "
               "=false behind a proxy, where all clients have one address.");
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
      "The program transportd-spawn, which starts subprocesses; found beside transportd, in ../libexec/transportd or "
      "../bin, when it is not given.");
  flags.Choice("log-level", {"debug", "info", "warning", "error"}, raw.log_level, "What is written to standard error.");
  flags.Choice("log-format", {"text", "json"}, raw.log_format,
               "How that is written: for people, or a JSON object a line.");

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
              "What all sessions together may hold in buffers; beyond it those that hold more than their share wait.");

  flags.Group("Other");
  flags.Text("config", "FILE", raw.config, "Flags, one a line, as --print-config prints them (config.proto).");
  flags.Switch(
      "print-config", options.print_config,
      "Prints every flag with where its value comes from, as a file for --config, says what is wrong with them, "
      "and ends.");
  flags.Choice("completion", {std::begin(kShellNames), std::end(kShellNames)}, options.completion,
               "Prints a script with which this shell completes transportd's flags, and ends.");
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

absl::StatusOr<ListenAddress> ReadAddress(const char* flag, const std::string& text) {
  absl::StatusOr<ListenAddress> address = ParseListenAddress(text);
  if (!address.ok())
    return BadConfiguration(StrCat(flag, "=", std::string(ToTransportError(address.status()).message)));
  return address;
}

absl::Status CheckSecurity(const Options& options) {
  const std::pair<const char*, const std::string*> of_policies[] = {
      {"--policy", &options.policy},         {"--shadow-policy", &options.shadow_policy},
      {"--identities", &options.identities}, {"--tls-certificate", &options.tls_certificate},
      {"--tls-key", &options.tls_key},       {"--tls-client-ca", &options.tls_client_ca}};
  if (options.dev) {
    for (const auto& [flag, value] : of_policies) {
      if (value->empty()) continue;
      return BadConfiguration(StrCat(flag, ": --dev lets every caller do everything; start it without --dev"));
    }
    if (options.audit_log != Options().audit_log) {
      return BadConfiguration("--audit-log: --dev decides nothing, so nothing is recorded; start it without --dev");
    }
    return absl::OkStatus();
  }
  if (options.policy.empty()) {
    return BadConfiguration(
        "neither --dev nor --policy: nobody would be allowed anything. Start it with --dev, for local use on loopback "
        "and Unix sockets, or with --policy=FILE (transportctl policy check FILE)");
  }
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return BadConfiguration("--tls-certificate and --tls-key: one goes with the other");
  }
  if (!options.tls_client_ca.empty() && options.tls_certificate.empty()) {
    return BadConfiguration("--tls-client-ca: needs --tls-certificate and --tls-key");
  }
  return absl::OkStatus();
}

// Why nobody could, or anybody could, come through it; null: it is sound.
bool IsAbstract(const ListenAddress& address) {
  return address.address.family == AddressFamily::kUnix && address.address.path.starts_with('\0');
}

// Why operators may not be answered there; null: they may.
const char* AdminProblem(const ListenAddress& address) {
  if (address.address.family != AddressFamily::kUnix && !address.local) {
    return "must be on loopback or a Unix socket: tokens would cross a network in the clear. Metrics alone may be "
           "asked "
           "for from elsewhere: --metrics-listen";
  }
  if (IsAbstract(address)) return "must have a path, whose permissions say who may connect";
  if (address.plaintext || !address.uids.empty()) return "takes principal=NAME and mode=OCTAL only";
  return nullptr;
}

const char* ListenProblem(const Options& options, const ListenAddress& address) {
  const bool is_unix = address.address.family == AddressFamily::kUnix;
  if (options.dev) {
    if (address.principal) return "principal: with --dev everybody is `dev`";
    return address.local ? nullptr
                         : "--dev lets every caller do everything, so it listens on loopback (127.0.0.1, [::1]) and on "
                           "Unix sockets only";
  }
  if (is_unix) {
    if (!address.principal && options.identities.empty()) {
      return "nobody could be identified there: add principal=NAME, or --identities=FILE with tokens";
    }
    return nullptr;
  }
  if (!address.plaintext && options.tls_certificate.empty()) {
    return "needs --tls-certificate and --tls-key (or, on loopback behind a proxy of its own, plaintext)";
  }
  const bool has_certificates = !address.plaintext && !options.tls_client_ca.empty();
  if (!has_certificates && options.identities.empty()) {
    return address.plaintext
               ? "nobody could be identified there: give --identities=FILE with tokens (--tls-client-ca is for TLS)"
               : "nobody could be identified there: give --tls-client-ca=FILE, or --identities=FILE with tokens";
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<Options> ParseOptions(std::span<const char* const> arguments, Environment environment,
                                     absl::FunctionRef<void(const std::string& text)> print) {
  Raw raw;
  FlagTable flags;
  AddFlags(raw, flags);
  if (absl::Status status = Configure(flags, arguments, environment); !status.ok()) return status;
  Options& options = raw.options;
  if (options.help || options.version || !options.completion.empty()) return options;
  if (options.print_config) print(PrintConfiguration(flags));

  options.keep_on_reload = raw.policy_reload == "keep";
  options.refuse_without_audit = raw.audit_on_failure == "refuse";
  if (absl::Status status = CheckSecurity(options); !status.ok()) return status;
  for (const std::string& text : raw.listen) {
    absl::StatusOr<ListenAddress> address = ReadAddress("--listen", text);
    if (!address.ok()) return address.status();
    if (const char* problem = ListenProblem(options, *address); problem != nullptr) {
      return BadConfiguration(StrCat("--listen=", text, ": ", problem));
    }
    options.listen.push_back(*std::move(address));
  }
  for (const std::string& text : raw.health_listen) {
    absl::StatusOr<ListenAddress> address = ReadAddress("--health-listen", text);
    if (!address.ok()) return address.status();
    if (address->plaintext || address->principal) {
      return BadConfiguration(StrCat("--health-listen=", text,
                                     ": takes no plaintext and no principal: all is plaintext, and nobody asked who"));
    }
    options.health_listen.push_back(*std::move(address));
  }
  for (const std::string& text : raw.admin_listen) {
    absl::StatusOr<ListenAddress> address = ReadAddress("--admin-listen", text);
    if (!address.ok()) return address.status();
    if (const char* problem = AdminProblem(*address); problem != nullptr) {
      return BadConfiguration(StrCat("--admin-listen=", text, ": ", problem));
    }
    options.admin_listen.push_back(*std::move(address));
  }
  for (const std::string& text : raw.metrics_listen) {
    absl::StatusOr<ListenAddress> address = ReadAddress("--metrics-listen", text);
    if (!address.ok()) return address.status();
    if (address->plaintext || address->principal || IsAbstract(*address) || !address->uids.empty()) {
      return BadConfiguration(StrCat("--metrics-listen=", text, ": give ADDRESS:PORT, or unix:PATH with mode=OCTAL"));
    }
    options.metrics_listen.push_back(*std::move(address));
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
  options.log_json = raw.log_format == "json";
  return options;
}

std::string OptionsHelp() {
  Raw raw;
  FlagTable flags;
  AddFlags(raw, flags);
  return StrCat(kUsage, flags.Help(), kAfter);
}

std::string OptionsCompletion(const std::string& shell) {
  Raw raw;
  FlagTable flags;
  AddFlags(raw, flags);
  return CompletionScript(*FindShell(shell), {.program = "transportd", .options = flags.Completion()});
}

}  // namespace transportd
