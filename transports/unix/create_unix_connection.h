// create_unix_connection to a path: connect, make the transport.
#ifndef TRANSPORTD_TRANSPORTS_UNIX_CREATE_UNIX_CONNECTION_H_
#define TRANSPORTD_TRANSPORTS_UNIX_CREATE_UNIX_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "transports/api/unix.h"
#include "transports/base/operation.h"
#include "transports/base/unique_fd.h"
#include "transports/reactor/reactor.h"
#include "transports/stream/loop_context.h"
#include "transports/stream/transport_opener.h"

namespace transportd {

// A listener whose backlog is full is asked again until there is room or time is up: the kernel tells neither a reader
// nor a writer when there is (unix(7); connect(2), EAGAIN).
//
// With `sock`, ConnectSocketOperation is the one. shared_ptr: owned by the loop, while it is under way; what is queued
// on the loop holds a weak_ptr. Threading: loop thread only.
class CreateUnixConnectionOperation final : public Operation,
                                            public std::enable_shared_from_this<CreateUnixConnectionOperation> {
 public:
  // `context` must outlive this. `layer`: see ConnectedSocketOptions.
  CreateUnixConnectionOperation(LoopContext& context, ProtocolFactory factory, CreateUnixConnectionOptions options,
                                std::shared_ptr<const StreamLayer> layer, TransportOpener::Done done);
  ~CreateUnixConnectionOperation() override;

  // Operation
  void Start() override;
  void Cancel() override;

 private:
  // Connects, or says when it will try again.
  void Connect();
  // Asks the gate, unless it has allowed this.
  absl::Status AskToConnect();
  void Open();
  void OnTimeout();
  // The end: `status` is not OK.
  void Fail(absl::Status status);
  // Closes and calls off whatever is under way.
  void TearDown();

  LoopContext& context_;
  const CreateUnixConnectionOptions options_;
  const std::shared_ptr<const StreamLayer> layer_;
  // shared_ptr: owned by this.
  const std::shared_ptr<TransportOpener> opener_;

  SocketAddress address_;
  std::optional<uint64_t> allowed_generation_;  // Of the gate.
  UniqueFd fd_;
  Duration retry_delay_;
  TimerId deadline_ = 0;
  TimerId retry_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_UNIX_CREATE_UNIX_CONNECTION_H_
