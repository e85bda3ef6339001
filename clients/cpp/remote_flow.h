// What a client keeps of a transport through which data flows, whatever its kind: what the service is told about
// reading.
#ifndef TRANSPORTD_CLIENTS_CPP_REMOTE_FLOW_H_
#define TRANSPORTD_CLIENTS_CPP_REMOTE_FLOW_H_

#include <cstdint>
#include <memory>

#include "clients/cpp/remote_handle.h"
#include "clients/cpp/remote_session.h"

namespace transportd {

// Threading: loop thread only.
class RemoteFlow : public RemoteHandle, public std::enable_shared_from_this<RemoteFlow> {
 public:
  // The service's name for it.
  uint32_t id() const { return id_; }

  // RemoteHandle
  void OnCredit() override;
  Consumed TakeConsumed() override;

 protected:
  RemoteFlow(RemoteSession& session, uint32_t id) : session_(&session), id_(id) {}

  // Null once it has left it.
  RemoteSession* session() const { return session_; }
  RemoteSession* LeaveSession();
  void AssertInLoopThread() const;

  // What the transport knows.
  // The service may have more for it, and it may want it.
  virtual bool IsReceiving() const = 0;
  virtual bool IsPaused() const = 0;
  // Something that came is not delivered yet.
  virtual bool HoldsData() const = 0;
  // No more comes: what is held counts as consumed, AddConsumed for each piece once.
  virtual void AcknowledgeHeld() = 0;
  // There is room again; after WaitForCredit.
  virtual void Pump() = 0;

  // Tells the service, at the end of the turn, whether it should go on reading.
  void SyncReadingSoon();
  void AddConsumed(uint64_t size_bytes, uint64_t count);
  void WaitForCredit();

 private:
  bool WantsPaused() const { return IsPaused() || (told_paused_ && HoldsData()); }
  void SyncReading();
  void OnPauseConfirmed();

  RemoteSession* session_;
  const uint32_t id_;
  bool told_paused_ = false;  // What the service was told last.
  bool sync_is_due_ = false;
  bool waits_for_credit_ = false;
  Consumed consumed_;
  uint64_t unacknowledged_weight_bytes_ = 0;
};

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_REMOTE_FLOW_H_
