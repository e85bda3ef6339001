// What the sessions of one event loop have done, for metrics.
#ifndef TRANSPORTD_SERVER_SESSION_SESSION_STATS_H_
#define TRANSPORTD_SERVER_SESSION_SESSION_STATS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "transports/base/metric.h"

namespace transportd {

// In bytes: 256 to 16 MiB.
inline constexpr std::array<uint64_t, 9> kFrameBoundsBytes = {256,     1024,      4096,      16'384,    65'536,
                                                              262'144, 1'048'576, 4'194'304, 16'777'216};
// In nanoseconds: 100 us to 60 s.
inline constexpr std::array<uint64_t, 12> kCommandBoundsNs = {
    100'000,     500'000,     1'000'000,     5'000'000,     10'000'000,     50'000'000,
    100'000'000, 500'000'000, 1'000'000'000, 5'000'000'000, 10'000'000'000, 60'000'000'000};

using FrameHistogram = Histogram<kFrameBoundsBytes>;
using CommandHistogram = Histogram<kCommandBoundsNs>;

// By Handle::Kind, EndCause, gRPC's status code, and the field number of the variant in v1::Command.
inline constexpr size_t kHandleKindCount = 5;
inline constexpr size_t kEndCauseCount = 15;
inline constexpr size_t kCodeCount = 17;
inline constexpr size_t kCommandNumberCount = 66;

// Threading: changed by the loop's thread, read by any.
struct SessionStats {
  Counter opened_session_count;

  std::array<Counter, kHandleKindCount> opened_count;
  std::array<Counter, kHandleKindCount> closed_count;
  std::array<Counter, kEndCauseCount> lost_count;        // connection_lost, by its cause.
  std::array<Counter, kHandleKindCount> received_bytes;  // From sockets.
  std::array<Counter, kHandleKindCount> sent_bytes;      // To sockets.
  // Datagrams that were lost on this host, of endpoints that have ended.
  Counter dropped_received_count;
  Counter dropped_sent_count;

  FrameHistogram received_frame_bytes;
  FrameHistogram sent_frame_bytes;
  Counter sent_callback_count;
  // Times that reading stopped: for a transport's window, for its session.
  Counter window_pause_count;
  Counter session_pause_count;

  // Answers, by command and code. Those of `write` and `sendto` are counted as calls only, with the code 0.
  std::array<std::array<Counter, kCodeCount>, kCommandNumberCount> command_count;
  std::array<CommandHistogram, kCommandNumberCount> command_ns;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_SESSION_STATS_H_
