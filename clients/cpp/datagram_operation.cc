#include "clients/cpp/datagram_operation.h"

#include <utility>

#include "clients/cpp/convert.h"
#include "transports/base/check.h"

namespace transportd {

DatagramOperation::DatagramOperation(RemoteSession& session, DatagramProtocolFactory factory, WriteBufferMarks marks,
                                     Done done)
    : session_(session), factory_(std::move(factory)), marks_(marks), done_(std::move(done)) {}

bool DatagramOperation::OnConnectionMade(uint32_t transport_id, const v1::ConnectionMade& made) {
  if (transport_ != nullptr) return false;
  protocol_ = factory_();
  CHECK(protocol_ != nullptr);
  RemoteDatagramTransport::Options options;
  options.extra_info = remote::FromProto(made.extra_info());
  if (made.has_remote_address()) options.remote = remote::FromProto(made.remote_address());
  options.write_buffer_marks = marks_;
  transport_ = std::make_shared<RemoteDatagramTransport>(session_, transport_id, protocol_, std::move(options));
  const std::shared_ptr<RemoteDatagramTransport> transport = transport_;
  session_.AddTransport(transport_id, transport);
  transport->Start();
  return true;
}

absl::Status DatagramOperation::Check(const v1::Reply& /*reply*/) const {
  return transport_ != nullptr ? absl::OkStatus() : absl::DataLossError("an endpoint without connection_made");
}

void DatagramOperation::Finish(const v1::Reply& /*reply*/) {
  const std::shared_ptr<RemoteDatagramTransport> transport = std::move(transport_);
  done_(DatagramEndpoint{.transport = transport, .protocol = std::move(protocol_)});
  transport->Release();
}

void DatagramOperation::Fail(const absl::Status& status) {
  const std::shared_ptr<RemoteDatagramTransport> transport = std::move(transport_);
  if (transport != nullptr) transport->Abort();
  done_(status);
  if (transport != nullptr) transport->Release();
}

}  // namespace transportd
