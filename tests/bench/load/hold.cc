// Works that only hold something, for others to look at: they tell when it is there, and run until standard input ends.
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#include "tests/bench/echo_protocol.h"
#include "tests/bench/load/connections.h"

namespace transportd::bench {
namespace {

// Prints `{"NAME": VALUE}` now, and ends the course when standard input does.
void HoldUntilInputEnds(Course& course, const char* name, int value) {
  std::printf("{\"%s\": %d}\n", name, value);
  std::fflush(stdout);
  // Not a pipe transport: the loop may be a remote one, whose standard input is another.
  std::thread([&loop = course.loop()] {
    char byte = 0;
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
    loop.Stop();
  }).detach();
}

class IdleWork final : public Work {
 public:
  using Work::Work;

  void Open() override {
    const Settings& settings = course().settings();
    OpenConnections(
        course(), settings.Number(0), settings.Number(1), [](int) { return std::make_shared<Protocol>(); },
        [this, &settings] { HoldUntilInputEnds(course(), "open", settings.Number(1)); });
  }
};

// Every connection stops reading when its first bytes come.
class StalledWork final : public Work {
 public:
  using Work::Work;

  void Open() override {
    const Settings& settings = course().settings();
    OpenConnections(
        course(), settings.Number(0), settings.Number(1), [](int) { return std::make_shared<NonReader>(); },
        [this, &settings] { HoldUntilInputEnds(course(), "open", settings.Number(1)); });
  }

 private:
  class NonReader final : public Protocol {
   public:
    void ConnectionMade(std::shared_ptr<Transport> transport) override { transport_ = std::move(transport); }
    void DataReceived(std::string_view /*data*/) override { transport_->PauseReading(); }
    void ConnectionLost(const ConnectionEnd& /*end*/) override { transport_.reset(); }

   private:
    std::shared_ptr<Transport> transport_;
  };
};

class ServeWork final : public Work {
 public:
  using Work::Work;

  void Open() override {
    CreateServerOptions options;
    options.hosts = {course().settings().host};
    options.port = 0;
    options.backlog = 4096;
    options.tls = course().settings().tls;
    course().loop().CreateServer([] { return std::make_shared<EchoProtocol>(); }, std::move(options),
                                 [this](absl::StatusOr<std::shared_ptr<Server>> server) {
                                   if (!server.ok()) return course().Fail("create_server", server.status());
                                   server_ = *std::move(server);
                                   HoldUntilInputEnds(course(), "port",
                                                      static_cast<int>(server_->Sockets().front().port));
                                 });
  }

 private:
  std::shared_ptr<Server> server_;
};

}  // namespace

const WorkKind kIdleWork = {
    .name = "idle", .arguments = "PORT CONNECTIONS", .argument_count = 2, .rate_name = "", .make = MakeWork<IdleWork>};
const WorkKind kStalledWork = {.name = "stalled",
                               .arguments = "CHARGEN_PORT CONNECTIONS",
                               .argument_count = 2,
                               .rate_name = "",
                               .make = MakeWork<StalledWork>};
const WorkKind kServeWork = {
    .name = "serve", .arguments = "", .argument_count = 0, .rate_name = "", .make = MakeWork<ServeWork>};

}  // namespace transportd::bench
