// What TlsOptions::identity may name on the loops under test that are made in this program.
#ifndef TRANSPORTD_TESTS_CONFORMANCE_TLS_IDENTITIES_H_
#define TRANSPORTD_TESTS_CONFORMANCE_TLS_IDENTITIES_H_

#include <memory>

#include "tests/conformance/loop_under_test.h"
#include "tests/support/test_certificates.h"
#include "transports/api/tls_options.h"

namespace transportd::conformance {

inline std::shared_ptr<const TlsIdentities> MakeTlsIdentities() {
  const TestIdentity& identity = SharedTestIdentity();
  return std::make_shared<const TlsIdentities>(TlsIdentities{
      {kTlsIdentity, {.certificate_chain_pem = identity.chain_pem, .private_key_pem = identity.key_pem}}});
}

}  // namespace transportd::conformance

#endif  // TRANSPORTD_TESTS_CONFORMANCE_TLS_IDENTITIES_H_
