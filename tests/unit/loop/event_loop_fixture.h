// An EpollEventLoop for a test, with names that resolve to what the test says.
#ifndef TRANSPORTD_TESTS_UNIT_LOOP_EVENT_LOOP_FIXTURE_H_
#define TRANSPORTD_TESTS_UNIT_LOOP_EVENT_LOOP_FIXTURE_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_resolver.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/raw_peer.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/stream/recording_protocol.h"
#include "transports/loop/epoll_event_loop.h"

namespace transportd {

// What came of a create_* call. Threading: loop thread only.
template <typename T>
struct Outcome {
  int done_count = 0;
  std::optional<absl::StatusOr<T>> result;
  OperationId id = 0;

  bool done() const { return done_count > 0; }
  absl::Status status() const { return result ? result->status() : absl::UnknownError("not done"); }
  T& value() { return **result; }
};

// Aborts what is left and fails on anything that stays. The clock stands still unless a test advances it.
// Threading: the test's thread is the loop's.
class EventLoopFixture : public testing::Test {
 protected:
  void SetUp() override { NewLoop(); }
  void TearDown() override {
    if (loop_ == nullptr) return;
    for (Record& record : records_) {
      if (record.transport != nullptr) record.transport->Abort();
    }
    for (const auto& server : servers_) server->Close();
    EXPECT_TRUE(RunUntil([this] {
      return loop_->GetCounts().transports == 0 && loop_->GetCounts().servers == 0 &&
             loop_->GetCounts().operations == 0;
    })) << "leaked: "
        << loop_->GetCounts().transports << " transports, " << loop_->GetCounts().servers << " servers, "
        << loop_->GetCounts().operations << " operations";
    ExpectNothingLeft(loop_->reactor());
    CloseLoop();
  }

  void NewLoop(int descriptor_limit = LoopContext::kNoDescriptorLimit, std::vector<int> inherited_fds = {}) {
    resolver_.SetHosts("127.0.0.1", {"127.0.0.1"});
    resolver_.SetHosts("::1", {"::1"});
    loop_ = *EpollEventLoop::Create({.clock = &clock_,
                                     .resolver = &resolver_,
                                     .descriptor_limit = descriptor_limit,
                                     .inherited_fds = std::move(inherited_fds)});
    loop_->SetExceptionHandler([this](const ExceptionContext& context) { exceptions_.push_back(context); });
  }
  void CloseLoop() {
    servers_.clear();
    for (Record& record : records_) record.transport.reset();
    loop_.reset();
  }

  bool RunUntil(const std::function<bool()>& condition) { return transportd::RunUntil(loop_->reactor(), condition); }
  void Turn(int count = 5) {
    for (int i = 0; i < count; ++i) loop_->reactor().RunOnce(Duration::zero());
  }

  // A protocol's record; all are kept until the end.
  Record& NewRecord() { return records_.emplace_back(); }
  // Makes RecordingProtocols; each one's record is appended to `accepted_` after `prepare` has seen it.
  ProtocolFactory AcceptingFactory(std::function<void(Record&)> prepare = nullptr) {
    return [this, prepare] {
      Record& record = NewRecord();
      if (prepare) prepare(record);
      accepted_.push_back(&record);
      return std::make_shared<RecordingProtocol>(record);
    };
  }

  static CreateServerOptions At(std::vector<std::string> hosts) {
    CreateServerOptions options;
    options.hosts = std::move(hosts);
    return options;
  }
  static CreateConnectionOptions To(const SocketAddress& address) {
    CreateConnectionOptions options;
    options.remote = {.host = address.host, .port = address.port};
    return options;
  }

  // `record` is the protocol's. The outcome must live until it is done.
  void Connect(Outcome<Connection>& outcome, Record& record, CreateConnectionOptions options) {
    outcome.id = loop_->CreateConnection(Factory(record), std::move(options), Connected(outcome, record));
  }
  static ProtocolFactory Factory(Record& record) {
    return [&record] { return std::make_shared<RecordingProtocol>(record); };
  }
  static absl::AnyInvocable<void(absl::StatusOr<Connection>)> Connected(Outcome<Connection>& outcome, Record& record) {
    return [&outcome, &record](absl::StatusOr<Connection> result) {
      ++outcome.done_count;
      outcome.result = std::move(result);
      record.events.push_back("done");
    };
  }
  // Connected, with nothing recorded yet; null, with a failure, when it cannot be.
  std::shared_ptr<Transport> Open(Record& record, const SocketAddress& address) {
    Outcome<Connection> outcome;
    Connect(outcome, record, To(address));
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    EXPECT_THAT(outcome.status(), IsOk());
    record.events.clear();
    return outcome.status().ok() ? outcome.value().transport : nullptr;
  }

  void Serve(Outcome<std::shared_ptr<Server>>& outcome, CreateServerOptions options, ProtocolFactory factory) {
    outcome.id = loop_->CreateServer(std::move(factory), std::move(options), Served(outcome));
  }
  absl::AnyInvocable<void(absl::StatusOr<std::shared_ptr<Server>>)> Served(Outcome<std::shared_ptr<Server>>& outcome) {
    return [this, &outcome](absl::StatusOr<std::shared_ptr<Server>> result) {
      ++outcome.done_count;
      if (result.ok()) servers_.push_back(*result);
      outcome.result = std::move(result);
    };
  }
  // For calls that come to a value.
  template <typename T>
  static absl::AnyInvocable<void(absl::StatusOr<T>)> Settled(Outcome<T>& outcome) {
    return [&outcome](absl::StatusOr<T> result) {
      ++outcome.done_count;
      outcome.result = std::move(result);
    };
  }
  // On `options.hosts`, 127.0.0.1 when there are none.
  std::shared_ptr<Server> Listen(CreateServerOptions options = {}, std::function<void(Record&)> prepare = nullptr) {
    if (options.hosts.empty()) options.hosts = {"127.0.0.1"};
    Outcome<std::shared_ptr<Server>> outcome;
    Serve(outcome, std::move(options), AcceptingFactory(std::move(prepare)));
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    EXPECT_THAT(outcome.status(), IsOk());
    return outcome.status().ok() ? outcome.value() : nullptr;
  }

  FakeClock clock_;
  FakeResolver resolver_;
  std::unique_ptr<EpollEventLoop> loop_;
  std::deque<Record> records_;
  std::vector<Record*> accepted_;
  std::vector<std::shared_ptr<Server>> servers_;
  std::vector<ExceptionContext> exceptions_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_UNIT_LOOP_EVENT_LOOP_FIXTURE_H_
