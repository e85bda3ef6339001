#include "server/policy/certificate_identity.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_certificates.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

v1::ClientCertificates Rules(std::vector<std::string> trust_domains, bool dns_names) {
  v1::ClientCertificates rules;
  for (std::string& domain : trust_domains) rules.add_trust_domains(std::move(domain));
  rules.set_dns_names(dns_names);
  return rules;
}

std::string CertificateErrorOf(const CertificateNames& names, const v1::ClientCertificates& rules = {}) {
  const auto principal = CertificatePrincipal(names, rules);
  EXPECT_THAT(principal, StatusIs(absl::StatusCode::kUnauthenticated));
  return std::string(principal.status().message());
}

TEST(CertificateIdentity, TheSpiffeIdIsThePrincipal) {
  EXPECT_EQ(*CertificatePrincipal({.uris = {"spiffe://example.org/ns/lab/sa/ci"}, .dns_names = {"a", "b"}}, {}),
            "spiffe://example.org/ns/lab/sa/ci");
}

TEST(CertificateIdentity, ThereIsOneUri) {
  EXPECT_THAT(CertificateErrorOf({.uris = {"spiffe://a/b", "spiffe://a/b"}}), HasSubstr("more than one URI"));
  EXPECT_THAT(CertificateErrorOf({.uris = {"spiffe://a/b", "https://a/"}}), HasSubstr("more than one URI"));
  EXPECT_THAT(CertificateErrorOf({.uris = {"https://a/b"}, .dns_names = {"a"}}, Rules({}, true)),
              HasSubstr("no SPIFFE ID"));
  EXPECT_THAT(CertificateErrorOf({.dns_names = {"a"}}), HasSubstr("no SPIFFE ID"));
}

TEST(CertificateIdentity, TrustDomainsAreThoseOfTheRules) {
  const v1::ClientCertificates rules = Rules({"example.org", "b"}, false);
  EXPECT_THAT(CertificatePrincipal({.uris = {"spiffe://example.org/a"}}, rules), IsOk());
  EXPECT_THAT(CertificatePrincipal({.uris = {"spiffe://b/a"}}, rules), IsOk());
  EXPECT_THAT(CertificateErrorOf({.uris = {"spiffe://example.com/a"}}, rules), HasSubstr("trust domain"));
  EXPECT_THAT(CertificateErrorOf({.uris = {"spiffe://example.org.evil/a"}}, rules), HasSubstr("trust domain"));
  EXPECT_THAT(CertificateErrorOf({.uris = {"spiffe://x/example.org"}}, rules), HasSubstr("trust domain"));
}

TEST(CertificateIdentity, OneDnsNameCountsWhereItIsAllowed) {
  const v1::ClientCertificates rules = Rules({"example.org"}, true);
  EXPECT_EQ(*CertificatePrincipal({.dns_names = {"Host-1.example.COM"}}, rules), "dns:host-1.example.com");
  EXPECT_EQ(*CertificatePrincipal({.uris = {"spiffe://example.org/a"}, .dns_names = {"host"}}, rules),
            "spiffe://example.org/a");
  EXPECT_THAT(CertificateErrorOf({}, rules), HasSubstr("exactly one DNS name"));
  EXPECT_THAT(CertificateErrorOf({.dns_names = {"a", "a"}}, rules), HasSubstr("exactly one DNS name"));
  for (const std::string& bad : {std::string(), std::string("*.example.com"), std::string("a..b"), std::string("a."),
                                 std::string(".a"), std::string("-a"), std::string("a b"), std::string("a\0b", 3),
                                 std::string("\u00e9"), std::string(64, 'a'), std::string("a/b")}) {
    EXPECT_THAT(CertificateErrorOf({.dns_names = {bad}}, rules), HasSubstr("none of a host")) << bad;
  }
}

TEST(CertificateIdentity, AnAuthorityIsNobody) {
  EXPECT_THAT(CertificateErrorOf({.uris = {"spiffe://a/b"}, .is_authority = true}), HasSubstr("authority"));
}

// SPIFFE-ID, section 2.
TEST(CertificateIdentity, SpiffeIdsAreAsTheStandardHasThem) {
  for (const std::string& good : {std::string("spiffe://a/b"), std::string("spiffe://1.2-3_4/A.b-C_9/..."),
                                  "spiffe://" + std::string(255, 'a') + "/b", "spiffe://a/" + std::string(2037, 'b')}) {
    EXPECT_TRUE(IsSpiffeId(good)) << good;
  }
  for (const std::string& bad : {std::string(),
                                 std::string("spiffe://"),
                                 std::string("spiffe://a"),
                                 std::string("spiffe://a/"),
                                 std::string("spiffe:///b"),
                                 std::string("SPIFFE://a/b"),
                                 std::string("spiffe:/a/b"),
                                 std::string("https://a/b"),
                                 std::string("spiffe://A/b"),
                                 std::string("spiffe://a/b/"),
                                 std::string("spiffe://a//b"),
                                 std::string("spiffe://a/./b"),
                                 std::string("spiffe://a/.."),
                                 std::string("spiffe://a/b?c"),
                                 std::string("spiffe://a/b#c"),
                                 std::string("spiffe://a/%62"),
                                 std::string("spiffe://a:1/b"),
                                 std::string("spiffe://u@a/b"),
                                 std::string("spiffe://[::1]/b"),
                                 std::string("spiffe://a/b c"),
                                 std::string("spiffe://a/\u00e9"),
                                 std::string("spiffe://a/b\0c", 14),
                                 "spiffe://" + std::string(256, 'a') + "/b",
                                 "spiffe://a/" + std::string(2038, 'b')}) {
    EXPECT_FALSE(IsSpiffeId(bad)) << bad;
  }
}

TEST(CertificateIdentity, NamesAreReadFromPem) {
  const TestAuthority& authority = SharedTestAuthority();
  const TestIdentity identity =
      authority.Issue({.alternative_names = {"URI:spiffe://a/b", "DNS:x", "DNS:y", "IP:127.0.0.1"}});
  const auto names = ReadCertificateNames(identity.chain_pem);
  ASSERT_THAT(names, IsOk());
  EXPECT_THAT(names->uris, ElementsAre("spiffe://a/b"));
  EXPECT_THAT(names->dns_names, ElementsAre("x", "y"));
  EXPECT_FALSE(names->is_authority);
  EXPECT_FALSE(names->serial.empty());
  EXPECT_EQ(names->serial.find_first_not_of("0123456789abcdef"), std::string::npos);
  const auto own = ReadCertificateNames(authority.certificate_pem());
  ASSERT_THAT(own, IsOk());
  EXPECT_TRUE(own->is_authority);
  EXPECT_THAT(own->uris, IsEmpty());
  EXPECT_FALSE(ReadCertificateNames("").ok());
  EXPECT_FALSE(ReadCertificateNames("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").ok());
}

}  // namespace
}  // namespace transportd
