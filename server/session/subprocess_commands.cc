// subprocess_exec and subprocess_shell, and the methods of subprocesses.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/session/command_table.h"
#include "server/session/commands.h"
#include "server/session/convert.h"
#include "server/session/subprocess_handle.h"
#include "transports/api/error.h"
#include "transports/base/signal_name.h"

namespace transportd {

namespace {

absl::StatusOr<Stdio> StdioOf(v1::Stdio stdio, std::string_view field) {
  switch (stdio) {
    case v1::STDIO_UNSPECIFIED:
    case v1::STDIO_PIPE:
      return Stdio::kPipe;
    case v1::STDIO_NULL:
      return Stdio::kNull;
    case v1::STDIO_INHERIT:
      return Stdio::kInherit;
    case v1::STDIO_STDOUT:
      return Stdio::kStdout;
    case v1::STDIO_PTY:
      return Stdio::kPty;
    default:
      return InvalidArgument("INVALID_STDIO", field, "none that this service knows");
  }
}

absl::StatusOr<AccountId> AccountOf(const v1::Account& account, std::string_view reason, std::string_view field) {
  if (account.has_name()) return AccountId(account.name());
  if (account.has_id()) return AccountId(account.id());
  return InvalidArgument(reason, field, "a number or a name is needed");
}

// Copies what is set; the first error.
class OptionsReader {
 public:
  explicit OptionsReader(const v1::SubprocessOptions& in) : in_(in) {
    Keep(StdioOf(in.stdin(), "stdin"), out_.stdin_kind);
    Keep(StdioOf(in.stdout(), "stdout"), out_.stdout_kind);
    Keep(StdioOf(in.stderr(), "stderr"), out_.stderr_kind);
    if (in.has_cwd()) out_.cwd = in.cwd();
    if (in.has_env()) ReadEnvironment();
    if (in.has_executable()) out_.executable = in.executable();
    ReadIdentity();
    if (in.has_umask()) out_.umask = in.umask();
    out_.restore_signals = !in.has_restore_signals() || in.restore_signals();
    if (in.has_pipesize_bytes()) out_.pipesize_bytes = in.pipesize_bytes();
    if (in.has_window_size()) {
      out_.window_size = WindowSize{.rows = in.window_size().rows(), .columns = in.window_size().columns()};
    }
    if (in.has_drain_timeout()) out_.drain_timeout = FromProto(in.drain_timeout());
    out_.write_buffer_limits = FromProto(in.write_buffer_limits());
  }

  absl::StatusOr<SubprocessOptions> Take() {
    if (!status_.ok()) return status_;
    return std::move(out_);
  }

 private:
  template <typename T, typename Place>
  void Keep(absl::StatusOr<T> value, Place& place) {
    if (value.ok()) {
      place = *std::move(value);
    } else if (status_.ok()) {
      status_ = value.status();
    }
  }

  void ReadEnvironment() {
    out_.env.emplace();
    for (const v1::EnvironmentVariable& variable : in_.env().variables()) {
      out_.env->emplace_back(variable.name(), variable.value());
    }
  }

  void ReadIdentity() {
    out_.start_new_session = in_.start_new_session();
    // A client's children do not get the signals of the service's terminal, and are ended as a whole.
    if (in_.has_process_group()) {
      out_.process_group = in_.process_group();
    } else if (!out_.start_new_session && out_.stdin_kind != Stdio::kPty) {
      out_.process_group = 0;
    }
    if (in_.has_user()) Keep(AccountOf(in_.user(), "INVALID_USER", "user"), out_.user);
    if (in_.has_group()) Keep(AccountOf(in_.group(), "INVALID_GROUP", "group"), out_.group);
    if (!in_.has_extra_groups()) return;
    out_.extra_groups.emplace();
    for (const v1::Account& account : in_.extra_groups().accounts()) {
      Keep(AccountOf(account, "INVALID_GROUP", "extra_groups"), out_.extra_groups->emplace_back());
    }
  }

  const v1::SubprocessOptions& in_;
  SubprocessOptions out_;
  absl::Status status_;
};

// The protocol of a subprocess whose session is gone before it was made.
class RefusingSubprocessProtocol final : public SubprocessProtocol {
 public:
  void ConnectionMade(std::shared_ptr<SubprocessTransport> transport) override { transport->Close(); }
};

SubprocessProtocolFactory HandleFactory(std::weak_ptr<Session> weak_session, SubprocessHandle::Origin origin) {
  return [weak_session = std::move(weak_session),
          origin = std::move(origin)]() mutable -> std::shared_ptr<SubprocessProtocol> {
    if (std::shared_ptr<Session> session = weak_session.lock()) {
      return std::make_shared<SubprocessHandle>(std::move(session), std::move(origin));
    }
    return std::make_shared<RefusingSubprocessProtocol>();
  };
}

// For the subprocess and each of its pipes.
absl::StatusOr<std::vector<std::shared_ptr<void>>> TakePlaces(Session& session, const SubprocessOptions& options) {
  size_t count = 1;
  for (const Stdio kind : {options.stdin_kind, options.stdout_kind, options.stderr_kind}) count += kind == Stdio::kPipe;
  count += options.stdin_kind == Stdio::kPty;
  std::vector<std::shared_ptr<void>> places;
  while (places.size() < count) {
    absl::StatusOr<std::shared_ptr<void>> place = session.TakePlace();
    if (!place.ok()) return place.status();
    places.push_back(*std::move(place));
  }
  return places;
}

std::vector<std::string> EnvironmentNames(const SubprocessOptions& options) {
  std::vector<std::string> names;
  if (options.env) {
    for (const auto& [name, value] : *options.env) names.push_back(name);
  }
  return names;
}

// What policy.proto says that a program of a grant gets besides.
void SetConfinedEnvironment(SubprocessOptions& options) {
  if (!options.env) options.env.emplace();
  if (!options.cwd) options.cwd = "/";
  auto& env = *options.env;
  const auto add = [&env](std::string_view name, const std::string& value) {
    const bool is_set =
        std::any_of(env.begin(), env.end(), [&](const auto& variable) { return variable.first == name; });
    if (!is_set) env.emplace_back(name, value);
  };
  add("PATH", "/usr/bin:/bin");
  add("HOME", *options.cwd);
  for (const char* name : {"LANG", "TZ"}) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets the environment once threads run.
    if (const char* value = std::getenv(name); value != nullptr) add(name, value);
  }
}

// A path's longest; limits.h, PATH_MAX.
constexpr size_t kMaxProgramBytes = 4096;
constexpr char kShell[] = "/bin/sh";  // What subprocess_shell runs, and argv[0].

using Done = absl::AnyInvocable<void(absl::StatusOr<Subprocess>)>;

// `start(factory, options, done)` is the loop's method; `response`: where its answer goes in the reply.
template <typename Response, typename Start>
void StartSubprocess(const CommandContext& context, const v1::SubprocessOptions& request, std::string requested,
                     std::string program_name, std::vector<std::string> args, Response* (v1::Reply::*response)(),
                     Start start) {
  absl::StatusOr<SubprocessOptions> options = OptionsReader(request).Take();
  if (!options.ok()) return context.call->Fail(options.status());
  absl::StatusOr<std::vector<std::shared_ptr<void>>> places = TakePlaces(context.session, *options);
  if (!places.ok()) return context.call->Fail(places.status());
  const std::string program = program_name.substr(0, kMaxProgramBytes);
  absl::StatusOr<std::shared_ptr<OperationGate>> gate =
      context.session.BeginOperation(*context.call, {.kind = GuardedOperation::Kind::kSubprocess,
                                                     .method = CommandMethod(context.command.command_case()),
                                                     .requested = std::move(requested),
                                                     .program_name = std::move(program_name),
                                                     .args = std::move(args),
                                                     .env_names = EnvironmentNames(*options)});
  if (!gate.ok()) return context.call->Fail(gate.status());
  if (*gate != nullptr) SetConfinedEnvironment(*options);
  options->gate = *gate;
  Done done = [session = context.session.shared_from_this(), call = context.call,
               response](absl::StatusOr<Subprocess> subprocess) {
    if (!subprocess.ok()) return call->Fail(subprocess.status());
    const auto& handle = static_cast<const SubprocessHandle&>(*subprocess->protocol);
    if (handle.id() == 0) return call->Fail(NoRoom());
    if (handle.gate() != nullptr && !subprocess->not_confined.empty()) {
      handle.gate()->NotConfined(subprocess->not_confined);
    }
    v1::Reply reply;
    Response& out = *(reply.*response)();
    out.set_transport_id(handle.id());
    out.set_pid(static_cast<uint32_t>(subprocess->transport->GetPid()));
    *out.mutable_pipes() = handle.pipes();
    call->Answer(std::move(reply));
  };
  const SubprocessHandle::Origin origin{.request_id = context.call->request_id(),
                                        .places = *std::move(places),
                                        .gate = *std::move(gate),
                                        .program = program};
  CancelWith(context,
             start(HandleFactory(context.session.weak_from_this(), origin), *std::move(options), std::move(done)));
}

void SubprocessExec(const CommandContext& context) {
  const v1::SubprocessExecRequest& request = context.command.subprocess_exec();
  StartSubprocess<v1::SubprocessExecResponse>(
      context, request.options(), request.program(), request.program(), {request.args().begin(), request.args().end()},
      &v1::Reply::mutable_subprocess_exec,
      [&](SubprocessProtocolFactory factory, SubprocessOptions options, Done done) {
        return context.session.loop().SubprocessExec(std::move(factory), request.program(),
                                                     {request.args().begin(), request.args().end()}, std::move(options),
                                                     std::move(done));
      });
}

void SubprocessShell(const CommandContext& context) {
  const v1::SubprocessShellRequest& request = context.command.subprocess_shell();
  StartSubprocess<v1::SubprocessShellResponse>(
      context, request.options(), request.cmd(), kShell, {"-c", request.cmd()}, &v1::Reply::mutable_subprocess_shell,
      [&](SubprocessProtocolFactory factory, SubprocessOptions options, Done done) {
        return context.session.loop().SubprocessShell(std::move(factory), request.cmd(), std::move(options),
                                                      std::move(done));
      });
}

// Methods. `reply`: what is answered when `call(transport, done)` is done, or when the subprocess is lost.
template <typename Method>
void CallMethod(const CommandContext& context, uint32_t id, v1::Reply reply, Method method) {
  const absl::StatusOr<SubprocessHandle*> handle = context.session.Find<SubprocessHandle>(id);
  if (!handle.ok()) return context.call->Fail(handle.status());
  if (*handle == nullptr) return context.call->Answer(std::move(reply));
  method((*handle)->transport(), [call = context.call, reply = std::move(reply)](absl::Status status) mutable {
    if (!status.ok()) return call->Fail(status);
    call->Answer(std::move(reply));
  });
}

absl::StatusOr<int> SignalOf(const v1::SendSignalRequest& request) {
  if (request.has_number()) return request.number();  // The transport looks at it.
  const std::optional<int> number = SignalNumber(request.name());
  if (number) return *number;
  return InvalidArgument("INVALID_SIGNAL", "signal", "0 to 64, or a signal's name");
}

void SendSignal(const CommandContext& context) {
  const v1::SendSignalRequest& request = context.command.send_signal();
  const absl::StatusOr<int> number = SignalOf(request);
  if (!number.ok()) return context.call->Fail(number.status());
  v1::Reply reply;
  reply.mutable_send_signal();
  CallMethod(context, request.transport_id(), std::move(reply),
             [&](SubprocessTransport& transport, auto done) { transport.SendSignal(*number, std::move(done)); });
}

void Terminate(const CommandContext& context) {
  v1::Reply reply;
  reply.mutable_terminate();
  CallMethod(context, context.command.terminate().transport_id(), std::move(reply),
             [](SubprocessTransport& transport, auto done) { transport.Terminate(std::move(done)); });
}

void Kill(const CommandContext& context) {
  v1::Reply reply;
  reply.mutable_kill();
  CallMethod(context, context.command.kill().transport_id(), std::move(reply),
             [](SubprocessTransport& transport, auto done) { transport.Kill(std::move(done)); });
}

void Resize(const CommandContext& context) {
  const v1::ResizeRequest& request = context.command.resize();
  v1::Reply reply;
  reply.mutable_resize();
  CallMethod(context, request.transport_id(), std::move(reply), [&](SubprocessTransport& transport, auto done) {
    transport.Resize({.rows = request.size().rows(), .columns = request.size().columns()}, std::move(done));
  });
}

constexpr CommandRow kSubprocessRows[] = {
    {v1::Command::kSubprocessExec, /*may_wait=*/true, SubprocessExec},
    {v1::Command::kSubprocessShell, /*may_wait=*/true, SubprocessShell},
    {v1::Command::kSendSignal, /*may_wait=*/false, SendSignal},
    {v1::Command::kTerminate, /*may_wait=*/false, Terminate},
    {v1::Command::kKill, /*may_wait=*/false, Kill},
    {v1::Command::kResize, /*may_wait=*/false, Resize},
};

}  // namespace

std::span<const CommandRow> SubprocessCommands() { return kSubprocessRows; }

}  // namespace transportd
