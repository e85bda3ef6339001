// A create_* call under way.
#ifndef TRANSPORTD_TRANSPORTS_BASE_OPERATION_H_
#define TRANSPORTD_TRANSPORTS_BASE_OPERATION_H_

#include <chrono>

#include "transports/api/event_loop.h"

namespace transportd {

// The longest time a create_* call may take when it names none.
inline constexpr Duration kDefaultCreateTimeout = std::chrono::seconds(60);

// Calls its `done` exactly once, in a later turn than Start or Cancel, as the last thing it does: `done` may destroy
// what it can reach but the operation itself, which is destroyed at the turn's end at the earliest. Destroyed before
// that, it leaves nothing behind and calls nobody. Threading: loop thread only.
class Operation {
 public:
  virtual ~Operation() = default;
  // Once.
  virtual void Start() = 0;
  // Undoes what was done; `done` gets CANCELLED / CANCELLED. Nothing after `done`.
  virtual void Cancel() = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_OPERATION_H_
