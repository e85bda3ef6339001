// A call of RemoteEventLoop under way: from the command to its `done`.
#ifndef TRANSPORTD_CLIENTS_CPP_REMOTE_OPERATION_H_
#define TRANSPORTD_CLIENTS_CPP_REMOTE_OPERATION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "transportd/v1/event_loop.pb.h"
#include "transports/api/error.h"

namespace transportd {

// Of Finish and Fail one is called, once; it calls `done`. Owned by the loop's table until then, and by what is on its
// way back to it. Threading: loop thread only.
class RemoteOperation {
 public:
  virtual ~RemoteOperation() = default;

  // The service made the transport that was asked for; before it answers, and not once the call was cancelled. False:
  // it was not asked for, and is refused.
  virtual bool OnConnectionMade(uint32_t /*transport_id*/, const v1::ConnectionMade& /*made*/) { return false; }

  // Not OK: the answer breaks the contract, and so ends the session.
  virtual absl::Status Check(const v1::Reply& /*reply*/) const { return absl::OkStatus(); }
  // Whether `done` waits for a turn of its own, as asyncio's waiter does. Otherwise it is called before anything else
  // that the answer's frame holds.
  virtual bool FinishesLater() const { return false; }
  // Whether a cancelled call fails only when the service has answered: until then it goes on as if it were not
  // cancelled. Otherwise it fails in the next turn, and what the service makes of it is undone.
  virtual bool CancelWaits() const { return false; }
  virtual void Finish(const v1::Reply& reply) = 0;
  // What was made already is aborted.
  virtual void Fail(const absl::Status& status) = 0;
  // The service did it although it was cancelled.
  virtual void Undo(const v1::Reply& /*reply*/) {}
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_REMOTE_OPERATION_H_
