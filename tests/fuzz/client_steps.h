// What an input of client_frames_fuzz is made of: see input.h.
#ifndef TRANSPORTD_TESTS_FUZZ_CLIENT_STEPS_H_
#define TRANSPORTD_TESTS_FUZZ_CLIENT_STEPS_H_

#include <cstdint>

namespace transportd::fuzz {

enum class ClientStep : uint8_t {
  kRawFrame,          // A frame, as it is.
  kFrame,             // A SessionResponse, which gets the right number.
  kFrameSent,         // The service took the client's frame.
  kClosed,            // The stream ends; first byte: with which status code.
  kCreateConnection,  // First byte: 1 keeps open at EOF, 2 a BufferedProtocol, 4 closes when it is made.
  kCreateServer,
  kCancel,  // First byte: which operation.
  kWrite,   // First byte: which transport; as many bytes as the step has.
  kWriteEof,
  kClose,
  kAbort,
  kPauseReading,
  kResumeReading,
  kSetLimits,  // Second byte: the high-water mark.
  kServerClose,
  kCloseClients,
  kGetsockopt,
};
inline constexpr uint8_t kClientStepCount = 17;

}  // namespace transportd::fuzz

#endif  // TRANSPORTD_TESTS_FUZZ_CLIENT_STEPS_H_
