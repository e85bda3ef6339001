// A gate that writes down what it is asked, and answers as it is told.
#ifndef TRANSPORTD_TESTS_SUPPORT_FAKE_GATE_H_
#define TRANSPORTD_TESTS_SUPPORT_FAKE_GATE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/api/error.h"
#include "transports/api/socket_gate.h"
#include "transports/base/mutex.h"

namespace transportd {

// A question is "connect 127.0.0.1:80", "send …", "bind …", "accept LOCAL from PEER", "receive …", "read PATH" or
// "write PATH". Threading: the members are set before the gate is used;
// asked() from any thread.
class FakeGate final : public SocketGate {
 public:
  // Which questions are refused; null: none.
  std::function<bool(const std::string& question)> refuses;
  // What MayBind answers for port 0.
  std::vector<PortRange> ranges;
  bool forbids_symlinks = false;
  uint64_t generation = 0;

  // Refuses everything that begins so.
  void Refuse(std::string beginning) {
    refuses = [beginning = std::move(beginning)](const std::string& question) {
      return question.starts_with(beginning);
    };
  }

  // All questions so far.
  std::vector<std::string> asked() const {
    const MutexLock lock(mutex_);
    return asked_;
  }
  // What HasBound was last told.
  SocketAddress bound() const {
    const MutexLock lock(mutex_);
    return bound_;
  }
  void Forget() {
    const MutexLock lock(mutex_);
    asked_.clear();
  }

  absl::Status MayConnect(const SocketAddress& remote) override { return Ask("connect " + remote.ToString()); }
  absl::Status MaySend(const SocketAddress& remote) override { return Ask("send " + remote.ToString()); }
  absl::StatusOr<std::vector<PortRange>> MayBind(const SocketAddress& local) override {
    if (absl::Status status = Ask("bind " + local.ToString()); !status.ok()) return status;
    return ranges;
  }
  void HasBound(const SocketAddress& /*local*/, const SocketAddress& bound) override {
    const MutexLock lock(mutex_);
    bound_ = bound;
  }
  bool MayAccept(const SocketAddress& local, const SocketAddress& peer) override {
    return Ask("accept " + local.ToString() + " from " + peer.ToString()).ok();
  }
  bool MayReceive(const SocketAddress& peer) override { return Ask("receive " + peer.ToString()).ok(); }
  uint64_t Generation() const override { return generation; }
  absl::Status MayOpen(std::string_view path, bool is_write) override {
    return Ask((is_write ? "write " : "read ") + std::string(path));
  }
  bool ForbidsSymlinks() const override { return forbids_symlinks; }

 private:
  absl::Status Ask(const std::string& question) {
    {
      const MutexLock lock(mutex_);
      asked_.push_back(question);
    }
    if (!refuses || !refuses(question)) return absl::OkStatus();
    return MakeError(absl::StatusCode::kPermissionDenied, "POLICY_DENIED", "denied: decision 7");
  }

  mutable Mutex mutex_;
  std::vector<std::string> asked_ ABSL_GUARDED_BY(mutex_);
  SocketAddress bound_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_SUPPORT_FAKE_GATE_H_
