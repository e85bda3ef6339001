// What a service said of itself, one time after the other, and how fast that changes.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_STATUS_HISTORY_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_STATUS_HISTORY_H_

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "transportd/v1/admin.pb.h"

namespace transportd::ctl {

// Bytes a second.
struct Rate {
  double received = 0;
  double sent = 0;
};

// The last two answers, and the traffic of the last minute. Rates are those between the two; 0 with one answer. Times
// are the service's. Threading: a value.
class StatusHistory final {
 public:
  // A service that was started anew begins a history.
  void Add(v1::GetStatusResponse status);

  // False: nothing was added yet, and nothing else may be called.
  bool has_status() const { return count_ > 0; }
  const v1::GetStatusResponse& status() const { return now_; }

  Rate total_rate() const;
  Rate RateOf(const v1::TransportInfo& transport) const;
  // Of all its transports that the answers list.
  Rate RateOf(const v1::SessionInfo& session) const;
  // 1: it was busy all the time. Of a loop of status().
  double BusyFractionOf(int event_loop_index) const;
  // 1: one processor all the time.
  double processor_fraction() const;

  // The last minute in `column_count` equal parts, oldest first; less than 0: not known.
  std::vector<double> ReceivedMinute(int column_count) const { return Minute(column_count, &Rate::received); }
  std::vector<double> SentMinute(int column_count) const { return Minute(column_count, &Rate::sent); }

 private:
  // A rate, and between which times it was found.
  struct Sample {
    double begin = 0;
    double end = 0;
    Rate rate = {};
  };
  using TransportKey = std::pair<std::string, uint32_t>;

  std::vector<double> Minute(int column_count, double Rate::*what) const;
  void FindRates();

  int count_ = 0;  // 2: `before_`, too, is there.
  v1::GetStatusResponse before_;
  v1::GetStatusResponse now_;
  double elapsed_ = 0;  // Seconds between the two.
  std::map<TransportKey, Rate> rates_;
  std::map<std::string, Rate> session_rates_;
  std::deque<Sample> samples_;  // Oldest first.
};

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_STATUS_HISTORY_H_
