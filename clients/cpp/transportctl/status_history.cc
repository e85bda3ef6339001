#include "clients/cpp/transportctl/status_history.h"

#include <algorithm>
#include <cstddef>

#include "clients/cpp/transportctl/figures.h"

namespace transportd::ctl {
namespace {

constexpr double kMinute = 60;

// Never less than 0: what counts anew has grown by what it has.
double PerSecond(uint64_t before, uint64_t now, double seconds) {
  if (seconds <= 0) return 0;
  return static_cast<double>(now >= before ? now - before : now) / seconds;
}

template <typename Map>
Rate Find(const Map& rates, const typename Map::key_type& key) {
  const auto found = rates.find(key);
  return found != rates.end() ? found->second : Rate();
}

}  // namespace

void StatusHistory::Add(v1::GetStatusResponse status) {
  const bool is_another = count_ > 0 && (Seconds(status.version().uptime()) < Seconds(now_.version().uptime()) ||
                                         status.instance_target() != now_.instance_target() ||
                                         Seconds(status.time()) < Seconds(now_.time()));
  if (is_another) *this = StatusHistory();
  before_.Swap(&now_);
  now_ = std::move(status);
  count_ = std::min(count_ + 1, 2);
  elapsed_ = count_ == 2 ? Seconds(now_.time()) - Seconds(before_.time()) : 0;
  FindRates();
  if (elapsed_ <= 0) return;
  const double end = Seconds(now_.time());
  samples_.push_back({.begin = end - elapsed_, .end = end, .rate = total_rate()});
  while (samples_.front().end < end - kMinute) samples_.pop_front();
}

void StatusHistory::FindRates() {
  rates_.clear();
  session_rates_.clear();
  if (elapsed_ <= 0) return;
  std::map<TransportKey, const v1::TransportInfo*> before;
  for (const v1::TransportInfo& transport : before_.transports()) {
    before[{transport.session_prefix(), transport.transport_id()}] = &transport;
  }
  for (const v1::TransportInfo& transport : now_.transports()) {
    const TransportKey key = {transport.session_prefix(), transport.transport_id()};
    const auto found = before.find(key);
    // All that a new one has, it has got since. One that only now came into a list that was cut off tells nothing.
    if (found == before.end() && before_.truncated()) continue;
    const bool is_new = found == before.end();
    const Rate rate = {
        .received = PerSecond(is_new ? 0 : found->second->received_bytes(), transport.received_bytes(), elapsed_),
        .sent = PerSecond(is_new ? 0 : found->second->sent_bytes(), transport.sent_bytes(), elapsed_)};
    rates_[key] = rate;
    Rate& sum = session_rates_[transport.session_prefix()];
    sum.received += rate.received;
    sum.sent += rate.sent;
  }
}

Rate StatusHistory::total_rate() const {
  return {.received = PerSecond(before_.usage().received_bytes(), now_.usage().received_bytes(), elapsed_),
          .sent = PerSecond(before_.usage().sent_bytes(), now_.usage().sent_bytes(), elapsed_)};
}

Rate StatusHistory::RateOf(const v1::TransportInfo& transport) const {
  return Find(rates_, {transport.session_prefix(), transport.transport_id()});
}

Rate StatusHistory::RateOf(const v1::SessionInfo& session) const {
  return Find(session_rates_, session.session_prefix());
}

double StatusHistory::BusyFractionOf(int event_loop_index) const {
  if (elapsed_ <= 0 || event_loop_index >= before_.event_loops_size()) return 0;
  const double busy = Seconds(now_.event_loops(event_loop_index).busy_time()) -
                      Seconds(before_.event_loops(event_loop_index).busy_time());
  return std::clamp(busy / elapsed_, 0.0, 1.0);
}

double StatusHistory::processor_fraction() const {
  if (elapsed_ <= 0) return 0;
  return std::max(0.0, (Seconds(now_.process().cpu_time()) - Seconds(before_.process().cpu_time())) / elapsed_);
}

std::vector<double> StatusHistory::Minute(int column_count, double Rate::*what) const {
  std::vector<double> out(static_cast<size_t>(std::max(column_count, 0)), -1);
  const double begin = Seconds(now_.time()) - kMinute;
  for (size_t i = 0; i < out.size(); ++i) {
    const double left = begin + kMinute * static_cast<double>(i) / static_cast<double>(out.size());
    const double right = begin + kMinute * static_cast<double>(i + 1) / static_cast<double>(out.size());
    double covered = 0;
    double sum = 0;
    for (const Sample& sample : samples_) {
      const double overlap = std::min(sample.end, right) - std::max(sample.begin, left);
      if (overlap <= 0) continue;
      covered += overlap;
      sum += overlap * sample.rate.*what;
    }
    if (covered > 0) out[i] = sum / covered;
  }
  return out;
}

}  // namespace transportd::ctl
