// Which scenarios of connections are not played over TLS, or not compared with asyncio's TLS, and why.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_SCENARIOS_NOT_OVER_TLS_H_
#define TRANSPORTD_TESTS_CONFORMANCE_SCENARIOS_NOT_OVER_TLS_H_

#include <string_view>

namespace transportd::conformance {

enum class OverTls {
  kNo,         // Not played.
  kAsAsyncio,  // What asyncio does over TLS.
  kAsOverTcp,  // What asyncio does over TCP: its TLS keeps asyncio's own rules less well.
};

// kAsAsyncio for all that the table does not name.
OverTls FindOverTls(std::string_view scenario);

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_SCENARIOS_NOT_OVER_TLS_H_
