// What a session keeps of one subprocess, and the protocol that turns its callbacks into frame entries.
#ifndef TRANSPORTD_SERVER_SESSION_SUBPROCESS_HANDLE_H_
#define TRANSPORTD_SERVER_SESSION_SUBPROCESS_HANDLE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "google/protobuf/repeated_ptr_field.h"
#include "server/session/handle.h"
#include "transportd/v1/types.pb.h"
#include "transports/api/subprocess.h"

namespace transportd {

class Session;

// Its pipes are stream transports with handles and ids of their own: their data never comes through here.
//
// Held by its transport until ConnectionLost, and by the session's table from ConnectionMade to ConnectionLost.
// Threading: loop thread only.
class SubprocessHandle final : public SubprocessProtocol, public Handle {
 public:
  static constexpr Kind kKind = Kind::kSubprocess;

  // What made it.
  struct Origin {
    uint32_t request_id = 0;
    // Its own place, and one for each of its pipes: those of the command that made it.
    std::vector<std::shared_ptr<void>> places = {};
    // Null: nobody is asked.
    std::shared_ptr<OperationGate> gate = {};
    std::string program = {};  // As the client named it.
  };

  SubprocessHandle(std::shared_ptr<Session> session, Origin origin);
  ~SubprocessHandle() override;

  SubprocessTransport& transport() { return *transport_; }
  // The pipes' ids; empty before ConnectionMade.
  const google::protobuf::RepeatedPtrField<v1::SubprocessPipe>& pipes() const { return pipes_; }

  // Handle
  void End() override;
  std::optional<int> Returncode() const override;
  void Describe(v1::TransportInfo& info) const override;
  absl::Status Close() override;
  absl::Status GetState(v1::GetStateResponse& state) const override;

  // SubprocessProtocol
  void ConnectionMade(std::shared_ptr<SubprocessTransport> transport) override;
  void ProcessExited() override;
  void ConnectionLost(const ConnectionEnd& end) override;

 private:
  std::shared_ptr<Session> session_;  // Null after ConnectionLost.
  Origin origin_;
  std::shared_ptr<SubprocessTransport> transport_;
  google::protobuf::RepeatedPtrField<v1::SubprocessPipe> pipes_;
  bool ended_ = false;  // By the session.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_SUBPROCESS_HANDLE_H_
