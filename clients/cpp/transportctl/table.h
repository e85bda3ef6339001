// Aligned columns for people.
#ifndef TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TABLE_H_
#define TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TABLE_H_

#include <string>
#include <vector>

namespace transportd::ctl {

// The first row is the heading. Cells are made Printable; an empty one is `-`.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

}  // namespace transportd::ctl

#endif  // TRANSPORTD_CLIENTS_CPP_TRANSPORTCTL_TABLE_H_
