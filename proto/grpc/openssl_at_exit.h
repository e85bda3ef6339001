// OpenSSL and a program's end, beside gRPC's threads.
#ifndef TRANSPORTD_PROTO_GRPC_OPENSSL_AT_EXIT_H_
#define TRANSPORTD_PROTO_GRPC_OPENSSL_AT_EXIT_H_

#include <openssl/crypto.h>

namespace transportd {

// Keeps OpenSSL usable until the process is gone, instead of until exit(3): gRPC's threads end by themselves some time
// after the last channel, and one that uses OpenSSL after its end leaks or crashes (grpc/grpc#38539). What it holds
// goes with the process. No effect if OpenSSL was used before: OPENSSL_init_crypto(3), OPENSSL_INIT_NO_ATEXIT. Any
// thread.
inline void KeepOpenSslAtExit() { OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr); }

}  // namespace transportd

#endif  // TRANSPORTD_PROTO_GRPC_OPENSSL_AT_EXIT_H_
