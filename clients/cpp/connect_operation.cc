#include "clients/cpp/connect_operation.h"

#include <utility>

#include "clients/cpp/convert.h"
#include "transports/base/check.h"

namespace transportd {

ConnectOperation::ConnectOperation(RemoteSession& session, ProtocolFactory factory, WriteBufferMarks marks, Done done)
    : session_(session), factory_(std::move(factory)), marks_(marks), done_(std::move(done)) {}

bool ConnectOperation::OnConnectionMade(uint32_t transport_id, const v1::ConnectionMade& made) {
  if (transport_ != nullptr) return false;
  protocol_ = factory_();
  CHECK(protocol_ != nullptr);
  RemoteTransport::Options options;
  options.extra_info = remote::FromProto(made.extra_info());
  options.write_buffer_marks = marks_;
  options.held = true;
  transport_ = std::make_shared<RemoteTransport>(session_, transport_id, protocol_, std::move(options));
  const std::shared_ptr<RemoteTransport> transport = transport_;
  session_.AddTransport(transport_id, transport);
  transport->Start();
  return true;
}

absl::Status ConnectOperation::Check(const v1::Reply& /*reply*/) const {
  return transport_ != nullptr ? absl::OkStatus() : absl::DataLossError("a connection without connection_made");
}

void ConnectOperation::Finish(const v1::Reply& /*reply*/) {
  const std::shared_ptr<RemoteTransport> transport = std::move(transport_);
  done_(Connection{transport, std::move(protocol_)});
  transport->Release();
}

void ConnectOperation::Fail(const absl::Status& status) {
  const std::shared_ptr<RemoteTransport> transport = std::move(transport_);
  if (transport != nullptr) transport->Abort(false);
  done_(status);
  if (transport != nullptr) transport->Release();
}

}  // namespace transportd
