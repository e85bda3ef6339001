// What Prometheus is told: deploy/README.md lists every metric.
#ifndef TRANSPORTD_SERVER_ADMIN_METRICS_H_
#define TRANSPORTD_SERVER_ADMIN_METRICS_H_

#include <chrono>
#include <functional>
#include <string>

#include "server/ops/security.h"
#include "server/session/session_manager.h"
#include "transportd/v1/admin.pb.h"

namespace transportd {

// Where the figures come from. Threading: as what it points to: any thread.
struct MetricsSources {
  const SessionManager* manager = nullptr;
  const Security* security = nullptr;
  std::string grpc_version = {};
  std::chrono::system_clock::time_point start_time = {};
  // Fills in what Admin.GetStatus tells besides sessions and usage.
  std::function<void(v1::GetStatusResponse&)> describe_service = {};
};

// All metrics, in the text format. Asks no loop. Any thread.
std::string WriteMetrics(const MetricsSources& sources);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_ADMIN_METRICS_H_
