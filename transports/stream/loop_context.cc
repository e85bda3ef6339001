#include "transports/stream/loop_context.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "transports/base/logging.h"

namespace transportd {

// new char[] and not make_unique: pages that no read has reached need not be there.
LoopContext::LoopContext(Reactor& reactor, int descriptor_limit)
    : reactor_(reactor), descriptor_limit_(descriptor_limit), read_buffer_(new char[kReadBufferBytes]) {}

LoopContext::~LoopContext() {
  // Servers first: a transport's end is of no more interest to them.
  servers_.DestroyAll();
  transports_.DestroyAll();
}

std::span<char> LoopContext::batch_buffer() {
  if (batch_buffer_ == nullptr) batch_buffer_.reset(new char[kBatchBufferBytes]);
  return {batch_buffer_.get(), kBatchBufferBytes};
}

void LoopContext::SetExceptionHandler(absl::AnyInvocable<void(const ExceptionContext&)> handler) {
  exception_handler_ =
      handler ? std::make_shared<absl::AnyInvocable<void(const ExceptionContext&)>>(std::move(handler)) : nullptr;
}

void LoopContext::ReportException(const ExceptionContext& context) {
  if (const auto handler = exception_handler_) {
    (*handler)(context);
    return;
  }
  LogError(context.status.ok() ? context.message : absl::StrCat(context.message, ": ", context.status.message()));
}

}  // namespace transportd
