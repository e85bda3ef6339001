// What stands above the table of `transportctl top`: the service as a whole.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TOP_HEADER_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TOP_HEADER_H_

#include <string>
#include <vector>

#include "clients/cpp/transportctl/screen_text.h"
#include "clients/cpp/transportctl/status_history.h"

namespace transportd::ctl {

// How the service is doing as somebody to talk to. Threading: a value.
struct TopConnection {
  std::string target = {};
  // Why the last question was not answered; empty: it was.
  std::string trouble = {};
  // For how long there was none.
  double silent_seconds = 0;
};

// Each line at most `width` columns wide; the first ones are the most important. `history` has a status.
std::vector<Line> TopHeader(const StatusHistory& history, const TopConnection& connection, bool paused, int width);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TOP_HEADER_H_
