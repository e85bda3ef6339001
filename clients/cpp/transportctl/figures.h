// Numbers and times as people read them.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_FIGURES_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_FIGURES_H_

#include <string>

#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace transportd::ctl {

double Seconds(const google::protobuf::Duration& duration);
double Seconds(const google::protobuf::Timestamp& timestamp);

// At most 5 characters: `0`, `1023`, `1.5K`, `32M`; a K is 1024.
std::string BytesText(double bytes);

// At most 6 characters, for less than 10000 days: `0s`, `59s`, `3m12s`, `2h05m`, `3d04h`, `120d`. Less than 0: `0s`.
std::string AgeText(double seconds);

// `0.2ms`, `45ms`, `1.20s`.
std::string LagText(double seconds);

// `0%` to `100%`, and beyond. `fraction`: 1 is all.
std::string PercentText(double fraction);

// UTC, so that it can be compared with the service's log, wherever either runs: `2026-01-31 12:00:00Z`.
std::string TimeText(const google::protobuf::Timestamp& timestamp);
// `2026-01-31`.
std::string DateText(const google::protobuf::Timestamp& timestamp);
// `12:00:00Z`.
std::string TimeOfDayText(const google::protobuf::Timestamp& timestamp);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_FIGURES_H_
