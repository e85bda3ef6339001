#include "server/ops/tls_identities.h"

#include <sys/stat.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_certificates.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class TlsIdentitiesTest : public testing::Test {
 protected:
  absl::StatusOr<TlsIdentities> Read(const std::vector<std::string>& flags) { return ReadTlsIdentities(flags); }
  // The refusal of one flag; what every refusal has is checked here.
  std::string Refusal(const std::string& flag) {
    const absl::StatusOr<TlsIdentities> identities = Read({flag});
    EXPECT_THAT(identities, HasReason("BAD_CONFIGURATION"));
    EXPECT_THAT(std::string(identities.status().message()), HasSubstr(StrCat("--tls-identity=", flag)));
    return std::string(identities.status().message());
  }

  const TempDir folder_;
  const std::string chain_ = folder_.WriteFile("chain.pem", SharedTestIdentity().chain_pem);
  const std::string key_ = folder_.WriteFile("key.pem", SharedTestIdentity().key_pem);
};

TEST_F(TlsIdentitiesTest, AreReadByName) {
  const TestIdentity other = TestAuthority::SelfSigned();
  const std::string other_chain = folder_.WriteFile("other.pem", other.chain_pem);
  const std::string other_key = folder_.WriteFile("other.key", other.key_pem);
  const auto identities = Read({StrCat("web=", chain_, ",", key_), StrCat("a-Z_0.9=", other_chain, ",", other_key)});
  ASSERT_THAT(identities, IsOk());
  ASSERT_EQ(identities->size(), 2u);
  EXPECT_EQ(identities->at("web").certificate_chain_pem, SharedTestIdentity().chain_pem);
  EXPECT_EQ(identities->at("web").private_key_pem, SharedTestIdentity().key_pem);
  EXPECT_EQ(identities->at("a-Z_0.9").certificate_chain_pem, other.chain_pem);
}

TEST_F(TlsIdentitiesTest, NoFlagIsNoIdentity) {
  const auto identities = Read({});
  ASSERT_THAT(identities, IsOk());
  EXPECT_THAT(*identities, IsEmpty());
}

TEST_F(TlsIdentitiesTest, ShapeIsSaid) {
  for (const std::string& flag :
       {std::string("web"), StrCat("web=", chain_), StrCat(chain_, ",", key_), std::string()}) {
    EXPECT_THAT(Refusal(flag), HasSubstr("NAME=CERTFILE,KEYFILE"));
  }
}

TEST_F(TlsIdentitiesTest, NamesAreOfAFewLetters) {
  for (const char* name : {"", "a b", "a/b", "ä", "a,b"}) {
    const auto identities = Read({StrCat(name, "=", chain_, ",", key_)});
    EXPECT_THAT(identities, HasReason("BAD_CONFIGURATION")) << name;
  }
  EXPECT_THAT(Refusal(StrCat("a b=", chain_, ",", key_)), HasSubstr("a name has letters"));
}

TEST_F(TlsIdentitiesTest, NameTwiceIsRefused) {
  const std::string flag = StrCat("web=", chain_, ",", key_);
  const auto identities = Read({flag, flag});
  EXPECT_THAT(identities, HasReason("BAD_CONFIGURATION"));
  EXPECT_THAT(std::string(identities.status().message()), HasSubstr("given before"));
}

TEST_F(TlsIdentitiesTest, FileThatIsNotThereOrNoFileIsNamed) {
  const std::string missing = folder_.Path("missing.pem");
  EXPECT_THAT(Refusal(StrCat("web=", missing, ",", key_)), HasSubstr(missing));
  EXPECT_THAT(Refusal(StrCat("web=", chain_, ",", missing)), HasSubstr(missing));
  EXPECT_THAT(Refusal(StrCat("web=", folder_.path(), ",", key_)), HasSubstr("it must be a regular file"));
}

TEST_F(TlsIdentitiesTest, FileThatNobodyWritesIsRefusedAtOnce) {
  const std::string fifo = folder_.Path("fifo");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(Refusal(StrCat("web=", fifo, ",", key_)), HasSubstr("it must be a regular file"));
}

TEST_F(TlsIdentitiesTest, WhatNoServerCouldBeMadeOfIsRefused) {
  const std::string garbage = folder_.WriteFile("garbage", "no PEM");
  const std::string empty = folder_.WriteFile("empty", "");
  const std::string large = folder_.WriteFile("large", std::string(1024 * 1024 + 1, '\n'));
  const std::string other_key = folder_.WriteFile("other.key", TestAuthority::SelfSigned().key_pem);
  EXPECT_THAT(Refusal(StrCat("web=", garbage, ",", key_)), HasSubstr("certificate"));
  EXPECT_THAT(Refusal(StrCat("web=", empty, ",", key_)), HasSubstr("certificate"));
  EXPECT_THAT(Refusal(StrCat("web=", large, ",", key_)), HasSubstr("at most 1048576 bytes"));
  EXPECT_THAT(Refusal(StrCat("web=", chain_, ",", garbage)), HasSubstr("no key"));
  EXPECT_THAT(Refusal(StrCat("web=", chain_, ",", other_key)), HasSubstr("not the key of the certificate"));
}

TEST_F(TlsIdentitiesTest, KeyMayStandWithTheCertificate) {
  const std::string both = folder_.WriteFile("both.pem", SharedTestIdentity().chain_pem + SharedTestIdentity().key_pem);
  EXPECT_THAT(Read({StrCat("web=", both, ",", both)}), IsOk());
}

}  // namespace
}  // namespace transportd
