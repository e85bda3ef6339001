// One way at full rate: up to a discard server, or down from a chargen server.
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/load/connections.h"
#include "transports/base/str_cat.h"

namespace transportd::bench {
namespace {

constexpr size_t kChunkBytes = 128 * 1024;
// A program that is after throughput lets more wait than asyncio's 64 KiB; the same for a socket of its own.
constexpr size_t kWriteBufferBytes = 512 * 1024;
// The last byte of what a discard server reads: it answers with how many came, as 8 bytes, little endian.
constexpr std::string_view kCountRequest = "\n";

// Writes until it is told to end, then asks the server for its count, which must be what was written.
class Sender final : public Protocol {
 public:
  Sender(Course& course, std::function<void(uint64_t size_bytes)> counted)
      : course_(course), counted_(std::move(counted)) {}

  void Begin() { Write(); }
  void End() {
    is_ending_ = true;
    written_bytes_ += kCountRequest.size();
    const absl::Status status = transport_->Write(kCountRequest);
    if (!status.ok()) course_.Fail("write", status);
  }

  void ConnectionMade(std::shared_ptr<Transport> transport) override {
    transport_ = std::move(transport);
    transport_->SetWriteBufferLimits({.high_bytes = kWriteBufferBytes, .low_bytes = kWriteBufferBytes / 2})
        .IgnoreError();
  }
  void PauseWriting() override { is_paused_ = true; }
  void ResumeWriting() override {
    is_paused_ = false;
    if (!is_queued_ && written_bytes_ > 0) Write();
  }
  void DataReceived(std::string_view data) override {
    answer_ += data;
    uint64_t count = 0;
    if (answer_.size() < sizeof(count)) return;
    std::memcpy(&count, answer_.data(), sizeof(count));
    if (count != written_bytes_) return course_.Fail(StrCat("written ", written_bytes_, " bytes, arrived ", count));
    is_counted_ = true;
    counted_(count);
  }
  void ConnectionLost(const ConnectionEnd& end) override {
    if (!is_counted_) course_.Fail("a sender was lost", end.status);
  }

 private:
  // A chunk a turn, so that all connections have theirs.
  void Write() {
    is_queued_ = false;
    if (is_ending_ || is_paused_) return;
    static const std::string chunk(kChunkBytes, 'x');
    written_bytes_ += chunk.size();
    const absl::Status status = transport_->Write(chunk);
    if (!status.ok()) return course_.Fail("write", status);
    if (is_paused_) return;
    is_queued_ = true;
    course_.loop().CallSoon([this] { Write(); });
  }

  Course& course_;
  const std::function<void(uint64_t size_bytes)> counted_;
  std::shared_ptr<Transport> transport_;
  std::string answer_;
  uint64_t written_bytes_ = 0;
  bool is_paused_ = false;
  bool is_queued_ = false;
  bool is_ending_ = false;
  bool is_counted_ = false;
};

// From the first byte that is written to the last server's count: what is on its way at the end counts, and its time.
class BulkUpWork final : public Work {
 public:
  using Work::Work;

  void Open() override {
    const Settings& settings = course().settings();
    OpenConnections(
        course(), settings.Number(0), course().Share(settings.Number(1)),
        [this](int) {
          senders_.push_back(std::make_shared<Sender>(course(), [this](uint64_t size_bytes) { Counted(size_bytes); }));
          return senders_.back();
        },
        [this] {
          course().Ready(
              [this] {
                begin_ = course().Now();
                for (const auto& sender : senders_) sender->Begin();
              },
              [this] {
                for (const auto& sender : senders_) sender->End();
              });
        });
  }

 private:
  void Counted(uint64_t size_bytes) {
    bytes_ += size_bytes;
    if (++counted_count_ < senders_.size()) return;
    const std::chrono::duration<double> took = course().Now() - begin_;
    course().SetBytesPerSecond(static_cast<double>(bytes_) / took.count());
    course().Done();
  }

  std::vector<std::shared_ptr<Sender>> senders_;
  TimePoint begin_;
  uint64_t bytes_ = 0;
  size_t counted_count_ = 0;
};

class BulkDownWork final : public Work {
 public:
  using Work::Work;

  void Open() override {
    const Settings& settings = course().settings();
    OpenConnections(
        course(), settings.Number(0), course().Share(settings.Number(1)),
        [this](int) { return std::make_shared<Receiver>(course()); },
        [this] { course().Ready([] {}, [this] { course().Done(); }); });
  }

 private:
  class Receiver final : public Protocol {
   public:
    explicit Receiver(Course& course) : course_(course) {}
    void DataReceived(std::string_view data) override { course_.AddBytes(data.size()); }
    void ConnectionLost(const ConnectionEnd& end) override {
      if (!course_.is_over()) course_.Fail("a receiver was lost", end.status);
    }

   private:
    Course& course_;
  };
};

}  // namespace

const WorkKind kBulkUpWork = {.name = "bulk-up",
                              .arguments = "DISCARD_PORT CONNECTIONS",
                              .argument_count = 2,
                              .rate_name = "",
                              .make = MakeWork<BulkUpWork>};
const WorkKind kBulkDownWork = {.name = "bulk-down",
                                .arguments = "CHARGEN_PORT CONNECTIONS",
                                .argument_count = 2,
                                .rate_name = "",
                                .make = MakeWork<BulkDownWork>};

}  // namespace transportd::bench
