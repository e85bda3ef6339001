// Subprocesses: how fast they come and go, and how fast the output of one arrives.
#include <memory>

#include "tests/bench/load/work.h"

namespace transportd::bench {
namespace {

class SpawnWork final : public Work {
 public:
  using Work::Work;

  void Open() override {
    course().Ready(
        [this] {
          for (int i = course().Share(course().settings().Number(0)); i > 0; --i) SpawnNext();
        },
        [this] { course().Done(); });
  }

 private:
  class Child final : public SubprocessProtocol {
   public:
    explicit Child(SpawnWork& work) : work_(work), begin_(work.course().Now()) {}

    void ConnectionMade(std::shared_ptr<SubprocessTransport> transport) override { transport_ = std::move(transport); }
    void ProcessExited() override { is_exited_ = true; }
    void ConnectionLost(const ConnectionEnd& end) override {
      const std::optional<int> status = transport_->GetReturncode();
      transport_.reset();
      if (work_.course().is_over()) return;
      if (!is_exited_ || status != 0) return work_.course().Fail("a process did not exit with 0", end.status);
      work_.course().AddLatency(begin_);
      work_.SpawnNext();
    }

   private:
    SpawnWork& work_;
    const TimePoint begin_;
    std::shared_ptr<SubprocessTransport> transport_;
    bool is_exited_ = false;
  };

  void SpawnNext() {
    course().loop().SubprocessExec([this] { return std::make_shared<Child>(*this); }, "/bin/true", {}, {},
                                   [this](const absl::StatusOr<Subprocess>& subprocess) {
                                     if (!subprocess.ok()) course().Fail("subprocess_exec", subprocess.status());
                                   });
  }
};

class OutputWork final : public Work {
 public:
  using Work::Work;

  void Open() override {
    course().loop().SubprocessExec([this] { return std::make_shared<Child>(course()); }, "cat", {"/dev/zero"},
                                   {.stdin_kind = Stdio::kNull},
                                   [this](const absl::StatusOr<Subprocess>& subprocess) {
                                     if (!subprocess.ok()) {
                                       return course().Fail("subprocess_exec", subprocess.status());
                                     }
                                     course().Ready([] {}, [this] { course().Done(); });
                                   });
  }

 private:
  class Child final : public SubprocessProtocol {
   public:
    explicit Child(Course& course) : course_(course) {}
    void PipeDataReceived(int /*fd*/, std::string_view data) override { course_.AddBytes(data.size()); }
    void ConnectionLost(const ConnectionEnd& end) override {
      if (!course_.is_over()) course_.Fail("cat ended", end.status);
    }

   private:
    Course& course_;
  };
};

}  // namespace

const WorkKind kSpawnWork = {.name = "spawn",
                             .arguments = "CONCURRENCY",
                             .argument_count = 1,
                             .rate_name = "processes_per_s",
                             .make = MakeWork<SpawnWork>};
const WorkKind kOutputWork = {
    .name = "output", .arguments = "", .argument_count = 0, .rate_name = "", .make = MakeWork<OutputWork>};

}  // namespace transportd::bench
