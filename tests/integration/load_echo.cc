#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/integration/echo_client.h"
#include "tests/integration/load.h"
#include "tests/integration/peer_thread.h"
#include "transports/base/clock.h"

namespace transportd::load {

int RunEcho(EventLoop& loop, int connection_count, int message_count) {
  const PeerThread peer;
  std::vector<std::shared_ptr<EchoClient>> clients;
  int connected_count = 0;
  int lost_count = 0;
  int failure_count = 0;
  int64_t right_count = 0;
  TimePoint begin;
  TimePoint all_connected;

  const auto fail = [&](const std::string& why) {
    if (++failure_count <= 10) std::printf("%s\n", why.c_str());
  };
  for (int index = 0; index < connection_count; ++index) {
    clients.push_back(std::make_shared<EchoClient>(
        static_cast<uint64_t>(index),
        [&right_count, message_count, done = 0]() mutable {
          ++right_count;
          return ++done < message_count;
        },
        [&](const std::string& why) {
          if (!why.empty()) fail(why);
          if (++lost_count == connection_count) loop.Stop();
        }));
  }
  begin = SystemClock().Now();
  for (const auto& client : clients) {
    loop.CreateConnection([client] { return client; }, peer.connect_options(),
                          [&](const absl::StatusOr<Connection>& connection) {
                            if (!connection.ok()) {
                              fail(connection.status().ToString());
                              return loop.Stop();
                            }
                            if (++connected_count < connection_count) return;
                            // All are open at once: now they begin.
                            all_connected = SystemClock().Now();
                            for (const auto& each : clients) each->Begin();
                          });
  }
  loop.RunForever();

  const std::chrono::duration<double> connecting = all_connected - begin;
  const std::chrono::duration<double> echoing = SystemClock().Now() - all_connected;
  std::printf("echo: %d connections, %lld of %lld messages right, opened in %.2f s, %.0f messages/s\n",
              connection_count, static_cast<long long>(right_count),
              static_cast<long long>(connection_count) * message_count, connecting.count(),
              static_cast<double>(right_count) / echoing.count());
  const bool all_right = right_count == static_cast<int64_t>(connection_count) * message_count;
  return failure_count == 0 && all_right && lost_count == connection_count ? 0 : 1;
}

}  // namespace transportd::load
