#include "transports/tls/tls_layers.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "transports/api/error.h"
#include "transports/tls/tls_layer.h"

namespace transportd {
namespace {

// asyncio's.
constexpr Duration kDefaultHandshakeTimeout = std::chrono::seconds(60);
constexpr Duration kDefaultShutdownTimeout = std::chrono::seconds(30);

}  // namespace

TlsLayers::RequestId TlsLayers::Get(TlsOptions options, TlsSide side, Done done) {
  reactor_.AssertInLoopThread();
  const RequestId id = ++last_id_;
  const bool is_client = side == TlsSide::kClient;
  absl::Status identity_status = ResolveIdentity(options);
  const bool has_key = !options.private_key_pem.empty() || !options.certificate_chain_pem.empty();
  requests_.emplace(id, Request{.server_hostname = is_client ? options.server_hostname.value_or("") : std::string(),
                                .timeouts = {.handshake = options.handshake_timeout.value_or(kDefaultHandshakeTimeout),
                                             .shutdown = options.shutdown_timeout.value_or(kDefaultShutdownTimeout)},
                                .keeps_context = is_client && (!has_key || options.session_resumption.value_or(false)),
                                .done = std::move(done)});
  if (!identity_status.ok()) {
    AnswerSoon(id, std::move(identity_status));
    return id;
  }
  if (is_client && !options.server_hostname && options.verify_mode != TlsVerifyMode::kNone) {
    AnswerSoon(id, InvalidArgument("INVALID_SERVER_HOSTNAME", "tls.server_hostname",
                                   "needed where no host is named; empty: the peer's name is not checked"));
    return id;
  }
  const std::string key = TlsContextKey(options, side);
  if (const auto known = contexts_.find(key); known != contexts_.end()) {
    if (Context context = known->second.lock()) {
      AnswerSoon(id, std::move(context));
      return id;
    }
  }
  std::vector<RequestId>& waiting = building_[key];
  waiting.push_back(id);
  if (waiting.size() == 1) Build(key, options, side);
  return id;
}

absl::Status TlsLayers::ResolveIdentity(TlsOptions& options) const {
  if (options.identity.empty()) return absl::OkStatus();
  if (!options.certificate_chain_pem.empty() || !options.private_key_pem.empty()) {
    return InvalidArgument("UNKNOWN_TLS_IDENTITY", "tls.identity", "either a name, or a certificate and key");
  }
  const TlsIdentity* found = nullptr;
  if (identities_ != nullptr) {
    if (const auto it = identities_->find(options.identity); it != identities_->end()) found = &it->second;
  }
  if (found == nullptr) {
    return InvalidArgument("UNKNOWN_TLS_IDENTITY", "tls.identity", "there is no certificate of that name here");
  }
  options.identity.clear();
  options.certificate_chain_pem = found->certificate_chain_pem;
  options.private_key_pem = found->private_key_pem;
  return absl::OkStatus();
}

void TlsLayers::Cancel(RequestId id) {
  reactor_.AssertInLoopThread();
  const auto it = requests_.find(id);
  if (it == requests_.end()) return;
  const Done done = std::move(it->second.done);
  requests_.erase(it);
}

void TlsLayers::Build(const std::string& key, const TlsOptions& options, TlsSide side) {
  auto call = builds_.Add<absl::StatusOr<Context>>(
      [this, key](const absl::StatusOr<Context>& context) { OnBuilt(key, context); });
  executor_.Submit(
      [options, side, trust_roots = trust_roots_, answer = std::move(call.answer)](const absl::Status& status) mutable {
        if (!status.ok()) return answer(status);
        const bool needs_system_roots = !options.trust_roots_pem.has_value();
        answer(TlsContext::Create(options, side, needs_system_roots ? trust_roots->Get().get() : nullptr));
      });
}

void TlsLayers::OnBuilt(const std::string& key, const absl::StatusOr<Context>& context) {
  const auto it = building_.find(key);
  const std::vector<RequestId> waiting = std::move(it->second);
  building_.erase(it);
  if (context.ok()) {
    absl::erase_if(contexts_, [](const auto& entry) { return entry.second.expired(); });
    contexts_[key] = *context;
  }
  for (const RequestId id : waiting) Answer(id, context);
}

void TlsLayers::AnswerSoon(RequestId id, absl::StatusOr<Context> context) {
  reactor_.CallSoon([this, id, context = std::move(context)] { Answer(id, context); });
}

void TlsLayers::Answer(RequestId id, const absl::StatusOr<Context>& context) {
  const auto it = requests_.find(id);
  if (it == requests_.end()) return;
  Request request = std::move(it->second);
  requests_.erase(it);
  if (!context.ok()) {
    request.done(context.status());
    return;
  }
  if (request.keeps_context) Keep(*context);
  request.done(std::make_shared<const TlsLayer>(*context, std::move(request.server_hostname), request.timeouts));
}

void TlsLayers::Keep(const Context& context) {
  const auto it = std::find(kept_.begin(), kept_.end(), context);
  if (it != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, it);
    return;
  }
  kept_.push_front(context);
  if (kept_.size() > kMaxKeptCount) kept_.pop_back();
}

}  // namespace transportd
