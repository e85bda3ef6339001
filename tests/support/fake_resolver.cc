#include "tests/support/fake_resolver.h"

#include <netdb.h>

#include <utility>

#include "transports/api/error.h"

namespace transportd {

FakeResolver::~FakeResolver() {
  std::vector<Waiting> waiting;
  {
    MutexLock lock(mutex_);
    waiting.swap(waiting_);
  }
  for (Waiting& one : waiting) one.done(MakeError(absl::StatusCode::kCancelled, "CANCELLED", "the resolver is gone"));
}

void FakeResolver::Set(const std::string& host, Answer answer) {
  MutexLock lock(mutex_);
  answers_.insert_or_assign(host, std::move(answer));
}

void FakeResolver::SetHosts(const std::string& host, const std::vector<std::string>& addresses) {
  std::vector<SocketAddress> answer;
  for (const std::string& address : addresses) {
    const bool inet6 = address.find(':') != std::string::npos;
    answer.push_back({.family = inet6 ? AddressFamily::kInet6 : AddressFamily::kInet, .host = address, .path = {}});
  }
  Set(host, std::move(answer));
}

void FakeResolver::Hold() {
  MutexLock lock(mutex_);
  held_ = true;
}

bool FakeResolver::AnswerNext() {
  Waiting next;
  {
    MutexLock lock(mutex_);
    if (waiting_.empty()) return false;
    next = std::move(waiting_.front());
    waiting_.erase(waiting_.begin());
  }
  AnswerOne(std::move(next));
  return true;
}

void FakeResolver::AnswerAll() {
  {
    MutexLock lock(mutex_);
    held_ = false;
  }
  while (AnswerNext()) {
  }
}

size_t FakeResolver::waiting_count() const {
  MutexLock lock(mutex_);
  return waiting_.size();
}

std::vector<ResolveRequest> FakeResolver::requests() const {
  MutexLock lock(mutex_);
  return requests_;
}

std::vector<Asker> FakeResolver::askers() const {
  MutexLock lock(mutex_);
  return askers_;
}

void FakeResolver::Resolve(ResolveRequest request, Asker asker, Done done) {
  Waiting waiting{std::move(request), std::move(done)};
  {
    MutexLock lock(mutex_);
    requests_.push_back(waiting.request);
    askers_.push_back(std::move(asker));
    if (held_) {
      waiting_.push_back(std::move(waiting));
      return;
    }
  }
  AnswerOne(std::move(waiting));
}

void FakeResolver::Getaddrinfo(GetaddrinfoOptions request, Asker asker,
                               absl::AnyInvocable<void(absl::StatusOr<std::vector<AddressInfo>>)> done) {
  ResolveRequest plain{.address = {.host = request.host, .port = {}},
                       .family = request.family,
                       .flags = request.flags,
                       .proto = request.proto};
  plain.address.port = static_cast<uint32_t>(std::stoul(request.port.value_or("0")));
  const SocketType type = request.type == SocketType::kUnspecified ? SocketType::kStream : request.type;
  Resolve(std::move(plain), std::move(asker),
          [type, proto = request.proto, done = std::move(done)](Answer answer) mutable {
            if (!answer.ok()) return done(answer.status());
            std::vector<AddressInfo> infos;
            for (const SocketAddress& address : *answer) {
              infos.push_back(
                  {.family = address.family, .type = type, .proto = proto, .canonname = {}, .address = address});
            }
            done(std::move(infos));
          });
}

void FakeResolver::Getnameinfo(SocketAddress address, int flags, Asker asker,
                               absl::AnyInvocable<void(absl::StatusOr<NameInfo>)> done) {
  static_cast<void>(flags);
  NameInfo info{.host = address.host, .service = std::to_string(address.port)};
  {
    MutexLock lock(mutex_);
    askers_.push_back(std::move(asker));
    for (const auto& [host, answer] : answers_) {
      if (!answer.ok()) continue;
      for (const SocketAddress& known : *answer) {
        if (known.host == address.host) info.host = host;
      }
    }
  }
  done(std::move(info));
}

void FakeResolver::AnswerOne(Waiting waiting) {
  TransportError unknown;
  unknown.code = absl::StatusCode::kNotFound;
  unknown.reason = "EAI_NONAME";
  unknown.message = "getaddrinfo: no answer in the table";
  unknown.operation = "getaddrinfo";
  unknown.gai_code = EAI_NONAME;
  Answer answer = ToStatus(unknown);
  {
    MutexLock lock(mutex_);
    auto found = answers_.find(waiting.request.address.host.value_or(""));
    if (found != answers_.end()) answer = found->second;
  }
  if (answer.ok()) {
    for (SocketAddress& address : *answer)
      address.port = static_cast<uint16_t>(waiting.request.address.port.value_or(0));
  }
  waiting.done(std::move(answer));
}

}  // namespace transportd
