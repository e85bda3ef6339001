#include "clients/cpp/subprocess_operation.h"

#include <utility>

#include "transports/base/check.h"

namespace transportd {

SubprocessOperation::SubprocessOperation(RemoteSession& session, SubprocessProtocolFactory factory,
                                         WriteBufferMarks marks, Done done)
    : session_(session), factory_(std::move(factory)), marks_(marks), done_(std::move(done)) {}

bool SubprocessOperation::OnConnectionMade(uint32_t transport_id, const v1::ConnectionMade& made) {
  if (transport_ != nullptr || !RemoteSubprocess::IsSubprocess(made)) return false;
  protocol_ = factory_();
  CHECK(protocol_ != nullptr);
  transport_ = RemoteSubprocess::Create(session_, transport_id, made, protocol_, marks_);
  const std::shared_ptr<RemoteSubprocess> transport = transport_;
  transport->Start();
  return true;
}

absl::Status SubprocessOperation::Check(const v1::Reply& /*reply*/) const {
  return transport_ != nullptr ? absl::OkStatus() : absl::DataLossError("a subprocess without connection_made");
}

void SubprocessOperation::Finish(const v1::Reply& /*reply*/) {
  const std::shared_ptr<RemoteSubprocess> transport = std::move(transport_);
  done_(Subprocess{transport, std::move(protocol_)});
  transport->Release();
}

void SubprocessOperation::Fail(const absl::Status& status) {
  const std::shared_ptr<RemoteSubprocess> transport = std::move(transport_);
  if (transport == nullptr) return done_(status);
  transport->Close();
  transport->WhenLost([done = std::move(done_), status]() mutable { done(status); });
  transport->Release();
}

}  // namespace transportd
