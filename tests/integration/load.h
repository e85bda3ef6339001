// Programs that load an event loop. Each runs on any EventLoop: through the service, or, as the measure of what the
// machine itself does, on the embedded one.
#ifndef TRANSPORTD_TESTS_INTEGRATION_LOAD_H_
#define TRANSPORTD_TESTS_INTEGRATION_LOAD_H_

#include <cstdint>
#include <string>

#include "transports/api/event_loop.h"

namespace transportd::load {

// Each opens its connections to an echo server of its own in this process, tells on standard output how it went, and
// returns the exit status: 0 when every byte was right.

// `connection_count` connections at once, each of which has `message_count` messages echoed, one after the other.
int RunEcho(EventLoop& loop, int connection_count, int message_count);

// `connection_count` - 1 connections have messages echoed all the time; half-way the last one is sent bytes without
// end, and stops reading. A line `phase NAME` begins each phase: `open`, `alone`, `stopped`.
int RunStalled(EventLoop& loop, int connection_count, Duration phase);

// One connection; `ping_count` pings, each after an idle time of 1.0 to 1.3 s.
int RunPing(EventLoop& loop, int ping_count, uint32_t seed);

// `size_mib` MiB through a stream between two ends that are both the loop's, in each direction, with the SHA-256 of
// what went in and of what came out. `kind`: tcp, tls, unix, unix-tls, socketpair, pipe, subprocess (cat). `folder`: an
// empty one for sockets and FIFOs, but for certificate.pem (of localhost) and key.pem.
int RunBulk(EventLoop& loop, const std::string& kind, int size_mib, const std::string& folder);

// `process_count` processes, one after the other, each with three pipes.
int RunSpawn(EventLoop& loop, int process_count);

// `connection_count` TLS connections, one after the other, of which both ends are in the loop: a message each way, then
// the client closes.
int RunTls(EventLoop& loop, int connection_count);

// These run until they are killed.

// A server that echoes; its port is printed.
int RunServe(EventLoop& loop);
// A connection to `port` of 127.0.0.1 that writes without end, and reads.
int RunFlood(EventLoop& loop, uint32_t port);

}  // namespace transportd::load

#endif  // TRANSPORTD_TESTS_INTEGRATION_LOAD_H_
