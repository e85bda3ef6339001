// Protocols that write down what they are called with.
#ifndef TRANSPORTD_TESTS_UNIT_STREAM_RECORDING_PROTOCOL_H_
#define TRANSPORTD_TESTS_UNIT_STREAM_RECORDING_PROTOCOL_H_

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "transports/api/protocol.h"
#include "transports/api/transport.h"

namespace transportd {

// What happened, and what to do when it happens. Threading: loop thread only.
struct Record {
  std::vector<std::string> events;  // "made", "data", "eof", "pause", "resume", "lost"; data only once in a row.
  std::string received;
  std::vector<uint64_t> bytes_sent;
  std::optional<ConnectionEnd> end;
  std::shared_ptr<Transport> transport;
  bool keep_open = false;  // What EofReceived answers.

  std::function<void()> on_made, on_data, on_eof, on_pause, on_resume, on_bytes_sent, on_lost;

  bool lost() const { return end.has_value(); }

  void Note(const std::string& event, const std::function<void()>& action) {
    if (event != "data" || events.empty() || events.back() != "data") events.push_back(event);
    if (action) action();
  }
};

template <typename Base>
class RecordingBase : public Base {
 public:
  explicit RecordingBase(Record& record) : record_(record) {}

  void ConnectionMade(std::shared_ptr<Transport> transport) override {
    record_.transport = std::move(transport);
    record_.Note("made", record_.on_made);
  }
  bool EofReceived() override {
    record_.Note("eof", record_.on_eof);
    return record_.keep_open;
  }
  void ConnectionLost(const ConnectionEnd& end) override {
    record_.end = end;
    record_.Note("lost", record_.on_lost);
  }
  void PauseWriting() override { record_.Note("pause", record_.on_pause); }
  void ResumeWriting() override { record_.Note("resume", record_.on_resume); }
  void BytesSent(uint64_t sent_bytes) override {
    record_.bytes_sent.push_back(sent_bytes);
    if (record_.on_bytes_sent) record_.on_bytes_sent();
  }

 protected:
  Record& record_;
};

class RecordingProtocol final : public RecordingBase<Protocol> {
 public:
  using RecordingBase<Protocol>::RecordingBase;

  void DataReceived(std::string_view data) override {
    record_.received += data;
    record_.Note("data", record_.on_data);
  }
};

// Gives buffers of `size_bytes`, 0 for an empty one.
class RecordingBufferedProtocol final : public RecordingBase<BufferedProtocol> {
 public:
  RecordingBufferedProtocol(Record& record, size_t size_bytes)
      : RecordingBase<BufferedProtocol>(record), buffer_(size_bytes) {}

  std::span<char> GetBuffer(size_t) override {
    ++get_buffer_count;
    return buffer_;
  }
  void BufferUpdated(size_t size_bytes) override {
    updates.push_back(size_bytes);
    record_.received.append(buffer_.data(), size_bytes);
    record_.Note("data", record_.on_data);
  }

  size_t get_buffer_count = 0;
  std::vector<size_t> updates;

 private:
  std::vector<char> buffer_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_UNIT_STREAM_RECORDING_PROTOCOL_H_
