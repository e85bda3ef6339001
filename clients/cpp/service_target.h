// Where the service is, as far as that decides what may be sent there.
#ifndef TRANSPORTD_CLIENTS_CPP_SERVICE_TARGET_H_
#define TRANSPORTD_CLIENTS_CPP_SERVICE_TARGET_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace transportd {

// Threading: a value.
struct ServiceTarget {
  enum class Kind {
    kUnix,   // A Unix socket.
    kTcp,    // One host, by its name or address.
    kOther,  // Several addresses, another name server, or what gRPC alone understands.
  };
  Kind kind = Kind::kOther;
  std::string host = {};  // kTcp: without brackets.
  uint16_t port = 0;      // kTcp.

  // Does what is sent there stay within this machine? Of a name: `localhost` alone.
  bool is_local() const;
};

// `text` is one of gRPC's names: https://github.com/grpc/grpc/blob/master/doc/naming.md. Whether it leads somewhere,
// gRPC says.
ServiceTarget ParseServiceTarget(std::string_view text);

}  // namespace transportd

#endif  // TRANSPORTD_CLIENTS_CPP_SERVICE_TARGET_H_
