// TLS over another stream socket.
#ifndef TRANSPORTD_TRANSPORTS_TLS_TLS_SOCKET_H_
#define TRANSPORTD_TRANSPORTS_TLS_TLS_SOCKET_H_

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "transports/api/time.h"
#include "transports/stream/stream_socket.h"
#include "transports/tls/openssl_handles.h"
#include "transports/tls/tls_context.h"

namespace transportd {

// OpenSSL over a BIO whose reads and writes are those of the socket below, which may be TLS itself.
//
// A record is written whole or not at all as far as DoWrite tells: bytes of one that the socket below took in part are
// not counted, and come again as the first of the next call, as they do from a transport.
//
// Threading: loop thread only.
class TlsSocket final : public StreamSocket {
 public:
  struct Timeouts {
    Duration handshake;
    Duration shutdown;
  };

  // `server_hostname`: see TlsContext::NewConnection. `peer`: for errors; its address, or empty.
  TlsSocket(std::shared_ptr<TlsContext> context, std::unique_ptr<StreamSocket> lower,
            const std::string& server_hostname, std::string peer, Timeouts timeouts);
  TlsSocket(const TlsSocket&) = delete;
  TlsSocket& operator=(const TlsSocket&) = delete;
  ~TlsSocket() override;

  // StreamSocket
  StreamTraits Traits() const override;
  int fd() const override { return lower_->fd(); }
  IoResult DoHandshake() override;
  void AddExtraInfo(ExtraInfo& extra_info) const override;
  IoResult DoRead(std::span<char> buffer) override;
  IoResult DoWrite(std::span<const iovec> pieces) override;
  bool CanWriteEof() const override { return false; }
  // Never called: CanWriteEof is false.
  IoResult ShutdownWrite() override { return IoResult::Bytes(0); }
  IoResult DoShutdown() override;
  void ResetOnClose() override { lower_->ResetOnClose(); }

 private:
  static const BIO_METHOD* LowerBioMethod();
  static int BioRead(BIO* bio, char* data, size_t size_bytes, size_t* read_bytes);
  static int BioWrite(BIO* bio, const char* data, size_t size_bytes, size_t* written_bytes);
  static long BioControl(BIO* bio, int command, long number, void* pointer);

  // What an operation that OpenSSL could not do comes to: kWouldBlock, kEof or kFailed. `result`: what the operation
  // returned.
  IoResult Outcome(int result, std::string_view operation);

  // Shared with the layer that made this and the cache behind it.
  const std::shared_ptr<TlsContext> context_;
  const std::unique_ptr<StreamSocket> lower_;
  const std::string peer_;
  const Timeouts timeouts_;
  TlsResumption resumption_;
  SslPtr ssl_;
  absl::Status creation_status_;

  // What the socket below said last.
  IoResult::Wait read_wait_ = IoResult::Wait::kReadable;
  IoResult::Wait write_wait_ = IoResult::Wait::kWritable;
  std::optional<IoResult> lower_end_;  // Its kEof or kFailed, which stays.

  std::optional<IoResult> end_;  // What comes after bytes that were read before it.
  bool is_shutdown_sent_ = false;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_TLS_TLS_SOCKET_H_
