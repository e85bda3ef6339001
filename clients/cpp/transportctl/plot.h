// Small plots of characters.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_PLOT_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_PLOT_H_

#include <span>
#include <string>

namespace transportd::ctl {

// `fraction` (0 to 1) of `width` columns filled, in eighths; what is more than 0 shows.
std::string Bar(double fraction, int width);

// A column for each of `values`, in eighths of the greatest; less than 0: a space.
std::string Sparkline(std::span<const double> values);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_PLOT_H_
