#include "tests/conformance/tracing_protocol.h"

#include <utility>

#include "tests/conformance/stage.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"

namespace transportd::conformance {

class Tracing::Callback {
 public:
  Callback(Tracing& tracing, std::string_view name) : stage_(tracing.stage_) {
    if (!stage_.is_running() || stage_.callback_depth > 0) {
      tracing.Note(StrCat(name, " comes from inside another call"));
    }
    ++stage_.callback_depth;
  }
  ~Callback() {
    --stage_.callback_depth;
    stage_.Changed();
  }

 private:
  Stage& stage_;
};

Tracing::Tracing(Stage& stage, std::string name, Hooks hooks)
    : stage_(stage), name_(std::move(name)), hooks_(std::move(hooks)), trace_(stage.NewTrace(name_)) {}

void Tracing::Note(std::string_view what, bool value) { Note(StrCat(what, " ", BoolText(value))); }

void Tracing::Note(std::string_view what, uint64_t value) { Note(StrCat(what, " ", value)); }

void Tracing::NoteState() {
  Note(StrCat("state is_closing=", BoolText(transport_->IsClosing()), " is_reading=", BoolText(transport_->IsReading()),
              " can_write_eof=", BoolText(transport_->CanWriteEof())));
}

void Tracing::NoteLimits() {
  const WriteBufferMarks marks = transport_->GetWriteBufferLimits();
  Note(StrCat("limits high=", marks.high_bytes, " low=", marks.low_bytes));
}

void Tracing::Write(std::string_view data) {
  const absl::Status status = transport_->Write(data);
  if (!status.ok()) Note("write " + ToTransportError(status).reason);
}

void Tracing::Writelines(std::initializer_list<std::string_view> lines) {
  const absl::Status status = transport_->Writelines({lines.begin(), lines.size()});
  if (!status.ok()) Note("writelines " + ToTransportError(status).reason);
}

void Tracing::SetLimits(WriteBufferLimits limits) {
  const absl::Status status = transport_->SetWriteBufferLimits(limits);
  if (!status.ok()) Note("set_write_buffer_limits " + ToTransportError(status).reason);
}

void Tracing::TakeOver(Tracing& from) {
  transport_ = from.transport_;
  from.lost_ = true;
}

void Tracing::OnMade(std::shared_ptr<Transport> transport) {
  const Callback callback(*this, "connection_made");
  transport_ = std::move(transport);
  const ExtraInfo& info = transport_->GetExtraInfo();
  if (info.sockname.has_value() && info.sockname->family != AddressFamily::kUnix) {
    stage_.NamePort(info.sockname->port, name_);
  }
  Note(StrCat("connection_made peername=", stage_.AddressText(info.peername),
              " sockname=", stage_.AddressText(info.sockname)));
  if (hooks_.made) hooks_.made(*this);
}

void Tracing::OnReceived(std::string_view kind, std::string_view data) {
  const Callback callback(*this, kind);
  received_bytes_ += data.size();
  trace_.AddData(kind, data);
  if (hooks_.data) hooks_.data(*this, data);
}

bool Tracing::OnEof() {
  const Callback callback(*this, "eof_received");
  got_eof_ = true;
  Note("eof_received");
  const bool keep_open = hooks_.eof && hooks_.eof(*this);
  Note("eof_received returns", keep_open);
  return keep_open;
}

void Tracing::OnPause() {
  // The one callback that may come from inside a call.
  Note("pause_writing");
  if (hooks_.pause) hooks_.pause(*this);
  stage_.Changed();
}

void Tracing::OnResume() {
  const Callback callback(*this, "resume_writing");
  Note("resume_writing");
  if (hooks_.resume) hooks_.resume(*this);
}

void Tracing::OnLost(const ConnectionEnd& end) {
  const Callback callback(*this, "connection_lost");
  lost_ = true;
  end_ = end;
  Note("connection_lost " + (end.status.ok() ? "None" : ToTransportError(end.status).reason));
  if (hooks_.lost) hooks_.lost(*this);
}

void Tracing::OnBytesSent() { stage_.Changed(); }

}  // namespace transportd::conformance
