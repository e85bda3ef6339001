#include "transports/tls/tls_socket.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"
#include "transports/tls/tls_certificate.h"
#include "transports/tls/tls_error.h"

namespace transportd {
namespace {

constexpr size_t kRecordBytes = SSL3_RT_MAX_PLAIN_LENGTH;
// What one DoWrite encrypts at most, so that one transport does not keep the loop for long.
constexpr size_t kMaxWriteBytes = 256 * 1024;

// Walks over pieces of memory and hands out stretches of at most a record's size, joined when they are short.
class PieceReader final {
 public:
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): joined_ is written before it is read, and large
  explicit PieceReader(std::span<const iovec> pieces) : pieces_(pieces) { SkipEmpty(); }

  bool empty() const { return index_ == pieces_.size(); }

  // Valid until the next call.
  std::span<const char> Peek() {
    const std::span<const char> first = Rest(index_);
    if (first.size() >= kRecordBytes) return first.first(kRecordBytes);
    if (index_ + 1 == pieces_.size()) return first;
    size_t size = 0;
    for (size_t i = index_; i < pieces_.size() && size < kRecordBytes; ++i) {
      const std::span<const char> piece = Rest(i);
      const size_t taken = std::min(piece.size(), kRecordBytes - size);
      std::memcpy(joined_.data() + size, piece.data(), taken);
      size += taken;
    }
    return {joined_.data(), size};
  }

  void Consume(size_t size_bytes) {
    while (size_bytes > 0) {
      const size_t taken = std::min(size_bytes, Rest(index_).size());
      offset_ += taken;
      size_bytes -= taken;
      SkipEmpty();
    }
  }

 private:
  std::span<const char> Rest(size_t index) const {
    const size_t begin = index == index_ ? offset_ : 0;
    return {static_cast<const char*>(pieces_[index].iov_base) + begin, pieces_[index].iov_len - begin};
  }
  void SkipEmpty() {
    while (index_ < pieces_.size() && offset_ == pieces_[index_].iov_len) {
      ++index_;
      offset_ = 0;
    }
  }

  const std::span<const iovec> pieces_;
  size_t index_ = 0;
  size_t offset_ = 0;
  std::array<char, kRecordBytes> joined_;
};

std::optional<std::string> ToString(const char* text) {
  return text != nullptr ? std::optional<std::string>(text) : std::nullopt;
}

}  // namespace

TlsSocket::TlsSocket(std::shared_ptr<TlsContext> context, std::unique_ptr<StreamSocket> lower,
                     const std::string& server_hostname, std::string peer, Timeouts timeouts)
    : context_(std::move(context)),
      lower_(std::move(lower)),
      peer_(std::move(peer)),
      timeouts_(timeouts),
      resumption_{.peer = StrCat(server_hostname, "\n", peer_)} {
  absl::StatusOr<SslPtr> connection = context_->NewConnection(server_hostname, resumption_);
  if (!connection.ok()) {
    creation_status_ = connection.status();
    return;
  }
  ssl_ = *std::move(connection);
  BIO* const bio = BIO_new(LowerBioMethod());
  CHECK(bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
}

TlsSocket::~TlsSocket() = default;

StreamTraits TlsSocket::Traits() const {
  return {.eof_closes = true,
          .eof_may_wait = true,
          .close_ends_write = true,
          .write_buffer_marks = kTlsWriteBufferMarks,
          .handshake_timeout = timeouts_.handshake,
          .shutdown_timeout = timeouts_.shutdown};
}

const BIO_METHOD* TlsSocket::LowerBioMethod() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* const made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "transportd stream socket");
    CHECK(made != nullptr);
    CHECK(BIO_meth_set_read_ex(made, &TlsSocket::BioRead) == 1);
    CHECK(BIO_meth_set_write_ex(made, &TlsSocket::BioWrite) == 1);
    CHECK(BIO_meth_set_ctrl(made, &TlsSocket::BioControl) == 1);
    return made;
  }();
  return method;
}

int TlsSocket::BioRead(BIO* bio, char* data, size_t size_bytes, size_t* read_bytes) {
  BIO_clear_retry_flags(bio);
  *read_bytes = 0;
  auto& self = *static_cast<TlsSocket*>(BIO_get_data(bio));
  if (size_bytes == 0) return -1;
  if (self.lower_end_) {
    // To OpenSSL an end that was not announced is an error after which nothing can be written. To asyncio it is the end
    // of what the peer sends, and Outcome tells it from a wait for more.
    if (self.lower_end_->kind == IoResult::Kind::kEof) BIO_set_retry_read(bio);
    return -1;
  }
  IoResult result = self.lower_->DoRead({data, size_bytes});
  switch (result.kind) {
    case IoResult::Kind::kBytes:
      *read_bytes = result.size_bytes;
      return 1;
    case IoResult::Kind::kWouldBlock:
      self.read_wait_ = result.wait == IoResult::Wait::kOwn ? IoResult::Wait::kReadable : result.wait;
      BIO_set_retry_read(bio);
      return -1;
    case IoResult::Kind::kEof:
      BIO_set_retry_read(bio);
      [[fallthrough]];
    case IoResult::Kind::kFailed:
    case IoResult::Kind::kFileFailed:
      self.lower_end_ = std::move(result);
      return -1;
  }
  return -1;
}

int TlsSocket::BioWrite(BIO* bio, const char* data, size_t size_bytes, size_t* written_bytes) {
  BIO_clear_retry_flags(bio);
  *written_bytes = 0;
  auto& self = *static_cast<TlsSocket*>(BIO_get_data(bio));
  if (size_bytes == 0) return -1;
  // An end of what the peer sends is none of what it takes.
  if (self.lower_end_ && self.lower_end_->kind == IoResult::Kind::kFailed) return -1;
  const iovec piece{.iov_base = const_cast<char*>(data), .iov_len = size_bytes};
  IoResult result = self.lower_->DoWrite({&piece, 1});
  switch (result.kind) {
    case IoResult::Kind::kBytes:
      *written_bytes = result.size_bytes;
      return 1;
    case IoResult::Kind::kWouldBlock:
      self.write_wait_ = result.wait == IoResult::Wait::kOwn ? IoResult::Wait::kWritable : result.wait;
      BIO_set_retry_write(bio);
      return -1;
    case IoResult::Kind::kEof:
    case IoResult::Kind::kFailed:
    case IoResult::Kind::kFileFailed:
      self.lower_end_ = std::move(result);
      return -1;
  }
  return -1;
}

long TlsSocket::BioControl(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH || command == BIO_CTRL_PUSH || command == BIO_CTRL_POP ? 1 : 0;
}

IoResult TlsSocket::Outcome(int result, std::string_view operation) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return lower_end_ ? IoResult::Eof(EndCause::kRaggedEof) : IoResult::WouldBlock(read_wait_);
    case SSL_ERROR_WANT_WRITE:
      return IoResult::WouldBlock(write_wait_);
    case SSL_ERROR_ZERO_RETURN:
      return IoResult::Eof();
    default:
      break;
  }
  // OpenSSL has words of its own for what it cannot know the reason of.
  if (lower_end_ && lower_end_->kind == IoResult::Kind::kFailed) {
    ERR_clear_error();
    return *lower_end_;
  }
  TlsFailure failure = TakeTlsFailure(operation, peer_);
  return IoResult::Failed(failure.cause, ToStatus(failure.error));
}

IoResult TlsSocket::DoHandshake() {
  if (ssl_ == nullptr) return IoResult::Failed(EndCause::kTlsError, creation_status_);
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) return IoResult::Bytes(0);
  const int verify_code = static_cast<int>(SSL_get_verify_result(ssl_.get()));
  IoResult outcome = Outcome(result, "handshake");
  if (outcome.kind == IoResult::Kind::kEof) {
    TransportError error;
    error.code = absl::StatusCode::kUnavailable;
    error.reason = "HANDSHAKE_EOF";
    error.message = "the peer ended the connection during the handshake";
    error.operation = "handshake";
    error.address = peer_;
    return IoResult::Failed(EndCause::kRaggedEof, ToStatus(error));
  }
  if (outcome.kind != IoResult::Kind::kFailed || outcome.cause != EndCause::kTlsError) return outcome;
  TransportError error = ToTransportError(outcome.status);
  if (error.reason != "CERTIFICATE_VERIFY_FAILED") return outcome;
  error.tls_verify_code = verify_code;
  error.message = StrCat(error.message, ": ", X509_verify_cert_error_string(verify_code));
  return IoResult::Failed(outcome.cause, ToStatus(error));
}

void TlsSocket::AddExtraInfo(ExtraInfo& extra_info) const {
  auto info = std::make_shared<TlsInfo>();
  info->version = SSL_get_version(ssl_.get());
  if (const SSL_CIPHER* const cipher = SSL_get_current_cipher(ssl_.get()); cipher != nullptr) {
    info->cipher = {.name = SSL_CIPHER_get_name(cipher),
                    .protocol = SSL_CIPHER_get_version(cipher),
                    .secret_bits = SSL_CIPHER_get_bits(cipher, nullptr)};
  }
  if (const COMP_METHOD* const compression = SSL_get_current_compression(ssl_.get()); compression != nullptr) {
    info->compression = ToString(SSL_COMP_get_name(compression));
  }
  const unsigned char* alpn = nullptr;
  unsigned int alpn_size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &alpn, &alpn_size);
  if (alpn_size > 0) info->alpn_protocol = std::string(reinterpret_cast<const char*>(alpn), alpn_size);
  if (X509* const certificate = SSL_get0_peer_certificate(ssl_.get()); certificate != nullptr) {
    info->peer_certificate = ToTlsCertificate(certificate);
    info->peer_certificate_verified = context_->verifies_peer() && SSL_get_verify_result(ssl_.get()) == X509_V_OK;
  }
  info->session_reused = SSL_session_reused(ssl_.get()) == 1;
  info->server_name = ToString(SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name));
  extra_info.tls = std::move(info);
}

IoResult TlsSocket::DoRead(std::span<char> buffer) {
  if (end_) return *end_;
  size_t size = 0;
  while (size < buffer.size()) {
    ERR_clear_error();
    size_t read = 0;
    const int result = SSL_read_ex(ssl_.get(), buffer.data() + size, buffer.size() - size, &read);
    if (result == 1) {
      size += read;
      continue;
    }
    IoResult outcome = Outcome(result, "recv");
    const bool ends = outcome.kind != IoResult::Kind::kWouldBlock;
    if (ends) end_ = outcome;
    if (size == 0) return outcome;
    IoResult bytes = IoResult::Bytes(size);
    // What waits for the descriptor to be writable must be found out by another call.
    bytes.more = ends || outcome.wait == IoResult::Wait::kWritable;
    return bytes;
  }
  IoResult bytes = IoResult::Bytes(size);
  bytes.more = true;
  return bytes;
}

IoResult TlsSocket::DoWrite(std::span<const iovec> pieces) {
  PieceReader reader(pieces);
  size_t size = 0;
  while (!reader.empty() && size < kMaxWriteBytes) {
    const std::span<const char> record = reader.Peek();
    ERR_clear_error();
    size_t written = 0;
    const int result = SSL_write_ex(ssl_.get(), record.data(), record.size(), &written);
    if (result != 1) {
      if (size > 0) break;  // If it is a failure, the next call meets it again.
      return Outcome(result, "send");
    }
    size += written;
    reader.Consume(written);
  }
  return IoResult::Bytes(size);
}

IoResult TlsSocket::DoShutdown() {
  // As asyncio: a peer that left without leave is told nothing.
  if (end_ && end_->kind == IoResult::Kind::kEof && end_->cause == EndCause::kRaggedEof) return IoResult::Bytes(0);
  ERR_clear_error();
  const bool is_first = !std::exchange(is_shutdown_sent_, true);
  const int result = SSL_shutdown(ssl_.get());
  if (result == 1) return is_first ? IoResult::Bytes(0) : IoResult::Eof();
  if (result == 0) {
    // Sent. Whether the peer's is here already, the next call finds out.
    IoResult sent = IoResult::WouldBlock(read_wait_);
    sent.more = true;
    return sent;
  }
  return Outcome(result, "shutdown");
}

}  // namespace transportd
