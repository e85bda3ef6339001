// How a grant to run a program confines it.
#ifndef TRANSPORTD_SERVER_POLICY_CONFINEMENT_OF_H_
#define TRANSPORTD_SERVER_POLICY_CONFINEMENT_OF_H_

#include "transportd/v1/policy.pb.h"
#include "transports/api/confinement.h"

namespace transportd {

// With the defaults that policy.proto names. Threading: any thread.
Confinement ConfinementOf(const v1::RunGrant& grant);

// Whether a program that was confined as `running` may do nothing that `now` keeps it from. Limits aside: they
// are how much it may use, and hold from its start. Threading: any thread.
bool IsWithin(const Confinement& running, const Confinement& now);

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_CONFINEMENT_OF_H_
