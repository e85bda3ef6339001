// Protocols that trace every callback, and do in it what a scenario's hooks say.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_TRACING_PROTOCOL_H_
#define TRANSPORTD_TESTS_CONFORMANCE_TRACING_PROTOCOL_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "tests/conformance/trace.h"
#include "transports/api/protocol.h"
#include "transports/api/transport.h"

namespace transportd::conformance {

class Stage;
class Tracing;

// What a protocol does in its callbacks; unset: nothing. Threading: a value.
struct Hooks {
  std::function<void(Tracing&)> made = nullptr;
  std::function<void(Tracing&, std::string_view)> data = nullptr;  // Of DataReceived and of BufferUpdated.
  std::function<bool(Tracing&)> eof = nullptr;
  std::function<void(Tracing&)> pause = nullptr;
  std::function<void(Tracing&)> resume = nullptr;
  std::function<void(Tracing&)> lost = nullptr;
};

// What both kinds of protocol share. Threading: loop thread only.
class Tracing {
 public:
  Tracing(Stage& stage, std::string name, Hooks hooks);
  virtual ~Tracing() = default;
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;

  virtual std::shared_ptr<BaseProtocol> AsProtocol() = 0;

  Stage& stage() { return stage_; }
  const std::string& name() const { return name_; }
  Transport& transport() { return *transport_; }
  const std::shared_ptr<Transport>& shared_transport() const { return transport_; }
  bool made() const { return transport_ != nullptr; }
  bool got_eof() const { return got_eof_; }
  bool lost() const { return lost_; }
  uint64_t received_bytes() const { return received_bytes_; }
  // What ConnectionLost was told.
  const ConnectionEnd& end() const { return end_; }

  void Note(std::string line) { trace_.Add(std::move(line)); }
  void Note(std::string_view what, bool value);
  void Note(std::string_view what, uint64_t value);
  // is_closing, is_reading, can_write_eof.
  void NoteState();
  void NoteLimits();
  // Note the reason when it is refused.
  void Write(std::string_view data);
  void Writelines(std::initializer_list<std::string_view> lines);
  void SetLimits(WriteBufferLimits limits);
  void SetHigh(uint64_t high_bytes) { SetLimits({.high_bytes = high_bytes, .low_bytes = {}}); }

  // For a protocol that comes by SetProtocol: `from`'s transport is this one's, `from` hears no more.
  void TakeOver(Tracing& from);

 protected:
  void OnMade(std::shared_ptr<Transport> transport);
  void OnReceived(std::string_view kind, std::string_view data);
  bool OnEof();
  void OnPause();
  void OnResume();
  void OnLost(const ConnectionEnd& end);
  void OnBytesSent();

 private:
  // Traces a callback that comes from inside another, or from inside a transport's method.
  class Callback;

  Stage& stage_;
  const std::string name_;
  const Hooks hooks_;
  Trace& trace_;
  std::shared_ptr<Transport> transport_;
  bool got_eof_ = false;
  bool lost_ = false;
  uint64_t received_bytes_ = 0;
  ConnectionEnd end_;
};

// Threading: loop thread only.
class TracingProtocol final : public Protocol, public Tracing, public std::enable_shared_from_this<TracingProtocol> {
 public:
  using Tracing::Tracing;
  std::shared_ptr<BaseProtocol> AsProtocol() override { return shared_from_this(); }

  void ConnectionMade(std::shared_ptr<Transport> transport) override { OnMade(std::move(transport)); }
  void DataReceived(std::string_view data) override { OnReceived("data_received", data); }
  bool EofReceived() override { return OnEof(); }
  void PauseWriting() override { OnPause(); }
  void ResumeWriting() override { OnResume(); }
  void ConnectionLost(const ConnectionEnd& end) override { OnLost(end); }
  void BytesSent(uint64_t) override { OnBytesSent(); }
};

// Threading: loop thread only.
class TracingBufferedProtocol final : public BufferedProtocol,
                                      public Tracing,
                                      public std::enable_shared_from_this<TracingBufferedProtocol> {
 public:
  TracingBufferedProtocol(Stage& stage, std::string name, size_t buffer_bytes, Hooks hooks)
      : Tracing(stage, std::move(name), std::move(hooks)), buffer_(buffer_bytes, '\0') {}
  std::shared_ptr<BaseProtocol> AsProtocol() override { return shared_from_this(); }

  void ConnectionMade(std::shared_ptr<Transport> transport) override { OnMade(std::move(transport)); }
  std::span<char> GetBuffer(size_t) override { return buffer_; }
  void BufferUpdated(size_t size_bytes) override {
    OnReceived("buffer_updated", std::string_view(buffer_).substr(0, size_bytes));
  }
  bool EofReceived() override { return OnEof(); }
  void PauseWriting() override { OnPause(); }
  void ResumeWriting() override { OnResume(); }
  void ConnectionLost(const ConnectionEnd& end) override { OnLost(end); }
  void BytesSent(uint64_t) override { OnBytesSent(); }

 private:
  std::string buffer_;
};

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_TRACING_PROTOCOL_H_
