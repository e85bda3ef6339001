// How a grant to run a program confines it.
#ifndef TRANSPORTD_SERVER_POLICY_CONFINEMENT_OF_H_
#define TRANSPORTD_SERVER_POLICY_CONFINEMENT_OF_H_

#include "transportd/v1/policy.pb.h"
#include "transports/api/confinement.h"

namespace transportd {

// With the defaults that policy.proto names. Threading: any thread.
Confinement ConfinementOf(const v1::RunGrant& grant);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_CONFINEMENT_OF_H_
