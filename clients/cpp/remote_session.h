// The client's end of a session: frames in and out, requests and their replies, windows, and who has which id.
#ifndef TRANSPORTD_CLIENTS_CPP_REMOTE_SESSION_H_
#define TRANSPORTD_CLIENTS_CPP_REMOTE_SESSION_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/frame_channel.h"
#include "clients/cpp/frame_outbox.h"
#include "clients/cpp/remote_handle.h"
#include "proto/frame/frame_reader.h"
#include "transportd/v1/event_loop.pb.h"
#include "transports/api/event_loop.h"
#include "transports/reactor/reactor.h"

namespace transportd {

class RemoteServer;

// What Opened.limits said, as far as a client needs it. Threading: a value.
struct RemoteLimits {
  uint64_t receive_window_bytes = 0;
  uint64_t callback_charge_bytes = 0;
  uint64_t session_receive_window_bytes = 0;
  uint64_t send_window_bytes = 0;
  uint64_t session_send_window_bytes = 0;
};

// Opening → Open → Lost. Lost comes from the stream's end, or from a frame that breaks the contract; every transport,
// server and request is then told, once. Shut down: nobody is told anything any more.
//
// shared_ptr: owned by its RemoteEventLoop; the channel only watches it. Threading: loop thread only.
class RemoteSession final : public FrameChannel::Handler,
                            private FrameOutbox::AcknowledgementSource,
                            public std::enable_shared_from_this<RemoteSession> {
 public:
  // What is not the affair of one transport or server. Threading: loop thread only.
  class Observer {
   public:
    virtual ~Observer() = default;
    // A transport that a create_* call made (request_id) or a server accepted (server_id). The observer adds a handle
    // for it, or refuses it.
    virtual void OnConnectionMade(uint32_t transport_id, const v1::ConnectionMade& made) = 0;
    virtual void ReportException(const ExceptionContext& context) = 0;
    // The service stops, in `time_left` at the latest.
    virtual void OnDraining(Duration time_left) = 0;
  };

  // `reactor` and `observer` must outlive the session, or Shutdown.
  RemoteSession(Reactor& reactor, std::unique_ptr<FrameChannel> channel, Observer& observer);
  ~RemoteSession() override;

  // Sends Open. Once, first.
  void Start(const std::string& client_name);
  // The loop is being destroyed: lets go of everything without calling anybody, and half-closes the stream.
  void Shutdown();

  bool is_open() const { return state_ == State::kOpen; }
  // Not OK once the session is lost: UNAVAILABLE / SESSION_LOST.
  const absl::Status& lost_status() const { return lost_status_; }
  // How the stream ended, as the service put it; meaningful once lost.
  const absl::Status& stream_status() const { return stream_status_; }
  const RemoteLimits& limits() const { return limits_; }
  Reactor& reactor() { return reactor_; }
  Observer& observer() { return observer_; }

  // Sends `command` with a request id of its own, which is returned; `done` is called exactly once, in a later turn:
  // with a Reply that has no error, or with the error. Also when the session is lost already.
  using ReplyCallback = absl::AnyInvocable<void(absl::StatusOr<v1::Reply>)>;
  uint32_t Request(v1::Command command, ReplyCallback done);
  // Sends `command` without wanting to know.
  void Send(const v1::Command& command);

  // Client to socket. The credit is what the session's window leaves; Write takes it, Written gives it back.
  uint64_t SendCredit() const {
    return limits_.session_send_window_bytes - std::min(limits_.session_send_window_bytes, unwritten_bytes_);
  }
  size_t max_write_bytes() const { return outbox_.max_write_bytes(); }
  void Write(uint32_t transport_id, std::string_view data);
  void Written(uint64_t size_bytes);
  // The same for datagrams, which do not go in pieces: one may always go.
  bool HasCreditFor(uint64_t size_bytes) const;
  // The most that a datagram's bytes and its serialized address may have.
  size_t max_datagram_bytes() const { return outbox_.max_datagram_bytes(); }
  void SendTo(uint32_t transport_id, std::string_view data, std::optional<std::string_view> address,
              uint64_t weight_bytes);
  // Calls OnCredit on the transport when there is credit again.
  void WaitForCredit(uint32_t transport_id);

  // One more (1) or one fewer (-1) protocol may not write: see PausedWriter.
  void AddPausedWriter(int delta) { paused_writer_count_ += delta; }

  // Socket to client: the transport has consumed something; how much, it is asked when a frame goes out.
  void AcknowledgeLater(uint32_t transport_id, uint64_t weight_bytes, bool is_urgent);

  // Ids. A transport is removed when its ConnectionLost is called, a server when it is closed and its last transport
  // lost.
  void AddTransport(uint32_t transport_id, std::shared_ptr<RemoteHandle> transport);
  std::shared_ptr<RemoteHandle> RemoveTransport(uint32_t transport_id);
  void AddServer(uint32_t server_id, std::shared_ptr<RemoteServer> server);
  void RemoveServer(uint32_t server_id);
  std::shared_ptr<RemoteServer> FindServer(uint32_t server_id) const;
  // Aborts a transport that nobody wants; what the service says about it is ignored.
  void RefuseTransport(uint32_t transport_id, bool reset);

  // The service broke the contract.
  void FailContract(std::string_view what);

  size_t transport_count() const { return transports_.size(); }
  size_t server_count() const { return servers_.size(); }

  // FrameChannel::Handler
  void OnFrame(std::span<const std::string_view> pieces) override;
  void OnFrameSent() override;
  void OnClosed(absl::Status status) override;

 private:
  enum class State { kOpening, kOpen, kLost, kShutDown };

  // AcknowledgementSource
  bool HasUrgentAcknowledgements() const override { return acknowledgements_are_urgent_; }
  void AppendAcknowledgements() override;
  bool WantsPromptProgress() const override { return paused_writer_count_ > 0; }

  bool OnOpened(std::string_view bytes);
  void OnCallback(const EntryView& entry);
  void OnRareCallback(const v1::Callback& callback);
  void OnReply(const v1::Reply& reply);
  void Lose(absl::Status stream_status);
  uint32_t NextRequestId();
  // Null: it was refused, or its loss was said already.
  std::shared_ptr<RemoteHandle> FindTransport(uint32_t transport_id) const;

  Reactor& reactor_;
  Observer& observer_;
  std::unique_ptr<FrameChannel> channel_;
  FrameOutbox outbox_;
  State state_ = State::kOpening;
  absl::Status lost_status_;
  absl::Status stream_status_;
  RemoteLimits limits_;
  uint64_t received_sequence_ = 0;
  FrameView frame_;  // Kept for its vectors' capacity.

  uint32_t last_request_id_ = 0;
  absl::flat_hash_map<uint32_t, ReplyCallback> requests_;
  absl::flat_hash_map<uint32_t, std::shared_ptr<RemoteHandle>> transports_;
  absl::flat_hash_map<uint32_t, std::shared_ptr<RemoteServer>> servers_;

  uint64_t unwritten_bytes_ = 0;  // Sent, and not yet in write_progress: all transports.
  std::deque<uint32_t> waiting_for_credit_;
  int paused_writer_count_ = 0;

  absl::flat_hash_set<uint32_t> to_acknowledge_;
  uint64_t unacknowledged_weight_bytes_ = 0;  // Of those.
  bool acknowledgements_are_urgent_ = false;
};

// Whether a transport's protocol may not write: its session then asks for prompt progress. Threading: loop thread only.
class PausedWriter final {
 public:
  void Set(RemoteSession& session, bool is_paused) {
    if (is_paused == is_paused_) return;
    is_paused_ = is_paused;
    session.AddPausedWriter(is_paused ? 1 : -1);
  }

 private:
  bool is_paused_ = false;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_REMOTE_SESSION_H_
