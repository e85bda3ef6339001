#include "server/policy/dev_authorizer.h"

#include "gtest/gtest.h"
#include "server/policy/identity.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

TEST(DevAuthorizer, AllowsEveryIdentifiedCaller) {
  const DevAuthorizer authorizer;
  EXPECT_THAT(authorizer.Authorize(IdentifyCaller("unix:"), {"transportd.v1.EventLoop.CreateServer"}), IsOk());
}

TEST(DevAuthorizer, RefusesACallerWithoutAPrincipal) {
  const DevAuthorizer authorizer;
  const absl::Status status = authorizer.Authorize({"", "unix:"}, {"transportd.v1.Admin.GetVersion"});
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(status, HasReason("NO_PRINCIPAL"));
}

TEST(Identity, PeerLosesItsPercentEncoding) {
  EXPECT_EQ(IdentifyCaller("ipv6:%5B::1%5D:4711").peer, "ipv6:[::1]:4711");
  EXPECT_EQ(IdentifyCaller("ipv4:127.0.0.1:4711").peer, "ipv4:127.0.0.1:4711");
  EXPECT_EQ(IdentifyCaller("unix:/a%2").peer, "unix:/a%2");
  EXPECT_EQ(IdentifyCaller("unix:%zz%41").peer, "unix:%zzA");
  EXPECT_EQ(IdentifyCaller("").principal, "dev");
}

}  // namespace
}  // namespace transportd
