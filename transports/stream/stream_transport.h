// The stream transport: asyncio's _SelectorSocketTransport, over any StreamSocket.
#ifndef TRANSPORTD_TRANSPORTS_STREAM_STREAM_TRANSPORT_H_
#define TRANSPORTD_TRANSPORTS_STREAM_STREAM_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "transports/api/transport.h"
#include "transports/base/byte_queue.h"
#include "transports/base/watermarks.h"
#include "transports/reactor/reactor.h"
#include "transports/stream/loop_context.h"
#include "transports/stream/stream_layer.h"
#include "transports/stream/stream_socket.h"
#include "transports/stream/transport_registry.h"

namespace transportd {

// What sends a file through a transport. Threading: loop thread only.
class FileSender {
 public:
  virtual ~FileSender() = default;

  // It is ready, what was written before is in the kernel, and there is room for more. At most once a turn.
  virtual void OnRoom() = 0;
  // The transport ends: its time is over. Must not call the transport, but for QueuedFileBytes and EndSendfile.
  // `status`: OK when it was aborted.
  virtual void OnTransportEnded(const absl::Status& status) = 0;
};

// Buffers, watermarks, and the order of a connection's callbacks. The life of one:
//
//   Handshaking? → Opening → Open → Closing? → ShuttingDown? → Ending → Lost
//
//   Handshaking   Of a socket that has a handshake. The protocol has heard nothing, and never will when this fails.
//   Opening       Start was called, ConnectionMade was not: nothing is read. What a server's CloseClients does to it
//                 comes after its ConnectionMade.
//   Open          Reads unless paused or ended; writes. While a layer is put over its socket, it does neither.
//   Closing       Close was called and bytes are buffered, or a file is being sent: writes, and takes more to write,
//                 until the buffer is empty and the file is sent.
//   ShuttingDown  The buffer is empty, and the socket takes leave of the peer; most have no leave to take.
//   Ending        Inert: the socket is no longer watched, the buffer is empty, writes are dropped; ConnectionLost is
//                 queued.
//   Lost          ConnectionLost was called; socket and protocol are gone.
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

  // Once: calls ConnectionMade in the next turn, or when the socket's handshake is done, and then begins to read. With
  // `on_ready`, that is called with OK in the turn after ConnectionMade, whatever became of the transport meanwhile,
  // and reading begins only after it. When the handshake fails or the transport is ended first, `on_ready` gets the
  // error, and the protocol is never called.
  void Start(absl::AnyInvocable<void(absl::Status)> on_ready = nullptr);

  // asyncio's start_tls, in two steps: reserves the socket for a layer. From its return on nothing is read, and what is
  // written is kept for the layer. FAILED_PRECONDITION / START_TLS_IMPOSSIBLE, and nothing happens, when the transport
  // is not open both ways or another layer is on its way.
  // `done` is called once, in a later turn than SetLayer: with OK when the layer's handshake is done, before data; with
  // an error, and before ConnectionLost, when it fails or the transport is ended first.
  absl::Status BeginLayer(absl::AnyInvocable<void(absl::Status)> done);
  // Puts `layer` over the socket when all that was written before BeginLayer has been sent. `incoming`: what it reads
  // before anything else. Nothing when the transport has ended meanwhile.
  void SetLayer(std::shared_ptr<const StreamLayer> layer, std::string incoming = {});
  // Instead of SetLayer: goes on as before. `done` is destroyed uncalled. Nothing when the transport has ended.
  void CancelLayer();

  // Ends the transport as an error does: drops what is buffered, then ConnectionLost in a later turn. For causes that
  // are not the socket's, such as a policy. Nothing when it ends already.
  void Fail(EndCause cause, absl::Status status);

  // --- sendfile (transports/sendfile): a file takes the place of what Write takes.

  // From now on `sender` has the writing side, until EndSendfile: what was written before goes first, Write refuses
  // (SENDFILE_IN_PROGRESS), what Close and WriteEof do comes after the file, and nothing is read. `sender` must outlive
  // its time. FAILED_PRECONDITION / TRANSPORT_CLOSING, WRITE_AFTER_EOF, SENDFILE_IN_PROGRESS; UNIMPLEMENTED /
  // WRONG_KIND for a transport that is only read.
  absl::Status BeginSendfile(FileSender& sender);
  // Whether the sender has something to send: it is then asked, in a later turn, when there is room.
  void SetSenderReady(bool ready);
  // The kernel sends by itself; else the sender reads and writes.
  bool CanSendfile() const { return socket_ != nullptr && socket_->CanSendfile(); }
  // For the sender, when it is asked: StreamSocket::DoSendfile. kFailed: the transport has ended of it.
  IoResult SendfileSlice(int file_fd, off_t& offset, size_t size_bytes);
  // For the sender, when it is asked: sends `data`, not empty, or keeps what there is no room for.
  void WriteFromFile(std::string_view data);
  // Of what WriteFromFile was given: not in the kernel yet.
  uint64_t QueuedFileBytes() const { return queued_file_bytes_; }
  // Nothing when the time of `sender` is over already, or never began.
  void EndSendfile(const FileSender& sender);

  // Ending or Lost: nothing more will be sent.
  bool IsEnding() const { return state_ == State::kEnding || state_ == State::kLost; }

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
  enum class State { kHandshaking, kOpening, kOpen, kClosing, kShuttingDown, kEnding, kLost };
  // What WriteEof has come to: the FIN follows what is buffered.
  enum class WriteEofState { kNone, kAsked, kSent };
  // What BeginLayer has come to. kFlushing: what was written before it goes out, or SetLayer has not come.
  enum class LayerState { kNone, kFlushing, kHandshaking };

  StreamTransport(LoopContext& context, std::unique_ptr<StreamSocket> socket, std::shared_ptr<BaseProtocol> protocol,
                  Options options);

  // FdHandler
  void OnReadable() override;
  void OnWritable() override;

  void SetState(State state);
  // Watches what the state calls for; asks epoll only when that changed.
  void UpdateWatch();
  void BindProtocol(std::shared_ptr<BaseProtocol> protocol);

  void BecomeOpen();
  void CallConnectionMade();
  void BeginReading();
  bool WantsToRead() const;
  bool WantsToWrite() const;
  // One read of the socket, told to the protocol.
  void ReadOnce();
  // For what the socket has although its descriptor is not readable: a read in the next turn.
  void QueueRead();
  void OnQueuedRead();
  void OnEof(EndCause cause);
  void OnReaderGone();
  // Sends `lines`, which hold `size_bytes` (more than 0), or as much as the kernel takes, and keeps the rest.
  void WriteNow(std::span<const std::string_view> lines, size_t size_bytes);
  void CountSent(size_t size_bytes, size_t of_file_bytes);
  void SendEof();
  // Sends what is buffered, or as much as the kernel takes.
  void Flush();
  // Nothing is left to flush: the end that Close asked for, or the FIN that WriteEof did.
  void OnFlushed();
  void Finish(EndCause cause, absl::Status status);
  // Nothing is buffered, and no file is being sent.
  bool HasNothingToSend() const { return write_buffer_.empty() && file_sender_ == nullptr; }
  void CallConnectionLost();

  // In stream_transport_steps.cc: while the socket works for itself, in steps of a handshake or a shutdown.
  bool IsStepping() const {
    return state_ == State::kHandshaking || state_ == State::kShuttingDown || layer_state_ == LayerState::kHandshaking;
  }
  void ContinueStep();
  void ContinueHandshake();
  void OnHandshakeDone();
  void BeginShutdown();
  void ContinueShutdown();
  void WaitForStep(const IoResult& result);
  void EndStep();
  void OnStepTimeout();
  // The layer's handshake begins when it is there and what was written before it is sent.
  void StartLayerIfReady();

  void AssertInLoopThread() const;
  // Writing is possible: bytes are sent or kept.
  bool IsWritable() const { return state_ == State::kOpening || state_ == State::kOpen || state_ == State::kClosing; }

  // Null once Lost.
  LoopContext* context_;
  std::unique_ptr<StreamSocket> socket_;
  StreamTraits traits_;
  WatchId watch_ = 0;

  // `protocol_` owns; one of the other two is the same object under its own type, so that the data path casts nothing.
  std::shared_ptr<BaseProtocol> protocol_;
  Protocol* plain_protocol_ = nullptr;
  BufferedProtocol* buffered_protocol_ = nullptr;

  State state_ = State::kOpening;
  WriteEofState write_eof_ = WriteEofState::kNone;
  bool watches_readable_ = false;
  bool watches_writable_ = false;
  bool may_read_ = false;  // ConnectionMade, and on_ready, were called.
  bool paused_reading_ = false;
  bool received_eof_ = false;
  bool is_made_ = false;               // ConnectionMade was called.
  bool read_waits_writable_ = false;   // The last read waits for the descriptor to be writable.
  bool write_waits_readable_ = false;  // The last write waits for it to be readable.
  bool socket_has_more_ = false;       // What IoResult::more said last.
  bool read_is_queued_ = false;

  ByteQueue write_buffer_;
  Watermarks watermarks_;
  uint64_t received_bytes_ = 0;
  uint64_t sent_bytes_ = 0;
  uint64_t dropped_bytes_ = 0;

  // Null: no file is being sent.
  FileSender* file_sender_ = nullptr;
  bool file_sender_ready_ = false;
  uint64_t queued_file_bytes_ = 0;  // At the front of the buffer.
  uint64_t sent_file_bytes_ = 0;    // In sent_bytes_.

  // While the socket works for itself: what it waits for (kOwn: nothing), and for how long.
  IoResult::Wait step_wait_ = IoResult::Wait::kOwn;
  TimerId step_timer_ = 0;

  LayerState layer_state_ = LayerState::kNone;
  size_t plain_left_bytes_ = 0;               // kFlushing: how much of the buffer goes out before the layer.
  std::shared_ptr<const StreamLayer> layer_;  // From SetLayer to its handshake. Shared with whoever gave it.
  std::string layer_incoming_;                // What it reads first.
  absl::AnyInvocable<void(absl::Status)> layer_done_;

  EndCause eof_cause_ = EndCause::kEof;           // Set with received_eof_.
  EndCause close_cause_ = EndCause::kLocalClose;  // Set by Close.
  // What ConnectionLost will be told; set in Ending.
  EndCause end_cause_ = EndCause::kLocalClose;
  absl::Status end_status_;
  bool can_write_eof_ = false;  // Set in Lost.

  ExtraInfo extra_info_;
  absl::AnyInvocable<void(absl::Status)> on_ready_;
  absl::AnyInvocable<void(StreamTransport&)> on_lost_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_STREAM_STREAM_TRANSPORT_H_
