// What a session keeps of one stream transport, and the protocol that turns its callbacks into frame entries.
#ifndef TRANSPORTD_SERVER_SESSION_STREAM_HANDLE_H_
#define TRANSPORTD_SERVER_SESSION_STREAM_HANDLE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "server/session/flow_handle.h"
#include "transports/api/protocol.h"
#include "transports/api/transport.h"

namespace transportd {

// Bytes go from recv(2) straight into the session's open frame.
//
// Held by its transport until ConnectionLost, and by the session's table from ConnectionMade to ConnectionLost.
// Threading: loop thread only.
class StreamHandle final : public BufferedProtocol, public FlowHandle {
 public:
  static constexpr Kind kKind = Kind::kStream;

  // What made it: the request id of a create_* command, the server that accepted it, or the subprocess whose pipe it
  // is.
  struct Origin {
    uint32_t request_id = 0;
    uint32_t server_id = 0;
    uint32_t subprocess_id = 0;
    bool close_on_eof = false;
    // Its place, shared with the command that made it; null: to be taken when it is adopted.
    std::shared_ptr<void> place = nullptr;
    // Its own, or its server's; null: nobody is asked.
    std::shared_ptr<OperationGate> gate = nullptr;
    std::vector<Need> settings = {};
  };

  StreamHandle(std::shared_ptr<Session> session, Origin origin);
  ~StreamHandle() override;

  Transport& transport() { return *transport_; }
  const std::shared_ptr<Transport>& shared_transport() const { return transport_; }

  // The two halves of ConnectionMade, for transports whose ids must be known before they are told. False: the session
  // has no room for it.
  bool Take(std::shared_ptr<Transport> transport);
  void Announce();

  absl::Status Write(std::string_view data);
  absl::Status Writelines(std::span<const std::string_view> lines);
  absl::Status WriteEof();

  // Handle
  bool IsStillAllowed() const override;
  void End() override;
  void Describe(v1::TransportInfo& info) const override;
  absl::Status Close() override;
  absl::Status Abort(bool reset) override;
  absl::Status SetPausedByClient(bool paused) override;
  absl::Status SetWriteBufferLimits(const WriteBufferLimits& limits) override;
  absl::StatusOr<WriteBufferMarks> GetWriteBufferLimits() const override;
  absl::Status GetState(v1::GetStateResponse& state) const override;
  void Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) override;
  void Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) override;

  // BufferedProtocol
  void ConnectionMade(std::shared_ptr<Transport> transport) override;
  void ConnectionLost(const ConnectionEnd& end) override;
  void PauseWriting() override;
  void ResumeWriting() override;
  void BytesSent(uint64_t sent_bytes) override;
  bool DecidesOnEof() const override { return true; }
  std::span<char> GetBuffer(size_t size_hint_bytes) override;
  void BufferUpdated(size_t size_bytes) override;
  bool EofReceived() override;

 private:
  // FlowHandle
  bool IsQuiet() const override;
  void PauseTransport() override { transport_->PauseReading(); }
  void ResumeTransport() override { transport_->ResumeReading(); }
  uint64_t TransportBufferBytes() const override { return transport_->GetWriteBufferSize(); }
  uint64_t TransportHighBytes() const override { return transport_->GetWriteBufferLimits().high_bytes; }

  // Sockets and pipes for both directions can; pipes of one direction cannot.
  bool CanRead() const;
  bool CanWrite() const;

  const uint32_t request_id_;
  const uint32_t subprocess_id_;
  const bool close_on_eof_;
  size_t read_bytes_;         // What the next read is offered, if the window has room for it.
  size_t offered_bytes_ = 0;  // What the last one was.
  std::shared_ptr<Transport> transport_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_STREAM_HANDLE_H_
