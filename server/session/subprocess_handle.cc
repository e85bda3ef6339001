#include "server/session/subprocess_handle.h"

#include <array>
#include <utility>

#include "server/session/convert.h"
#include "server/session/session.h"
#include "server/session/stream_handle.h"
#include "transports/base/utf8.h"

namespace transportd {

SubprocessHandle::SubprocessHandle(std::shared_ptr<Session> session, Origin origin)
    : Handle(kKind), session_(std::move(session)), origin_(std::move(origin)) {
  SetGate(origin_.gate);
}

SubprocessHandle::~SubprocessHandle() = default;

void SubprocessHandle::ConnectionMade(std::shared_ptr<SubprocessTransport> transport) {
  transport_ = std::move(transport);
  std::vector<std::shared_ptr<void>> places = std::move(origin_.places);
  SetPlace(std::move(places.front()));
  if (!session_->Adopt(std::static_pointer_cast<SubprocessHandle>(transport_->GetProtocol()))) {
    transport_->Close();
    return;
  }
  std::vector<std::shared_ptr<StreamHandle>> handles;
  std::shared_ptr<StreamHandle> pty;
  for (int fd = 0; fd < 3; ++fd) {
    const std::shared_ptr<Transport> pipe = transport_->GetPipeTransport(fd);
    if (pipe == nullptr) continue;
    const bool is_ptys_second = fd == 1 && pipe == transport_->GetPipeTransport(0);
    if (!is_ptys_second) {
      auto handle = std::make_shared<StreamHandle>(
          session_, StreamHandle::Origin{.subprocess_id = id(), .place = std::move(places.at(handles.size() + 1))});
      pipe->SetProtocol(handle);
      if (!handle->Take(pipe)) {
        transport_->Close();
        return;
      }
      handles.push_back(std::move(handle));
    }
    v1::SubprocessPipe& told = *pipes_.Add();
    told.set_fd(static_cast<uint32_t>(fd));
    told.set_transport_id(handles.back()->id());
  }

  v1::Callback callback;
  callback.set_transport_id(id());
  v1::ConnectionMade& made = *callback.mutable_connection_made();
  made.set_request_id(origin_.request_id);
  ToProto(transport_->GetExtraInfo(), *made.mutable_extra_info());
  *made.mutable_pipes() = pipes_;
  session_->Emit(callback);
  for (const std::shared_ptr<StreamHandle>& handle : handles) handle->Announce();
}

void SubprocessHandle::ProcessExited() {
  if (id() == 0) return;
  v1::Callback callback;
  callback.set_transport_id(id());
  callback.mutable_process_exited()->set_returncode(transport_->GetReturncode().value_or(0));
  session_->Emit(callback);
}

void SubprocessHandle::ConnectionLost(const ConnectionEnd& end) {
  const std::shared_ptr<Session> session = std::move(session_);
  if (id() == 0) return;
  ConnectionEnd told = end;
  // The session says why it ended, where it has a reason.
  if (ended_) told.cause = EndCause::kLocalAbort;
  session->EmitConnectionLost(id(), told);
  // The service's loop makes no other.
  session->KeepProcesses(std::static_pointer_cast<LocalSubprocess>(transport_), TakePlace());
  session->Remove(*this);  // The transport's own hold lasts until this returns.
}

void SubprocessHandle::End() {
  ended_ = true;
  transport_->Close();
}

absl::Status SubprocessHandle::Close() {
  transport_->Close();
  return absl::OkStatus();
}

absl::Status SubprocessHandle::GetState(v1::GetStateResponse& state) const {
  state.set_is_closing(transport_->IsClosing());
  ToProto(transport_->GetExtraInfo(), *state.mutable_extra_info());
  if (const std::optional<int> returncode = transport_->GetReturncode()) state.set_returncode(*returncode);
  return absl::OkStatus();
}

std::optional<int> SubprocessHandle::Returncode() const { return transport_->GetReturncode(); }

void SubprocessHandle::Describe(v1::TransportInfo& info) const {
  info.set_kind(v1::TRANSPORT_KIND_SUBPROCESS);
  info.set_pid(static_cast<uint32_t>(transport_->GetPid()));
  info.set_program(Utf8OrEscaped(origin_.program));
  info.set_is_closing(transport_->IsClosing());
}

}  // namespace transportd
