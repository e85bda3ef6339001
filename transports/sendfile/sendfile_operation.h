// sendfile: a file through a stream transport, in order with what is written.
#ifndef TRANSPORTD_TRANSPORTS_SENDFILE_SENDFILE_OPERATION_H_
#define TRANSPORTD_TRANSPORTS_SENDFILE_SENDFILE_OPERATION_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/sendfile.h"
#include "transports/base/operation.h"
#include "transports/reactor/loop_executor.h"
#include "transports/sendfile/source_file.h"
#include "transports/stream/loop_context.h"
#include "transports/stream/stream_transport.h"

namespace transportd {

// The executor opens the file and reads ahead, at most a window at a time; the loop sends what is in memory:
//
//   natively      sendfile(2), in slices, of what the executor has brought into the kernel's cache, so that the loop
//   does
//                 not wait for the disk. The executor fetches the next window meanwhile.
//   by fallback   (TLS, pipes, a file system without sendfile) the executor reads a block, which is written when the
//   one
//                 before it is in the kernel.
//
// shared_ptr: owned by the loop, while it is under way; what is queued on the loop holds a weak_ptr.
// Threading: loop thread only.
class SendfileOperation final : public Operation,
                                public std::enable_shared_from_this<SendfileOperation>,
                                private FileSender {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<uint64_t>)>;

  // `context` and `executor` must outlive this.
  SendfileOperation(LoopContext& context, LoopExecutor& executor, std::shared_ptr<StreamTransport> transport,
                    SendfileOptions options, Done done);
  ~SendfileOperation() override;

  // Operation
  void Start() override;
  void Cancel() override;

 private:
  // FileSender
  void OnRoom() override;
  void OnTransportEnded(const absl::Status& status) override;

  // What one visit of the executor brings. No file: it is open already.
  struct Fetched {
    absl::Status status;
    std::shared_ptr<SourceFile> file;
    std::string block;      // By fallback.
    size_t size_bytes = 0;  // Read, from the offset that was asked for.
    bool at_end = false;    // The file has no more.

    Fetched() = default;
    explicit Fetched(absl::Status why) : status(std::move(why)) {}
  };
  static Fetched Fetch(std::shared_ptr<SourceFile> file, const SendfileOptions& options, int descriptor_limit,
                       off_t offset, size_t size_bytes, bool native);

  // Asks the executor for what comes after what it has fetched, when it is time.
  void FetchMore();
  void OnFetched(Fetched fetched);
  void SendNatively();
  void SendBlock();
  // Nothing is left to fetch or to send.
  bool IsComplete() const;
  void UpdateReady();
  // Handed to the transport so far.
  uint64_t HandedBytes() const;
  // The end, OK or not; the transport is the program's again.
  void Finish(const absl::Status& status, uint64_t sent_bytes);
  void Deliver();

  LoopContext& context_;
  LoopExecutor& executor_;
  const std::shared_ptr<StreamTransport> transport_;
  const SendfileOptions options_;
  Done done_;

  bool native_ = false;
  // shared_ptr: owned by this, and by the visit of the executor that is under way.
  std::shared_ptr<SourceFile> file_;
  off_t start_ = 0;
  off_t offset_ = 0;       // Of the next byte to send.
  off_t fetched_end_ = 0;  // How far the executor has read.
  bool at_end_ = false;    // There is nothing behind fetched_end_.
  std::string block_;      // By fallback: what lies between the two.
  LoopExecutor::WorkId fetching_ = 0;
  // Set at the end; Deliver is then queued.
  std::optional<absl::StatusOr<uint64_t>> result_;
};

// INVALID_ARGUMENT / INVALID_PATH, INVALID_OFFSET, INVALID_COUNT.
absl::Status ValidateSendfile(const SendfileOptions& options);

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_SENDFILE_SENDFILE_OPERATION_H_
