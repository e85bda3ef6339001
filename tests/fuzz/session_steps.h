// What an input of session_fuzz is made of: see input.h.
#ifndef TRANSPORTD_TESTS_FUZZ_SESSION_STEPS_H_
#define TRANSPORTD_TESTS_FUZZ_SESSION_STEPS_H_

#include <cstdint>

namespace transportd::fuzz {

enum class SessionStep : uint8_t {
  kRawFrame,   // A frame, as it is.
  kFrame,      // A SessionRequest, which gets the right number and a harmless destination.
  kTurn,       // A turn of the loop; every step ends with one.
  kFrameSent,  // The client took the session's frame.
  kHalfClose,
  kLose,
  kPeerSends,  // First byte: how much; second: which peer.
  kPeerReads,
  kPeerShutsDown,
  kPeerResets,
  kDial,  // A peer connects to the session's server.
};
inline constexpr uint8_t kSessionStepCount = 11;

}  // namespace transportd::fuzz

#endif  // TRANSPORTD_TESTS_FUZZ_SESSION_STEPS_H_
