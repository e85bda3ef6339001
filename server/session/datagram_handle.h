// What a session keeps of one datagram endpoint, and the protocol that turns its callbacks into frame entries.
#ifndef TRANSPORTD_SERVER_SESSION_DATAGRAM_HANDLE_H_
#define TRANSPORTD_SERVER_SESSION_DATAGRAM_HANDLE_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/session/flow_handle.h"
#include "transports/api/datagram.h"

namespace transportd {

// While its window is spent the socket is not read, and what comes is dropped by the kernel, which counts it.
//
// Held by its transport until ConnectionLost, and by the session's table from ConnectionMade to ConnectionLost.
// Threading: loop thread only.
class DatagramHandle final : public DatagramProtocol, public FlowHandle {
 public:
  static constexpr Kind kKind = Kind::kDatagram;

  // The request id of the command that made it, and its place, shared with that command.
  DatagramHandle(std::shared_ptr<Session> session, uint32_t request_id, std::shared_ptr<void> place);
  ~DatagramHandle() override;

  DatagramTransport& transport() { return *transport_; }

  // SendTo, together with what else is gathered: `data` must stay valid until SendGathered, before which nothing else
  // may be done with the transport. `address` may be null. INVALID_ADDRESS: it was not taken.
  absl::Status Gather(std::string_view data, const SocketAddress* address);
  void SendGathered();

  // Handle
  void End() override;
  bool IsStillAllowed() const override;
  void Describe(v1::TransportInfo& info) const override;
  absl::Status Close() override;
  absl::Status Abort(bool reset) override;
  absl::Status SetWriteBufferLimits(const WriteBufferLimits& limits) override;
  absl::StatusOr<WriteBufferMarks> GetWriteBufferLimits() const override;
  absl::Status GetState(v1::GetStateResponse& state) const override;
  void Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) override;
  void Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) override;

  // DatagramProtocol
  void ConnectionMade(std::shared_ptr<DatagramTransport> transport) override;
  void DatagramReceived(std::string_view data, const SocketAddress* address) override;
  void ErrorReceived(const absl::Status& status) override;
  void PauseWriting() override;
  void ResumeWriting() override;
  void WriteProgress(uint64_t settled_bytes) override;
  void ConnectionLost(const DatagramEnd& end) override;

 private:
  // FlowHandle
  void PauseTransport() override { transport_->PauseReading(); }
  void ResumeTransport() override { transport_->ResumeReading(); }
  uint64_t TransportBufferBytes() const override { return transport_->GetWriteBufferSize(); }
  uint64_t TransportHighBytes() const override { return transport_->GetWriteBufferLimits().high_bytes; }

  // The transport's, with what was dropped here.
  DatagramCounts Counts(DatagramCounts counts) const;

  const uint32_t request_id_;
  std::shared_ptr<DatagramTransport> transport_;
  uint64_t dropped_count_ = 0;  // Longer than a frame may be.

  // As they are in the frame: most datagrams come from where the one before did.
  SocketAddress sender_;
  std::string sender_bytes_;

  std::vector<OutgoingDatagram> gathered_;
  std::deque<SocketAddress> gathered_addresses_;  // What gathered_ points to.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_DATAGRAM_HANDLE_H_
