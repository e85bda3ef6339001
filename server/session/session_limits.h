// The bounds of a session and of the service. All are flags of transportd.
#ifndef TRANSPORTD_SERVER_SESSION_SESSION_LIMITS_H_
#define TRANSPORTD_SERVER_SESSION_SESSION_LIMITS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace transportd {

// What each means: Limits in proto/transportd/v1/types.proto. Threading: a value.
struct SessionLimits {
  uint64_t max_client_frame_bytes = 4 * 1024 * 1024;
  uint64_t max_server_frame_bytes = 1024 * 1024;
  uint32_t max_transport_count = 16384;
  uint32_t max_request_count = 16384;
  uint64_t receive_window_bytes = 1024 * 1024;
  uint64_t max_receive_window_bytes = 16 * 1024 * 1024;
  uint64_t callback_charge_bytes = 64;
  uint64_t session_receive_window_bytes = 64 * 1024 * 1024;
  uint64_t send_window_bytes = 1024 * 1024;
  uint64_t session_send_window_bytes = 64 * 1024 * 1024;
  std::chrono::nanoseconds default_create_timeout = std::chrono::seconds(60);
};

// Threading: a value.
struct ServiceLimits {
  uint32_t max_session_count = 1024;
  uint32_t max_transport_count = 65536;  // Transports and servers of all sessions.
  // All sessions together: bytes sent and not acknowledged, and bytes accepted and not yet handed to the kernel. Beyond
  // it, until it falls, a session that holds more than its share of the former does not read from sockets; of the
  // latter, reads a frame now and then.
  uint64_t buffered_bytes = 512ull * 1024 * 1024;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_SESSION_SESSION_LIMITS_H_
