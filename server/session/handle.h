// What a session keeps of one transport or server, whatever its kind.
#ifndef TRANSPORTD_SERVER_SESSION_HANDLE_H_
#define TRANSPORTD_SERVER_SESSION_HANDLE_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/policy/request_check.h"
#include "server/policy/session_guard.h"
#include "transportd/v1/admin.pb.h"
#include "transportd/v1/transport.pb.h"
#include "transports/api/socket_option.h"
#include "transports/api/transport.h"

namespace transportd {

class FlowHandle;

// Held by the session's table while it has an id there. Threading: loop thread only.
class Handle {
 public:
  // Each is one final class. In the order of SessionStats.
  enum class Kind { kStream, kServer, kDatagram, kSocket, kSubprocess };

  virtual ~Handle() = default;

  Kind kind() const { return kind_; }
  // 0 until the session has taken it up, and for ever when it had no room for it.
  uint32_t id() const { return id_; }
  void set_id(uint32_t id) { id_ = id; }
  // The server that accepted it; 0: none.
  uint32_t server_id() const { return server_id_; }
  // Its place among the session's and the service's transports; null: it has none.
  bool has_place() const { return place_ != nullptr; }
  void SetPlace(std::shared_ptr<void> place) { place_ = std::move(place); }
  std::shared_ptr<void> TakePlace() { return std::move(place_); }
  std::chrono::system_clock::time_point open_time() const { return open_time_; }
  std::chrono::nanoseconds age() const { return std::chrono::system_clock::now() - open_time_; }
  // Whom the policy is asked through; null: nobody is asked. That of an accepted connection is its server's.
  const std::shared_ptr<OperationGate>& gate() const { return gate_; }
  void SetGate(std::shared_ptr<OperationGate> gate) { gate_ = std::move(gate); }
  // How it is set up, as far as that was granted, and by how many commands: a policy may take it back. An accepted
  // connection has its server's, too.
  const std::map<Need, uint64_t>& settings() const { return settings_; }
  void AddSettings(const std::vector<Need>& needs) {
    for (const Need& need : needs) {
      if (need.kind != ActionKind::kResolve) ++settings_[need];
    }
  }
  void CopySettings(const Handle& other) { settings_ = other.settings_; }
  void RemoveSettings(const std::vector<Need>& needs) {
    for (const Need& need : needs) {
      const auto found = settings_.find(need);
      if (found != settings_.end() && --found->second == 0) settings_.erase(found);
    }
  }
  // By the policy of now, its settings apart.
  virtual bool IsStillAllowed() const { return gate_ == nullptr || gate_->StillAllows(nullptr, nullptr, false); }
  // Of a process that has exited.
  virtual std::optional<int> Returncode() const { return std::nullopt; }
  // Who ends it that is neither its client nor its peer: the policy, which does not allow it, or an operator.
  std::optional<EndCause> ended_by() const { return ended_by_; }
  void SetEndedBy(EndCause cause) { ended_by_ = cause; }

  // Itself, when data flows through it.
  virtual FlowHandle* flow() { return nullptr; }

  // The session ends: it must leave the table soon.
  virtual void End() = 0;
  // What an operator may see of it; the session fills in what it knows itself.
  virtual void Describe(v1::TransportInfo& info) const = 0;

  // The methods that several kinds have. A kind that has one overrides it; the others answer
  // UNIMPLEMENTED / WRONG_KIND.
  virtual absl::Status Close() { return WrongKind(); }
  virtual absl::Status Abort(bool /*reset*/) { return WrongKind(); }
  virtual absl::Status SetPausedByClient(bool /*paused*/) { return WrongKind(); }
  virtual absl::Status SetWriteBufferLimits(const WriteBufferLimits& /*limits*/) { return WrongKind(); }
  virtual absl::StatusOr<WriteBufferMarks> GetWriteBufferLimits() const { return WrongKind(); }
  virtual absl::Status GetState(v1::GetStateResponse& /*state*/) const { return WrongKind(); }
  virtual void Getsockopt(SocketOption /*option*/, absl::AnyInvocable<void(absl::StatusOr<int>)> done) {
    done(WrongKind());
  }
  virtual void Setsockopt(SocketOption /*option*/, int /*value*/, absl::AnyInvocable<void(absl::Status)> done) {
    done(WrongKind());
  }

  // "7 is a server, and has no such method".
  absl::Status WrongKind() const;

 protected:
  explicit Handle(Kind kind, uint32_t server_id = 0)
      : kind_(kind), server_id_(server_id), open_time_(std::chrono::system_clock::now()) {}

 private:
  const Kind kind_;
  const uint32_t server_id_;
  uint32_t id_ = 0;
  std::shared_ptr<void> place_;
  std::shared_ptr<OperationGate> gate_;
  std::map<Need, uint64_t> settings_;
  std::optional<EndCause> ended_by_;
  const std::chrono::system_clock::time_point open_time_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_HANDLE_H_
