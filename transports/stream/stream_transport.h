// The stream transport: asyncio's _SelectorSocketTransport, over any StreamSocket.
#ifndef TRANSPORTD_TRANSPORTS_STREAM_STREAM_TRANSPORT_H_
#define TRANSPORTD_TRANSPORTS_STREAM_STREAM_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "transports/api/transport.h"
#include "transports/base/byte_queue.h"
#include "transports/base/watermarks.h"
#include "transports/reactor/reactor.h"
#include "transports/stream/loop_context.h"
#include "transports/stream/stream_socket.h"
#include "transports/stream/transport_registry.h"

namespace transportd {

// Buffers, watermarks, and the order of a connection's callbacks. The life of one:
//
//   Opening → Open → Closing? → Ending → Lost
//
//   Opening  Start was called, ConnectionMade was not: nothing is read. What a server's CloseClients does to it comes
//            after its ConnectionMade.
//   Open     Reads unless paused or ended; writes.
//   Closing  Close was called and bytes are buffered: writes, and takes more to write, until the buffer is empty.
//   Ending   Inert: the socket is no longer watched, the buffer is empty, writes are dropped; ConnectionLost is queued.
//   Lost     ConnectionLost was called; socket and protocol are gone.
//
// SetState makes every transition; Finish, and Fail for errors, is the only way into Ending. Whoever calls the protocol
// looks at the state again afterwards: any method may have been called inside.
//
// shared_ptr: owned by the loop's registry until ConnectionLost, and by whoever keeps what ConnectionMade handed out.
// Threading: loop thread only.
class StreamTransport final : public Transport,
                              public LoopOwned,
                              public std::enable_shared_from_this<StreamTransport>,
                              private FdHandler {
 public:
  struct Options {
    ExtraInfo extra_info;
    WriteBufferMarks write_buffer_marks;
    // After ConnectionLost, in the same turn: for the server that accepted it. Not called when the loop is destroyed.
    absl::AnyInvocable<void(StreamTransport&)> on_lost;
  };

  // Registered with `context`, which must outlive it or destroy it. `protocol`: a Protocol or a BufferedProtocol.
  static std::shared_ptr<StreamTransport> Create(LoopContext& context, std::unique_ptr<StreamSocket> socket,
                                                 std::shared_ptr<BaseProtocol> protocol, Options options);
  ~StreamTransport() override;

  // Once: calls ConnectionMade in the next turn and then begins to read. With `on_ready`, that is called in the turn
  // after ConnectionMade, whatever became of the transport meanwhile, and reading begins only after it.
  void Start(absl::AnyInvocable<void()> on_ready = nullptr);

  // Ends the transport as an error does: drops what is buffered, then ConnectionLost in a later turn. For causes that
  // are not the socket's, such as a policy. Nothing when it ends already.
  void Fail(EndCause cause, absl::Status status);

  // Ending or Lost: nothing more will be sent.
  bool IsEnding() const { return !IsWritable(); }

  // Transport
  void Close() override;
  void Abort(bool reset = false) override;
  bool IsClosing() const override;
  const ExtraInfo& GetExtraInfo() const override;
  void SetProtocol(std::shared_ptr<BaseProtocol> protocol) override;
  std::shared_ptr<BaseProtocol> GetProtocol() const override;
  bool IsReading() const override;
  void PauseReading() override;
  void ResumeReading() override;
  absl::Status Write(std::string_view data) override;
  absl::Status Writelines(std::span<const std::string_view> lines) override;
  void WriteEof() override;
  bool CanWriteEof() const override;
  absl::Status SetWriteBufferLimits(const WriteBufferLimits& limits) override;
  WriteBufferMarks GetWriteBufferLimits() const override;
  size_t GetWriteBufferSize() const override;
  uint64_t ReceivedBytes() const override;
  uint64_t SentBytes() const override;
  void Getsockopt(SocketOption option, absl::AnyInvocable<void(absl::StatusOr<int>)> done) override;
  void Setsockopt(SocketOption option, int value, absl::AnyInvocable<void(absl::Status)> done) override;

  // LoopOwned
  void OnLoopDestroyed() override;

 private:
  enum class State { kOpening, kOpen, kClosing, kEnding, kLost };
  // What WriteEof has come to: the FIN follows what is buffered.
  enum class WriteEofState { kNone, kAsked, kSent };

  StreamTransport(LoopContext& context, std::unique_ptr<StreamSocket> socket, std::shared_ptr<BaseProtocol> protocol,
                  Options options);

  // FdHandler
  void OnReadable() override;
  void OnWritable() override;

  void SetState(State state);
  // Watches what the state calls for; asks epoll only when that changed.
  void UpdateWatch();
  void BindProtocol(std::shared_ptr<BaseProtocol> protocol);

  void CallConnectionMade();
  void BeginReading();
  void OnEof();
  // Sends `lines`, which hold `size_bytes` (more than 0), or as much as the kernel takes, and keeps the rest.
  void WriteNow(std::span<const std::string_view> lines, size_t size_bytes);
  void SendEof();
  // Nothing is left to flush: the end that Close asked for, or the FIN that WriteEof did.
  void OnFlushed();
  void FinishClose();
  void Finish(EndCause cause, absl::Status status);
  void CallConnectionLost();

  void AssertInLoopThread() const;
  // Writing is possible: bytes are sent or kept.
  bool IsWritable() const { return state_ == State::kOpening || state_ == State::kOpen || state_ == State::kClosing; }

  // Null once Lost.
  LoopContext* context_;
  std::unique_ptr<StreamSocket> socket_;
  WatchId watch_ = 0;

  // `protocol_` owns; one of the other two is the same object under its own type, so that the data path casts nothing.
  std::shared_ptr<BaseProtocol> protocol_;
  Protocol* plain_protocol_ = nullptr;
  BufferedProtocol* buffered_protocol_ = nullptr;

  State state_ = State::kOpening;
  WriteEofState write_eof_ = WriteEofState::kNone;
  bool watches_readable_ = false;
  bool watches_writable_ = false;
  bool can_read_ = false;  // ConnectionMade, and on_ready, were called.
  bool paused_reading_ = false;
  bool received_eof_ = false;

  ByteQueue write_buffer_;
  Watermarks watermarks_;
  uint64_t received_bytes_ = 0;
  uint64_t sent_bytes_ = 0;
  uint64_t dropped_bytes_ = 0;

  // What ConnectionLost will be told; set in Ending.
  EndCause end_cause_ = EndCause::kLocalClose;
  absl::Status end_status_;

  const ExtraInfo extra_info_;
  absl::AnyInvocable<void(StreamTransport&)> on_lost_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_STREAM_STREAM_TRANSPORT_H_
