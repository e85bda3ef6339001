// transportd: flags, wiring, signals.
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "google/protobuf/stubs/logging.h"
#include "google/protobuf/util/time_util.h"
#include "proto/grpc/process_tuning.h"
#include "server/admin/admin_site.h"
#include "server/admin/http_server.h"
#include "server/admin/metrics.h"
#include "server/listen/accept_thread.h"
#include "server/listen/listen_address.h"
#include "server/ops/address_file.h"
#include "server/ops/certificate_status.h"
#include "server/ops/file_limit.h"
#include "server/ops/json_log.h"
#include "server/ops/options.h"
#include "server/ops/process_status.h"
#include "server/ops/security.h"
#include "server/ops/service_notifier.h"
#include "server/ops/stop_signals.h"
#include "server/ops/tls_identities.h"
#include "server/rpc/health_service.h"
#include "server/rpc/reflection_service.h"
#include "server/rpc/router.h"
#include "server/rpc/rpc_server.h"
#include "server/rpc/tls_credentials.h"
#include "server/rpc/transport_routes.h"
#include "server/session/session_manager.h"
#include "transports/api/error.h"
#include "transports/base/clock.h"
#include "transports/base/logging.h"
#include "transports/base/str_cat.h"
#include "transports/loop/epoll_event_loop.h"
#include "transports/pipe/inherited_pipes.h"
#include "transports/subprocess/own_memory.h"
#include "transports/subprocess/spawn_child.h"
#include "transports/tls/system_trust_roots.h"

namespace transportd {
namespace {

constexpr int kExitFailure = 1;
constexpr int kExitBadConfiguration = 78;  // EX_CONFIG of sysexits.h.

// For calls that are not a session's, when the service stops.
constexpr std::chrono::seconds kShutdownGrace(1);

int Fail(const absl::Status& status, int exit_status) {
  const std::string message(ToTransportError(status).message);
  std::fprintf(stderr, "transportd: %s\n", message.c_str());
  return exit_status;
}

// The same, with the flag that it is about.
absl::Status About(std::string_view flag, const absl::Status& status) {
  return absl::Status(status.code(), ToAbsl(StrCat(flag, ": ", ToTransportError(status).message)));
}

// How long a service manager is asked to wait after the drain, for transports and subprocesses to end.
constexpr std::chrono::seconds kLongestStop(15);

// A gRPC server for each kind of listener: with TLS and without, and for each principal that one stands for.
using RpcServers = std::vector<std::unique_ptr<RpcServer>>;

absl::StatusOr<RpcServers> Listen(const Options& options, Security& security,
                                  const std::shared_ptr<AcceptThread>& accept) {
  std::map<std::pair<bool, std::optional<std::string>>, RpcServer::Options> groups;
  for (const ListenAddress& address : options.listen) {
    const bool is_unix = address.address.family == AddressFamily::kUnix;
    const bool has_tls = !is_unix && !address.plaintext && security.certificate() != nullptr;
    RpcServer::Options& rpc = groups[{has_tls, address.principal}];
    rpc.listen.push_back(address);
    rpc.identifier = &security.identifier();
    rpc.principal = address.principal;
    rpc.accept = accept;
    if (has_tls && rpc.credentials == nullptr) {
      rpc.credentials =
          TlsCredentials(*security.certificate(), security.certificates_only() ? ClientCertificateUse::kRequired
                                                                               : ClientCertificateUse::kOptional);
    }
    rpc.thread_count = options.grpc_threads;
    rpc.max_concurrent_streams = options.max_concurrent_streams;
    rpc.max_message_bytes = options.session_limits.max_client_frame_bytes;
    rpc.buffer_bytes = options.grpc_buffer_bytes;
  }
  RpcServers servers;
  for (const auto& [key, rpc] : groups) {
    auto server = RpcServer::Create(rpc);
    if (!server.ok()) return About("--listen", server.status());
    servers.push_back(*std::move(server));
  }
  return servers;
}

// The listeners of --health-listen: all plaintext, and they answer nothing else.
constexpr std::chrono::hours kLongestHealthConnection(1);

absl::StatusOr<std::unique_ptr<RpcServer>> ListenForHealth(const Options& options, Security& security) {
  auto accept = AcceptThread::Create(security.health_guard(), kLongestHealthConnection);
  if (!accept.ok()) return accept.status();
  RpcServer::Options rpc;
  rpc.listen = options.health_listen;
  rpc.identifier = &security.identifier();  // Is not asked: health is for everybody.
  rpc.accept = *std::move(accept);
  rpc.max_concurrent_streams = 16;
  rpc.max_message_bytes = 1024;
  rpc.buffer_bytes = 16 * 1024 * 1024;
  auto server = RpcServer::Create(rpc);
  if (!server.ok()) return About("--health-listen", server.status());
  return server;
}

// Those of --admin-listen and --metrics-listen; `server` stays null when there are none. Appends what is bound.
absl::Status ListenForOperators(const Options& options, const AdminSite& site, std::unique_ptr<HttpServer>& server,
                                std::vector<SocketAddress>& addresses) {
  if (options.admin_listen.empty() && options.metrics_listen.empty()) return absl::OkStatus();
  for (const ListenAddress& address : options.admin_listen) {
    if (options.dev || address.principal || !options.identities.empty()) continue;
    LogWarning("nobody can be known on --admin-listen=", address.target,
               ": there are no tokens (--identities); a Unix socket may stand for somebody (unix:PATH,principal=NAME)");
  }
  auto created = HttpServer::Create();
  if (!created.ok()) return created.status();
  server = *std::move(created);
  const auto listen = [&](std::string_view flag, const ListenAddress& address,
                          void (AdminSite::*answer)(const HttpRequest&, RespondHttp) const,
                          std::string_view what) -> absl::Status {
    const auto bound = server->Listen(address, [&site, answer](const HttpRequest& request, RespondHttp respond) {
      (site.*answer)(request, std::move(respond));
    });
    if (!bound.ok()) return About(flag, bound.status());
    addresses.push_back(*bound);
    const bool is_unix = bound->family == AddressFamily::kUnix;
    LogInfo(what, is_unix ? "unix:" : "http://", bound->ToString(), is_unix ? "" : "/");
    return absl::OkStatus();
  };
  for (const ListenAddress& address : options.admin_listen) {
    if (absl::Status status = listen("--admin-listen", address, &AdminSite::Answer, "the status page is on ");
        !status.ok())
      return status;
  }
  for (const ListenAddress& address : options.metrics_listen) {
    if (absl::Status status = listen("--metrics-listen", address, &AdminSite::AnswerMetrics, "metrics are on ");
        !status.ok())
      return status;
  }
  return absl::OkStatus();
}

// Where each listener can be dialled: in the order of --listen, for scripts that read --address-file. Each server has
// its own in that order.
std::vector<std::string> DialAddresses(const Options& options, const RpcServers& servers) {
  std::vector<std::string> addresses;
  std::vector<size_t> taken_counts(servers.size());
  for (const ListenAddress& address : options.listen) {
    for (size_t i = 0; i < servers.size(); ++i) {
      const std::vector<ListenAddress>& listeners = servers[i]->listeners();
      size_t& taken_count = taken_counts[i];
      if (taken_count == listeners.size()) continue;
      const ListenAddress& next = listeners[taken_count];
      if (next.target != address.target || next.principal != address.principal || next.plaintext != address.plaintext) {
        continue;
      }
      addresses.push_back(servers[i]->addresses()[taken_count++]);
      break;
    }
  }
  return addresses;
}

// What clients are told. A wildcard is no address that can be dialled.
std::string InstanceTarget(const Options& options, const std::string& first_address) {
  if (!options.instance_target.empty()) return options.instance_target;
  const bool is_wildcard = first_address.starts_with("0.0.0.0:") || first_address.starts_with("[::]:");
  return is_wildcard ? std::string() : first_address;
}

void WarnOfFewDescriptors(int descriptor_limit, uint32_t max_transport_count) {
  if (std::cmp_greater_equal(descriptor_limit, max_transport_count)) return;
  LogWarning("sockets may have ", descriptor_limit,
             " file descriptors, fewer than --max-transport-count=", max_transport_count,
             ": raise the hard limit (ulimit -n)");
}

// To a service manager. That it does not listen is no reason to stop.
void WarnUnlessOk(const absl::Status& status) {
  if (!status.ok()) LogWarning("the service manager cannot be told: ", ToTransportError(status).message);
}

// Waits for the first signal; then, at most drain_timeout, for the last session's end or the second signal.
void ServeUntilStopped(const Options& options, StopSignals& signals, SessionManager& manager, HealthService& health,
                       Security& security, const ServiceNotifier& notifier) {
  for (;;) {
    const StopSignals::Event event = signals.Wait();
    if (event == StopSignals::Event::kSignal) break;
    if (event == StopSignals::Event::kReload) security.Reload();
  }
  LogInfo("stopping: waiting at most ", absl::FormatDuration(absl::FromChrono(options.drain_timeout)),
          " for the open sessions to end; a second signal ends them now");
  WarnUnlessOk(notifier.Stopping(std::chrono::ceil<std::chrono::microseconds>(options.drain_timeout + kLongestStop),
                                 "waits for the open sessions to end"));
  security.Record(AuditEvent::kDrainBegin);
  health.SetNotServing();
  manager.Drain(options.drain_timeout);
  manager.WaitIdle([&signals] { signals.Wake(); });
  const auto timeout = std::chrono::ceil<std::chrono::milliseconds>(options.drain_timeout);
  if (signals.Wait(timeout) != StopSignals::Event::kWoken) LogInfo("stopping: ending the open sessions");
  security.Record(AuditEvent::kDrainEnd);
}

void Stop(StopSignals& signals, SessionManager& manager) {
  std::atomic<bool> stopped = false;
  manager.Stop([&] {
    stopped = true;
    signals.Wake();
  });
  while (!stopped) signals.Wait();
}

// Before anything else is opened, so that the numbers are those of the start.
absl::Status TakeInherited(const std::vector<int>& fds, EpollEventLoop::Options& loop, InheritedPipes& pipes) {
  for (const int fd : fds) {
    struct stat status = {};
    if (::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode)) {
      ::fcntl(fd, F_SETFD, FD_CLOEXEC);
      loop.inherited_fds.push_back(fd);
    } else if (absl::Status added = pipes.Add(fd); !added.ok()) {
      return added;
    }
  }
  loop.inherited_pipes = &pipes;
  return absl::OkStatus();
}

int Run(const Options& options, std::string_view notify_socket) {
  const auto notifier = ServiceNotifier::Create(notify_socket);
  if (!notifier.ok()) return Fail(notifier.status(), kExitBadConfiguration);
  InheritedPipes inherited_pipes;
  EpollEventLoop::Options loop_options;
  if (absl::Status status = TakeInherited(options.inherited_fds, loop_options, inherited_pipes); !status.ok()) {
    return Fail(status, kExitBadConfiguration);
  }
  // Otherwise every string of a client that is not UTF-8 writes a line; the client hears of it in its own error.
  google::protobuf::SetLogHandler(nullptr);
  auto signals = StopSignals::Create(options.dev ? StopSignals::Hangup::kDefault : StopSignals::Hangup::kReloads);
  if (!signals.ok()) return Fail(signals.status(), kExitFailure);
  SetMinLogLevel(options.log_level);
  static JsonLog json_log;  // Threads of libraries may log to the last.
  if (options.log_json) SetLogSink(&json_log);
  const FileLimit file_limit = RaiseFileLimit();
  const int descriptor_limit = DescriptorLimit(file_limit.raised);
  LogDebug("at most ", file_limit.raised, " file descriptors");
  WarnOfFewDescriptors(descriptor_limit, options.service_limits.max_transport_count);

  const auto start_time = std::chrono::system_clock::now();
  auto tls_identities = ReadTlsIdentities(options.tls_identity);
  if (!tls_identities.ok()) return Fail(tls_identities.status(), kExitBadConfiguration);
  std::vector<v1::CertificateStatus> identity_certificates;
  for (const auto& [name, identity] : *tls_identities) {
    identity_certificates.push_back(DescribeCertificate(name, identity.certificate_chain_pem));
  }

  auto security = Security::Create(options);
  if (!security.ok()) return Fail(security.status(), kExitBadConfiguration);
  auto accept = AcceptThread::Create((*security)->connection_guard(), options.authentication_timeout);
  if (!accept.ok()) return Fail(accept.status(), kExitFailure);
  auto servers = Listen(options, **security, *accept);
  if (!servers.ok()) return Fail(servers.status(), kExitFailure);
  const std::vector<std::string> addresses = DialAddresses(options, *servers);
  RpcServers health_servers;
  if (!options.health_listen.empty()) {
    auto server = ListenForHealth(options, **security);
    if (!server.ok()) return Fail(server.status(), kExitFailure);
    health_servers.push_back(*std::move(server));
  }
  std::vector<SocketAddress> own_addresses;
  for (const RpcServers* const all : {&*servers, &health_servers}) {
    for (const std::unique_ptr<RpcServer>& server : *all) {
      own_addresses.insert(own_addresses.end(), server->sockets().begin(), server->sockets().end());
    }
  }
  if (!options.dev) {
    // So that no child can read keys and tokens in this process.
    if (absl::Status status = HideOwnMemory(); !status.ok()) return Fail(status, kExitFailure);
  }

  const Authorizer& authorizer = (*security)->authorizer();
  SessionManager::Options manager_options;
  manager_options.loop_count = options.loops;
  manager_options.session_limits = options.session_limits;
  manager_options.service_limits = options.service_limits;
  manager_options.instance_target = InstanceTarget(options, addresses.front());
  manager_options.authorizer = &authorizer;
  loop_options.descriptor_limit = descriptor_limit;
  loop_options.trust_roots = std::make_shared<SystemTrustRoots>();
  loop_options.tls_identities = std::make_shared<const TlsIdentities>(*std::move(tls_identities));
  loop_options.spawn_helper = options.spawn_helper ? *options.spawn_helper : FindSpawnHelper();
  loop_options.child_descriptor_limit = file_limit.before;
  loop_options.kill_children_with_program = true;
  if (loop_options.spawn_helper->empty()) {
    LogWarning("transportd-spawn is not beside transportd: no subprocess can be started (--spawn-helper)");
  }
  manager_options.describe_service = [&security = **security, identity_certificates,
                                      start_time](v1::GetStatusResponse& status) {
    *status.mutable_time() = google::protobuf::util::TimeUtil::GetCurrentTime();
    *status.mutable_version() = DescribeVersion(std::chrono::system_clock::now() - start_time);
    security.Describe(status);
    status.mutable_certificates()->Add(identity_certificates.begin(), identity_certificates.end());
    *status.mutable_process() = GetProcessStatus();
  };
  const auto describe_service = manager_options.describe_service;
  manager_options.loop = std::move(loop_options);
  auto manager = SessionManager::Create(std::move(manager_options));
  if (!manager.ok()) return Fail(manager.status(), kExitFailure);

  // Ends before what it answers from.
  const AdminSite site(**manager, (*security)->identifier(), (*security)->admin_guard(),
                       [&manager, &security, &describe_service, start_time] {
                         return WriteMetrics({.manager = manager->get(),
                                              .security = security->get(),
                                              .grpc_version = grpc::Version(),
                                              .start_time = start_time,
                                              .describe_service = describe_service});
                       });
  std::unique_ptr<HttpServer> http_server;
  if (absl::Status status = ListenForOperators(options, site, http_server, own_addresses); !status.ok()) {
    return Fail(status, kExitFailure);
  }
  if (absl::Status status = (*security)->SetOwnAddresses(own_addresses); !status.ok()) {
    return Fail(status, kExitBadConfiguration);
  }

  Router router;
  AddTransportRoutes(**manager, authorizer, SystemClock(), options.session_limits.max_client_frame_bytes, router);
  HealthService health(router.services());
  ReflectionService reflection(router.services(), authorizer);
  health.AddRoutes(router);
  Router health_router;
  health.AddRoutes(health_router);
  if (options.reflection) reflection.AddRoutes(router);
  if (absl::Status status = (*security)->StartReloading([&manager] { (*manager)->Recheck(); }); !status.ok()) {
    return Fail(status, kExitFailure);
  }
  (*security)->Record(AuditEvent::kServiceStart);
  for (const std::unique_ptr<RpcServer>& server : *servers) server->Serve(router);
  for (const std::unique_ptr<RpcServer>& server : health_servers) server->Serve(health_router);

  int exit_status = EXIT_SUCCESS;
  {
    std::unique_ptr<AddressFile> address_file;
    if (!options.address_file.empty()) {
      auto created = AddressFile::Create(options.address_file, addresses);
      if (created.ok()) {
        address_file = *std::move(created);
      } else {
        exit_status = Fail(created.status(), kExitFailure);
      }
    }
    if (exit_status == EXIT_SUCCESS) {
      for (const std::string& address : addresses) LogInfo("transportd ", TRANSPORTD_VERSION, " listens on ", address);
      for (const std::unique_ptr<RpcServer>& server : health_servers) {
        for (const std::string& address : server->addresses()) LogInfo("health is answered on ", address);
      }
      WarnUnlessOk(notifier->Ready(StrCat("listens on ", absl::StrJoin(addresses, ", "))));
      ServeUntilStopped(options, **signals, **manager, health, **security, *notifier);
    }
  }
  http_server = nullptr;
  (*security)->StopReloading();  // What it tells the manager of ends with the manager.
  Stop(**signals, **manager);
  health.Stop();
  (*accept)->Close();
  for (const std::unique_ptr<RpcServer>& server : *servers) server->Shutdown(kShutdownGrace);
  for (const std::unique_ptr<RpcServer>& server : health_servers) server->Shutdown(std::chrono::seconds(0));
  (*security)->Record(AuditEvent::kServiceStop);
  LogInfo("stopped");
  return exit_status;
}

}  // namespace
}  // namespace transportd

int main(int argc, char** argv) {
  transportd::TuneProcess();
  // A thread of gRPC's that has nothing to do here. Before any other thread, so that nobody reads the environment.
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs yet.
  setenv("GRPC_EXPERIMENTS", "-posix_event_engine_enable_polling", /*overwrite=*/0);
  // It writes what strangers send, a line for each bad header.
  // NOLINTNEXTLINE(concurrency-mt-unsafe): as above.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  const auto options = transportd::ParseOptions(
      {argv + (argc > 0 ? 1 : 0), argv + argc},
      // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs yet.
      [](const char* name) -> const char* { return std::getenv(name); },
      [](const std::string& text) { std::fputs(text.c_str(), stdout); });
  if (!options.ok()) return transportd::Fail(options.status(), transportd::kExitBadConfiguration);
  if (options->help) {
    std::fputs(transportd::OptionsHelp().c_str(), stdout);
    return EXIT_SUCCESS;
  }
  if (!options->completion.empty()) {
    std::fputs(transportd::OptionsCompletion(options->completion).c_str(), stdout);
    return EXIT_SUCCESS;
  }
  if (options->version) {
    std::puts("transportd " TRANSPORTD_VERSION);
    return EXIT_SUCCESS;
  }
  if (options->print_config) return EXIT_SUCCESS;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs yet.
  const char* const variable = std::getenv("NOTIFY_SOCKET");
  const std::string notify_socket = variable != nullptr ? variable : "";
  // Programs that are started here have nothing to tell the manager.
  // NOLINTNEXTLINE(concurrency-mt-unsafe): as above.
  unsetenv("NOTIFY_SOCKET");
  return transportd::Run(*options, notify_socket);
}
