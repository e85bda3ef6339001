// The screen of `transportctl top`, line by line. Knows no terminal.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TOP_SCREEN_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TOP_SCREEN_H_

#include <vector>

#include "clients/cpp/transportctl/screen_text.h"
#include "clients/cpp/transportctl/top_header.h"
#include "clients/cpp/transportctl/top_view.h"
#include "transports/api/subprocess.h"

namespace transportd::ctl {

// As many lines as the screen has rows, each at most as wide. `view` is told how many rows of its table they show. Its
// history has a status.
std::vector<Line> TopScreen(TopView& view, const TopConnection& connection, WindowSize size);

// The same for paper: all tables with all their rows, nothing selected.
std::vector<Line> TopReport(const StatusHistory& history, const TopConnection& connection, int width);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TOP_SCREEN_H_
