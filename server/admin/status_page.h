// page/index.html, as it is in the program.
#ifndef TRANSPORTD_SERVER_ADMIN_STATUS_PAGE_H_
#define TRANSPORTD_SERVER_ADMIN_STATUS_PAGE_H_

#include <string_view>

namespace transportd {

// Any thread.
std::string_view StatusPage();

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_ADMIN_STATUS_PAGE_H_
