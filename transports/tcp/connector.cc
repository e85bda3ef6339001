#include "transports/tcp/connector.h"

#include <utility>

namespace transportd {

Connector::Connector(Reactor& reactor, Options options, Done done)
    : reactor_(reactor), options_(std::move(options)), done_(std::move(done)) {}

void Connector::Start() { StartNext(); }

void Connector::StartNext() {
  if (timer_ != 0) reactor_.CancelTimer(std::exchange(timer_, 0));
  while (attempts_.size() < options_.remotes.size()) {
    const size_t index = attempts_.size();
    ConnectAttempt& attempt =
        *attempts_.emplace_back(std::make_unique<ConnectAttempt>(reactor_, options_.descriptor_limit, options_.gate));
    const bool decided = attempt.Start(options_.remotes[index], options_.locals ? &*options_.locals : nullptr,
                                       [this, index] { OnDecided(index); });
    if (decided && attempt.connected()) {
      FinishWith(index);
      return;
    }
    if (decided) continue;
    ++undecided_count_;
    if (!options_.delay) return;
    if (*options_.delay > Duration::zero()) {
      if (attempts_.size() < options_.remotes.size()) {
        timer_ = reactor_.CallLater(*options_.delay, [this] {
          timer_ = 0;
          StartNext();
        });
      }
      return;
    }
  }
  if (undecided_count_ == 0) Finish(UniqueFd());
}

void Connector::OnDecided(size_t index) {
  --undecided_count_;
  if (attempts_[index]->connected()) {
    FinishWith(index);
  } else if (index + 1 == attempts_.size()) {
    // Only the latest one's failure brings the next one forward.
    StartNext();
  } else if (undecided_count_ == 0) {
    // The latest one failed before, and there was no next.
    Finish(UniqueFd());
  }
}

void Connector::FinishWith(size_t index) { Finish(attempts_[index]->TakeFd(), options_.remotes[index].family); }

void Connector::Finish(UniqueFd fd, AddressFamily family) {
  Cancel();
  done_(std::move(fd), family);
}

void Connector::Cancel() {
  if (timer_ != 0) reactor_.CancelTimer(std::exchange(timer_, 0));
  for (const auto& attempt : attempts_) attempt->Cancel();
}

std::vector<TransportError> Connector::Errors() const {
  std::vector<TransportError> errors;
  for (const auto& attempt : attempts_) {
    errors.insert(errors.end(), attempt->errors().begin(), attempt->errors().end());
  }
  return errors;
}

}  // namespace transportd
