// What an operator may see of a certificate.
#ifndef TRANSPORTD_SERVER_OPS_CERTIFICATE_STATUS_H_
#define TRANSPORTD_SERVER_OPS_CERTIFICATE_STATUS_H_

#include <string>
#include <string_view>

#include "transportd/v1/admin.pb.h"

namespace transportd {

// `pem`: the chain, leaf first; of something that is none only the name is filled in. Any thread.
v1::CertificateStatus DescribeCertificate(std::string_view name, const std::string& pem);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_CERTIFICATE_STATUS_H_
