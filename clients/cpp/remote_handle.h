// What a client's session keeps of one transport in the service, whatever its kind.
#ifndef TRANSPORTD_CLIENTS_CPP_REMOTE_HANDLE_H_
#define TRANSPORTD_CLIENTS_CPP_REMOTE_HANDLE_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "transportd/v1/event_loop.pb.h"

namespace transportd {

// Everything that the protocol has consumed, as an Acknowledgement has it. Threading: a value.
struct Consumed {
  uint64_t data_bytes = 0;
  uint64_t data_count = 0;
};

// shared_ptr: owned by the session until it is lost, and by whoever keeps the transport. Threading: loop thread only.
class RemoteHandle {
 public:
  virtual ~RemoteHandle() = default;

  // The service's callbacks: the hot ones, and all others. False: the callback breaks the contract.
  // A data_received comes in one part or more, the last with `is_last`.
  [[nodiscard]] virtual bool OnDataReceived(std::string_view data, bool is_last) = 0;
  // `address`: a serialized v1::SocketAddress.
  [[nodiscard]] virtual bool OnDatagramReceived(std::string_view /*data*/,
                                                std::optional<std::string_view> /*address*/) {
    return false;
  }
  [[nodiscard]] virtual bool OnWriteProgress(uint64_t sent_bytes) = 0;
  [[nodiscard]] virtual bool OnCallback(const v1::Callback& callback) = 0;
  virtual void OnSessionLost(const absl::Status& status) = 0;
  // Becomes inert without calling anybody.
  virtual void OnLoopDestroyed() = 0;

  // The session's send window has room again; after RemoteSession::WaitForCredit.
  virtual void OnCredit() = 0;
  // What is to be acknowledged now; after RemoteSession::AcknowledgeLater.
  virtual Consumed TakeConsumed() = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_REMOTE_HANDLE_H_
