// The quota of somebody with several roles.
#ifndef TRANSPORTD_SERVER_POLICY_QUOTA_MERGE_H_
#define TRANSPORTD_SERVER_POLICY_QUOTA_MERGE_H_

#include "transportd/v1/policy.pb.h"

namespace transportd {

// Makes each of `into` the larger one of both; one that only one of them has is that. A burst that is not given is
// filled in.
void MergeQuota(const v1::Quota& from, v1::Quota& into);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_QUOTA_MERGE_H_
