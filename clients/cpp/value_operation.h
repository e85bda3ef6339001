// A call that comes to a value.
#ifndef TRANSPORTD_CLIENTS_CPP_VALUE_OPERATION_H_
#define TRANSPORTD_CLIENTS_CPP_VALUE_OPERATION_H_

#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/remote_operation.h"

namespace transportd {

// `convert` makes the value of the answer; it is called for one that nobody waits for any more, too, so that what the
// value owns is given back. Threading: loop thread only.
template <typename T>
class ValueOperation final : public RemoteOperation {
 public:
  using Convert = absl::AnyInvocable<T(const v1::Reply&)>;
  using Done = absl::AnyInvocable<void(absl::StatusOr<T>)>;

  ValueOperation(Convert convert, Done done) : convert_(std::move(convert)), done_(std::move(done)) {}

  void Finish(const v1::Reply& reply) override { done_(convert_(reply)); }
  void Fail(const absl::Status& status) override { done_(status); }
  void Undo(const v1::Reply& reply) override { static_cast<void>(convert_(reply)); }

 private:
  Convert convert_;
  Done done_;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_VALUE_OPERATION_H_
