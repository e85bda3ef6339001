#include "server/session/session_manager.h"

#include <sys/random.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <map>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "server/session/command_table.h"
#include "server/session/convert.h"
#include "server/session/service_budget.h"
#include "server/session/session.h"
#include "transports/base/check.h"
#include "transports/base/clock.h"
#include "transports/base/logging.h"
#include "transports/base/mutex.h"
#include "transports/base/str_cat.h"
#include "transports/base/thread_executor.h"
#include "transports/loop/loop_thread.h"
#include "transports/resolver/resolver.h"

namespace transportd {

namespace {

using absl::StatusCode;

constexpr int kBlockingThreads = 4;
constexpr size_t kMaxWaiting = 4096;
constexpr size_t kSessionIdBytes = 16;
constexpr uint32_t kDefaultPageSize = 1000;
constexpr uint32_t kLargestPageSize = 10000;
constexpr size_t kShortestPrefix = 8;

absl::Status ServiceStopping() {
  return MakeError(StatusCode::kUnavailable, "SERVICE_STOPPING", "the service is stopping");
}

absl::Status UnknownSession() {
  return MakeError(StatusCode::kNotFound, "UNKNOWN_SESSION", "there is no such session");
}

v1::Reply ErrorReply(uint32_t request_id, const absl::Status& status) {
  v1::Reply reply;
  reply.set_request_id(request_id);
  *reply.mutable_error() = ErrorProto(status);
  return reply;
}

// 128 bits from the kernel: a name that cannot be guessed.
std::string NewSessionId() {
  char bytes[kSessionIdBytes];
  CHECK(getrandom(bytes, sizeof(bytes), 0) == static_cast<ssize_t>(sizeof(bytes)));
  return absl::BytesToHexString(absl::string_view(bytes, sizeof(bytes)));
}

// A page token: numbers joined by colons; all 0 when it is empty.
template <size_t kCount>
bool ParsePageToken(std::string_view token, uint64_t (&numbers)[kCount]) {
  std::fill(std::begin(numbers), std::end(numbers), 0);
  if (token.empty()) return true;
  for (size_t i = 0; i < kCount; ++i) {
    const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), numbers[i]);
    if (error != std::errc()) return false;
    token.remove_prefix(static_cast<size_t>(end - token.data()));
    if (i + 1 == kCount) return token.empty();
    if (token.empty() || token.front() != ':') return false;
    token.remove_prefix(1);
  }
  return true;
}

absl::Status BadPageToken() {
  return InvalidArgument("INVALID_PAGE_TOKEN", "page_token", "must be empty or the last answer's next_page_token");
}

template <typename T>
void Truncate(google::protobuf::RepeatedPtrField<T>& field, int count) {
  if (field.size() > count) field.DeleteSubrange(count, field.size() - count);
}

absl::Status CheckPrefix(const std::string& prefix) {
  if (prefix.size() >= kShortestPrefix) return absl::OkStatus();
  return InvalidArgument("INVALID_SESSION_PREFIX", "session_prefix",
                         StrCat("must have at least ", kShortestPrefix, " characters"));
}

uint32_t PageSize(uint32_t asked) { return asked == 0 ? kDefaultPageSize : std::min(asked, kLargestPageSize); }

void LogSession(std::string_view what, const Session& session) {
  const Caller& caller = session.caller();
  Log(LogLevel::kDebug, what,
      {{"session", session.prefix()},
       {"principal", caller.principal},
       {"peer", caller.peer},
       {"trace_id", caller.trace.trace_id},
       {"span_id", caller.trace.span_id}});
}

// Threading: any thread.
class SessionManagerImpl final : public SessionManager {
 public:
  explicit SessionManagerImpl(Options options)
      : options_(std::move(options)),
        budget_(options_.service_limits),
        resolver_(CreateThreadResolver(kBlockingThreads, kMaxWaiting)),
        executor_(kBlockingThreads, kMaxWaiting) {}

  absl::Status StartLoops() {
    EpollEventLoop::Options loop_options = options_.loop;
    if (loop_options.resolver == nullptr) loop_options.resolver = resolver_.get();
    if (loop_options.executor == nullptr) loop_options.executor = &executor_;
    for (int i = 0; i < options_.loop_count; ++i) {
      absl::StatusOr<std::unique_ptr<LoopThread>> loop = LoopThread::Create(loop_options);
      if (!loop.ok()) return loop.status();
      loops_.push_back({*std::move(loop), std::make_shared<SessionStats>(), 0});
    }
    for (size_t i = 0; i < loops_.size(); ++i) {
      LoopThread* thread = loops_[i].thread.get();
      thread->Post([this, thread, i] {
        thread->loop().SetExceptionHandler([this, i](const ExceptionContext& context) { OnException(i, context); });
      });
    }
    return absl::OkStatus();
  }

  // SessionManager
  void OpenStreaming(Caller caller, std::shared_ptr<FrameStream> stream) override {
    absl::Status status = Authorize(caller, "transportd.v1.EventLoop.Session", nullptr);
    absl::StatusOr<Pinned> pinned = status.ok() ? Open(std::move(caller), /*streaming=*/true) : status;
    if (!pinned.ok()) {
      stream->Finish(pinned.status());
      return;
    }
    pinned->thread->Post([session = pinned->session, stream = std::move(stream)] { session->StartStreaming(stream); });
  }

  void OpenSession(Caller caller, v1::OpenSessionRequest request,
                   absl::AnyInvocable<void(absl::StatusOr<v1::OpenSessionResponse>)> done) override {
    absl::Status status = Authorize(caller, "transportd.v1.EventLoop.OpenSession", &request);
    absl::StatusOr<Pinned> pinned = status.ok() ? Open(std::move(caller), /*streaming=*/false) : status;
    if (!pinned.ok()) {
      done(pinned.status());
      return;
    }
    pinned->thread->Post([session = pinned->session, request = std::move(request), done = std::move(done)]() mutable {
      absl::StatusOr<v1::Opened> opened = session->StartUnary(request.open());
      if (!opened.ok()) {
        session->End(absl::OkStatus(), std::nullopt);
        done(opened.status());
        return;
      }
      v1::OpenSessionResponse response;
      *response.mutable_opened() = *std::move(opened);
      done(std::move(response));
    });
  }

  void CloseSession(Caller caller, v1::CloseSessionRequest request,
                    absl::AnyInvocable<void(absl::StatusOr<v1::CloseSessionResponse>)> done) override {
    absl::Status status = Authorize(caller, "transportd.v1.EventLoop.CloseSession", &request);
    absl::StatusOr<Pinned> pinned = status.ok() ? Find(caller, request.session_id()) : status;
    if (!pinned.ok()) {
      done(pinned.status());
      return;
    }
    pinned->thread->Post([session = pinned->session, done = std::move(done)]() mutable {
      session->End(absl::OkStatus(), std::nullopt,
                   [done = std::move(done)]() mutable { done(v1::CloseSessionResponse()); });
    });
  }

  void AttachCallbacks(Caller caller, v1::CallbacksRequest request, std::shared_ptr<FrameStream> stream) override {
    absl::Status status = Authorize(caller, "transportd.v1.EventLoop.Callbacks", &request);
    absl::StatusOr<Pinned> pinned = status.ok() ? Find(caller, request.session_id()) : status;
    if (!pinned.ok()) {
      stream->Finish(pinned.status());
      return;
    }
    pinned->thread->Post([session = pinned->session, stream = std::move(stream)] { session->AttachCallbacks(stream); });
  }

  absl::AnyInvocable<void()> Execute(Caller caller, v1::Command command,
                                     absl::AnyInvocable<void(v1::Reply)> done) override {
    // Asked here too, before the session is looked for: a caller that may do nothing learns nothing of ids.
    absl::Status status = Authorize(caller, CommandMethod(command.command_case()), CommandRequest(command));
    absl::StatusOr<Pinned> pinned = status.ok() ? Find(caller, CommandSessionId(command)) : status;
    if (!pinned.ok()) {
      done(ErrorReply(command.request_id(), pinned.status()));
      return [] {};
    }
    // The call's number, or 0 while it is not yet known; shared with what cancels, on the loop's thread only.
    auto number = std::make_shared<uint64_t>(0);
    pinned->thread->Post([session = pinned->session, command = std::move(command), done = std::move(done),
                          number]() mutable { *number = session->Execute(command, std::move(done)); });
    return [thread = pinned->thread, weak_session = std::weak_ptr<Session>(pinned->session), number] {
      thread->Post([weak_session, number] {
        if (const std::shared_ptr<Session> session = weak_session.lock()) session->Cancel(*number);
      });
    };
  }

  void ListSessions(Caller caller, v1::ListSessionsRequest request,
                    absl::AnyInvocable<void(absl::StatusOr<v1::ListSessionsResponse>)> done) override {
    if (absl::Status status = Authorize(caller, "transportd.v1.Admin.ListSessions", &request); !status.ok()) {
      done(status);
      return;
    }
    uint64_t after[1];
    if (!ParsePageToken(request.page_token(), after)) {
      done(BadPageToken());
      return;
    }
    // Each loop tells of its sessions; the last one answers.
    struct Gathering {
      Mutex mutex;
      std::map<uint64_t, v1::SessionInfo> infos ABSL_GUARDED_BY(mutex);
    };
    auto gathering = std::make_shared<Gathering>();
    const uint32_t page_size = PageSize(request.page_size());
    ForEachSession(
        [gathering, after_number = after[0]](Session& session) {
          if (session.number() <= after_number) return;
          v1::SessionInfo info;
          session.Describe(info);
          MutexLock lock(gathering->mutex);
          gathering->infos.emplace(session.number(), std::move(info));
        },
        [gathering, page_size, done = std::move(done)]() mutable {
          v1::ListSessionsResponse response;
          {
            MutexLock lock(gathering->mutex);
            uint64_t last = 0;
            for (auto& [number, info] : gathering->infos) {
              if (static_cast<uint32_t>(response.sessions_size()) == page_size) {
                response.set_next_page_token(StrCat(last));
                break;
              }
              *response.add_sessions() = std::move(info);
              last = number;
            }
          }
          done(std::move(response));
        });
  }

  void ListTransports(Caller caller, v1::ListTransportsRequest request,
                      absl::AnyInvocable<void(absl::StatusOr<v1::ListTransportsResponse>)> done) override {
    if (absl::Status status = Authorize(caller, "transportd.v1.Admin.ListTransports", &request); !status.ok()) {
      done(status);
      return;
    }
    uint64_t after[2];
    if (!ParsePageToken(request.page_token(), after)) {
      done(BadPageToken());
      return;
    }
    if (!request.session_prefix().empty()) {
      if (absl::Status status = CheckPrefix(request.session_prefix()); !status.ok()) {
        done(status);
        return;
      }
    }
    struct Gathering {
      Mutex mutex;
      std::map<uint64_t, std::vector<v1::TransportInfo>> infos ABSL_GUARDED_BY(mutex);
    };
    auto gathering = std::make_shared<Gathering>();
    const uint32_t page_size = PageSize(request.page_size());
    ForEachSession(
        [gathering, page_size, prefix = request.session_prefix(), after_number = after[0],
         after_id = static_cast<uint32_t>(after[1])](Session& session) {
          if (session.number() < after_number || session.id().compare(0, prefix.size(), prefix) != 0) return;
          std::vector<v1::TransportInfo> infos;
          session.DescribeTransports(session.number() == after_number ? after_id : 0, page_size + 1, infos);
          MutexLock lock(gathering->mutex);
          gathering->infos.emplace(session.number(), std::move(infos));
        },
        [gathering, page_size, done = std::move(done)]() mutable {
          v1::ListTransportsResponse response;
          {
            MutexLock lock(gathering->mutex);
            std::string last;
            for (auto& [number, infos] : gathering->infos) {
              for (v1::TransportInfo& info : infos) {
                if (static_cast<uint32_t>(response.transports_size()) == page_size) {
                  response.set_next_page_token(last);
                  break;
                }
                last = StrCat(number, ":", info.transport_id());
                *response.add_transports() = std::move(info);
              }
              if (!response.next_page_token().empty()) break;
            }
          }
          done(std::move(response));
        });
  }

  void GetStatus(Caller caller, v1::GetStatusRequest request,
                 absl::AnyInvocable<void(absl::StatusOr<v1::GetStatusResponse>)> done) override {
    if (absl::Status status = Authorize(caller, "transportd.v1.Admin.GetStatus", &request); !status.ok()) {
      done(status);
      return;
    }
    {
      MutexLock lock(mutex_);
      looks_.push_back({PageSize(request.max_row_count()), std::move(done)});
      if (std::exchange(looking_, true)) return;
    }
    Look();
  }

  void EndTransport(Caller caller, v1::EndTransportRequest request,
                    absl::AnyInvocable<void(absl::StatusOr<v1::EndTransportResponse>)> done) override {
    absl::Status status = Authorize(caller, "transportd.v1.Admin.EndTransport", &request);
    absl::StatusOr<Pinned> pinned = status.ok() ? FindByPrefix(request.session_prefix()) : status;
    if (!pinned.ok()) {
      done(pinned.status());
      return;
    }
    pinned->thread->Post([session = pinned->session, id = request.transport_id(), done = std::move(done)]() mutable {
      if (session->EndTransport(id)) {
        done(v1::EndTransportResponse());
      } else {
        done(MakeError(StatusCode::kNotFound, "UNKNOWN_TRANSPORT",
                       StrCat("the session has no transport or server ", id)));
      }
    });
  }

  void EndSession(Caller caller, v1::EndSessionRequest request,
                  absl::AnyInvocable<void(absl::StatusOr<v1::EndSessionResponse>)> done) override {
    absl::Status status = Authorize(caller, "transportd.v1.Admin.EndSession", &request);
    absl::StatusOr<Pinned> pinned = status.ok() ? FindByPrefix(request.session_prefix()) : status;
    if (!pinned.ok()) {
      done(pinned.status());
      return;
    }
    pinned->thread->Post([session = pinned->session, done = std::move(done)]() mutable {
      session->End(EndedByOperator(), EndCause::kOperator);
      done(v1::EndSessionResponse());
    });
  }

  bool IsDraining() const override {
    MutexLock lock(mutex_);
    return drain_deadline_.has_value();
  }

  ServiceStats Stats() const override {
    ServiceStats stats;
    {
      MutexLock lock(mutex_);
      for (const Loop& loop : loops_) {
        stats.loops.push_back({.session_count = static_cast<uint32_t>(loop.session_count),
                               .time = loop.thread->loop().reactor().clock().Now(),
                               .sessions = loop.stats,
                               .reactor = &loop.thread->loop().reactor().stats()});
      }
    }
    stats.session_count = budget_.session_count();
    stats.transport_count = budget_.transport_count();
    stats.buffered_bytes = budget_.buffered_bytes();
    stats.limits = options_.service_limits;
    return stats;
  }

  void Recheck() override {
    ForEachSession([](Session& session) { session.Recheck(); }, [] {});
  }

  void Drain(Duration time_left) override {
    {
      MutexLock lock(mutex_);
      refusing_ = true;
      if (!drain_deadline_) drain_deadline_ = SystemClock().Now() + time_left;
    }
    ForEachSession([time_left](Session& session) { session.Drain(time_left); }, [] {});
  }

  void WaitIdle(absl::AnyInvocable<void()> done) override {
    {
      MutexLock lock(mutex_);
      if (!sessions_.empty()) {
        idle_ = std::move(done);
        return;
      }
    }
    done();
  }

  void Stop(absl::AnyInvocable<void()> done) override {
    std::vector<Pinned> sessions;
    {
      MutexLock lock(mutex_);
      refusing_ = true;
      for (const auto& [id, pinned] : sessions_) sessions.push_back(pinned);
    }
    for (Pinned& pinned : sessions) {
      pinned.thread->Post(
          [session = std::move(pinned.session)] { session->End(ServiceStopping(), EndCause::kServiceStopping); });
    }
    WaitIdle(std::move(done));
  }

 private:
  struct Loop {
    std::unique_ptr<LoopThread> thread;
    std::shared_ptr<SessionStats> stats;  // Shared with its sessions.
    size_t session_count = 0;
  };
  struct WaitingLook {
    uint32_t max_row_count = 0;
    absl::AnyInvocable<void(absl::StatusOr<v1::GetStatusResponse>)> done;
  };
  struct Pinned {
    LoopThread* thread = nullptr;
    int loop_index = 0;
    std::shared_ptr<Session> session;
  };

  absl::Status Authorize(const Caller& caller, std::string_view method,
                         const google::protobuf::Message* request) const {
    return options_.authorizer->Authorize(caller, {.method = method, .request = request});
  }

  absl::StatusOr<Pinned> Open(Caller caller, bool streaming) {
    if (!budget_.TakeSession()) {
      return MakeError(
          StatusCode::kResourceExhausted, "TOO_MANY_SESSIONS",
          StrCat("the service has ", options_.service_limits.max_session_count, " sessions, the most that it may"));
    }
    std::string session_id = NewSessionId();
    absl::StatusOr<std::unique_ptr<SessionGuard>> guard = options_.authorizer->OpenGuard(caller, session_id);
    if (!guard.ok()) {
      budget_.ReturnSession();
      return guard.status();
    }
    MutexLock lock(mutex_);
    if (refusing_) {
      if (*guard != nullptr) (*guard)->Closed("SERVICE_STOPPING", /*expired=*/false);
      budget_.ReturnSession();
      return ServiceStopping();
    }
    const auto loop = std::min_element(loops_.begin(), loops_.end(),
                                       [](const Loop& a, const Loop& b) { return a.session_count < b.session_count; });
    ++loop->session_count;
    Pinned pinned;
    pinned.thread = loop->thread.get();
    pinned.loop_index = static_cast<int>(loop - loops_.begin());
    Session::Options options;
    options.id = std::move(session_id);
    options.number = ++last_session_number_;
    options.caller = std::move(caller);
    options.event_loop_index = pinned.loop_index;
    options.streaming = streaming;
    options.instance_target = options_.instance_target;
    options.limits = options_.session_limits;
    options.authorizer = options_.authorizer;
    options.guard = *std::move(guard);
    options.budget = &budget_;
    options.stats = loop->stats;
    options.on_ended = [this, id = options.id] { OnEnded(id); };
    const std::string id = options.id;
    pinned.session = std::make_shared<Session>(pinned.thread->loop(), std::move(options));
    sessions_.emplace(id, pinned);
    LogSession("the session was opened", *pinned.session);
    return pinned;
  }

  // Another principal's session does not exist.
  absl::StatusOr<Pinned> Find(const Caller& caller, const std::string& id) const {
    bool is_foreign = false;
    {
      MutexLock lock(mutex_);
      const auto found = sessions_.find(id);
      if (found != sessions_.end()) {
        if (found->second.session->caller().principal == caller.principal) return found->second;
        is_foreign = true;
      }
    }
    // The same work for both, so that the answer's time does not tell them apart.
    loops_.front().thread->Post([authorizer = options_.authorizer, caller, is_foreign] {
      if (is_foreign) authorizer->NamedForeignSession(caller);
    });
    return UnknownSession();
  }

  // For operators, who know no more than the beginning of an id.
  absl::StatusOr<Pinned> FindByPrefix(const std::string& prefix) const {
    if (absl::Status status = CheckPrefix(prefix); !status.ok()) return status;
    std::optional<Pinned> only;
    MutexLock lock(mutex_);
    for (const auto& [id, pinned] : sessions_) {
      if (!id.starts_with(prefix)) continue;
      if (only) {
        return MakeError(StatusCode::kFailedPrecondition, "AMBIGUOUS_SESSION",
                         "several sessions' ids begin with session_prefix");
      }
      only = pinned;
    }
    if (!only) return UnknownSession();
    return *only;
  }

  // Whoever looks while another look is under way is answered by the next one, together with all others: however many
  // look, a loop has one at a time.
  void Look() {
    struct Gathering {
      std::vector<WaitingLook> looks;
      Mutex mutex;
      std::map<uint64_t, std::pair<v1::SessionInfo, std::vector<v1::TransportInfo>>> infos ABSL_GUARDED_BY(mutex);
    };
    auto gathering = std::make_shared<Gathering>();
    {
      MutexLock lock(mutex_);
      gathering->looks.swap(looks_);
    }
    uint32_t max_row_count = 0;
    for (const WaitingLook& look : gathering->looks) max_row_count = std::max(max_row_count, look.max_row_count);
    ForEachSession(
        [gathering, max_row_count](Session& session) {
          v1::SessionInfo info;
          session.Describe(info);
          std::vector<v1::TransportInfo> transports;
          session.DescribeTransports(0, max_row_count + 1, transports);
          MutexLock lock(gathering->mutex);
          gathering->infos.emplace(session.number(), std::pair(std::move(info), std::move(transports)));
        },
        [this, gathering, max_row_count] {
          v1::GetStatusResponse response;
          {
            MutexLock lock(gathering->mutex);
            for (auto& [number, infos] : gathering->infos) {
              // One more than is asked for, so that it shows.
              if (std::cmp_less_equal(response.sessions_size(), max_row_count)) {
                *response.add_sessions() = std::move(infos.first);
              }
              for (v1::TransportInfo& info : infos.second) {
                if (std::cmp_greater(response.transports_size(), max_row_count)) break;
                *response.add_transports() = std::move(info);
              }
            }
          }
          DescribeUsage(response);
          options_.describe_service(response);
          response.mutable_process()->set_subprocess_count(SubprocessCount());
          for (WaitingLook& look : gathering->looks) {
            v1::GetStatusResponse own = response;
            const auto count = static_cast<int>(look.max_row_count);
            own.set_truncated(own.sessions_size() > count || own.transports_size() > count);
            Truncate(*own.mutable_sessions(), count);
            Truncate(*own.mutable_transports(), count);
            Truncate(*own.mutable_denials(), count);
            look.done(std::move(own));
          }
          {
            MutexLock lock(mutex_);
            looking_ = !looks_.empty();
            if (!looking_) return;
          }
          Look();
        });
  }

  uint32_t SubprocessCount() const {
    constexpr auto kIndex = static_cast<size_t>(Handle::Kind::kSubprocess);
    uint64_t count = 0;
    for (const Loop& loop : loops_) {
      // In this order, so that it is never less than nothing.
      const uint64_t closed = loop.stats->closed_count[kIndex].value();
      count += loop.stats->opened_count[kIndex].value() - closed;
    }
    return static_cast<uint32_t>(count);
  }

  void DescribeUsage(v1::GetStatusResponse& response) const {
    const ServiceStats stats = Stats();
    response.set_instance_target(options_.instance_target);
    v1::ServiceUsage& usage = *response.mutable_usage();
    usage.set_session_count(stats.session_count);
    usage.set_max_session_count(stats.limits.max_session_count);
    usage.set_transport_count(stats.transport_count);
    usage.set_max_transport_count(stats.limits.max_transport_count);
    usage.set_buffered_bytes(stats.buffered_bytes);
    usage.set_max_buffered_bytes(stats.limits.buffered_bytes);
    for (const ServiceStats::Loop& loop : stats.loops) {
      v1::EventLoopStatus& status = *response.add_event_loops();
      status.set_session_count(loop.session_count);
      const auto turns = loop.reactor->turn_ns.Read();
      status.set_turn_count(std::accumulate(turns.counts.begin(), turns.counts.end(), uint64_t{0}));
      ToProto(Duration(turns.sum), *status.mutable_busy_time());
      ToProto(Duration(loop.reactor->longest_turn_ns.Read(loop.time)), *status.mutable_longest_turn());
      const SessionStats& sessions = *loop.sessions;
      for (const Counter& bytes : sessions.received_bytes) {
        usage.set_received_bytes(usage.received_bytes() + bytes.value());
      }
      for (const Counter& bytes : sessions.sent_bytes) usage.set_sent_bytes(usage.sent_bytes() + bytes.value());
      usage.set_opened_session_count(usage.opened_session_count() + sessions.opened_session_count.value());
      for (const Counter& count : sessions.opened_count) {
        usage.set_opened_transport_count(usage.opened_transport_count() + count.value());
      }
    }
    MutexLock lock(mutex_);
    if (drain_deadline_) {
      ToProto(std::max(*drain_deadline_ - SystemClock().Now(), Duration{0}), *response.mutable_drain_time_left());
    }
  }

  // On the session's loop.
  void OnEnded(const std::string& id) {
    absl::AnyInvocable<void()> idle;
    std::shared_ptr<Session> session;
    {
      MutexLock lock(mutex_);
      const auto found = sessions_.find(id);
      Pinned& pinned = found->second;
      --loops_[static_cast<size_t>(pinned.loop_index)].session_count;
      session = std::move(pinned.session);
      pinned.thread->loop().reactor().DeferredDelete(session);
      sessions_.erase(found);
      if (sessions_.empty()) idle = std::exchange(idle_, nullptr);
    }
    LogSession("the session has ended", *session);
    budget_.ReturnSession();
    if (idle != nullptr) idle();
  }

  // On the loop's thread.
  void OnException(size_t loop_index, const ExceptionContext& context) {
    // A client's mistake, of which connection_lost tells it.
    if (context.datagram_transport != nullptr) return;
    if (context.server == nullptr) {
      LogWarning(context.message, ": ", context.status.ToString());
      return;
    }
    for (const std::shared_ptr<Session>& session : SessionsOf(loop_index)) {
      if (session->Owns(*context.server)) session->OnServerException(context);
    }
  }

  std::vector<std::shared_ptr<Session>> SessionsOf(size_t loop_index) const {
    std::vector<std::shared_ptr<Session>> sessions;
    MutexLock lock(mutex_);
    for (const auto& [id, pinned] : sessions_) {
      if (static_cast<size_t>(pinned.loop_index) == loop_index) sessions.push_back(pinned.session);
    }
    return sessions;
  }

  // `visit` on each session's own loop, then `done` once, on the last of them (at once, when there is none).
  void ForEachSession(absl::AnyInvocable<void(Session&) const> visit, absl::AnyInvocable<void()> done) {
    struct Visit {
      absl::AnyInvocable<void(Session&) const> visit;
      absl::AnyInvocable<void()> done;
      std::atomic<size_t> left{0};
    };
    auto shared = std::make_shared<Visit>();
    shared->visit = std::move(visit);
    shared->done = std::move(done);
    shared->left = loops_.size();
    for (size_t i = 0; i < loops_.size(); ++i) {
      loops_[i].thread->Post([this, shared, i] {
        for (const std::shared_ptr<Session>& session : SessionsOf(i)) shared->visit(*session);
        if (--shared->left == 0) shared->done();
      });
    }
  }

  const Options options_;
  ServiceBudget budget_;
  const std::unique_ptr<Resolver> resolver_;
  ThreadExecutor executor_;

  mutable Mutex mutex_;
  absl::flat_hash_map<std::string, Pinned> sessions_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_session_number_ ABSL_GUARDED_BY(mutex_) = 0;
  bool refusing_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<TimePoint> drain_deadline_ ABSL_GUARDED_BY(mutex_);  // Unset: it does not drain.
  absl::AnyInvocable<void()> idle_ ABSL_GUARDED_BY(mutex_);
  std::vector<WaitingLook> looks_ ABSL_GUARDED_BY(mutex_);  // That none has been taken for.
  bool looking_ ABSL_GUARDED_BY(mutex_) = false;

  // The threads are fixed from StartLoops on; the counts are guarded by mutex_. Destroyed first: what still runs on the
  // loops uses the members above.
  std::vector<Loop> loops_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<SessionManager>> SessionManager::Create(Options options) {
  if (options.loop_count < 1 || options.loop_count > 64) {
    return InvalidArgument("INVALID_LOOP_COUNT", "loop_count", "must be from 1 to 64");
  }
  auto manager = std::make_unique<SessionManagerImpl>(std::move(options));
  if (absl::Status status = manager->StartLoops(); !status.ok()) return status;
  return manager;
}

}  // namespace transportd
