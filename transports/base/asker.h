// For whom something is done that may take long.
#ifndef TRANSPORTD_TRANSPORTS_BASE_ASKER_H_
#define TRANSPORTD_TRANSPORTS_BASE_ASKER_H_

#include <stop_token>
#include <string>

namespace transportd {

struct Asker {
  std::string name = {};            // Opaque. Empty: nobody's, or everybody's.
  std::stop_token called_off = {};  // Stopped: nobody waits for the answer any more.
};

}  // namespace transportd

#endif  // TRANSPORTD_TRANSPORTS_BASE_ASKER_H_
