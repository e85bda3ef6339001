#include "server/policy/file_identifier.h"

#include <atomic>
#include <string>
#include <thread>

#include "gtest/gtest.h"
#include "server/policy/dev_identifier.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_jwt.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr char kSpiffeId[] = "spiffe://example.org/ci";
// SHA-256 of "abc".
constexpr char kAbcHash[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kAbcPrefix[] = "ba7816bf";
constexpr char kCiClaims[] = R"({"iss":"i","aud":"a","sub":"ci","exp":1900000300})";

class FileIdentifierTest : public testing::Test {
 public:
  FileIdentifierTest() {
    dir_.WriteFile("keys.json", TestJwkSet({key_.Jwk("e1")}));
    dir_.WriteFile("who.txtpb", Text(""));
  }

  std::string Text(std::string_view more, std::string_view principal = kSpiffeId) const {
    return StrCat("version: \"v1\"\ntoken { principal: \"", principal, "\" sha256: \"", kAbcHash,
                  "\" not_after { seconds: 1900000000 } }\njwt { issuer: \"i\" audiences: \"a\" jwks_file: \"",
                  dir_.Path("keys.json"), "\" principal_prefix: \"k8s:\" }\n", more);
  }

  std::unique_ptr<FileIdentifier> Make() const {
    auto identifier = FileIdentifier::Create(dir_.Path("who.txtpb"), [this] {
      return std::chrono::system_clock::time_point(std::chrono::seconds(now_seconds_));
    });
    EXPECT_THAT(identifier, IsOk());
    return *std::move(identifier);
  }

  static std::string MessageOf(const absl::StatusOr<Caller>& caller) {
    EXPECT_THAT(caller, StatusIs(absl::StatusCode::kUnauthenticated));
    EXPECT_THAT(caller, HasReason("INVALID_CREDENTIALS"));
    return std::string(caller.status().message());
  }

  std::string Jwt(std::string_view claims = kCiClaims) const {
    return key_.Token(R"({"alg":"ES256","kid":"e1"})", claims);
  }

  const TestJwtKey key_ = TestJwtKey::P256();
  const TempDir dir_;
  int64_t now_seconds_ = 1'899'999'999;
};

TEST_F(FileIdentifierTest, WithoutCredentialsThereIsNoPrincipal) {
  const auto caller = Make()->Identify({.peer = "ipv4:10.0.0.1:1"});
  EXPECT_THAT(caller, StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(caller, HasReason("NO_PRINCIPAL"));
}

TEST_F(FileIdentifierTest, ACertificateIsEnough) {
  const auto caller = Make()->Identify(
      {.peer = "ipv6:%5B::1%5D:4711", .certificate = CertificateNames{.uris = {kSpiffeId}, .serial = "0a"}});
  ASSERT_THAT(caller, IsOk());
  EXPECT_EQ(caller->principal, kSpiffeId);
  EXPECT_EQ(caller->peer, "ipv6:[::1]:4711");
  EXPECT_EQ(caller->method, "certificate");
  EXPECT_EQ(caller->credential, "0a");
}

TEST_F(FileIdentifierTest, ATokenIsEnough) {
  const auto identifier = Make();
  for (const char* value : {"Bearer abc", "bearer abc", "BEARER  abc"}) {
    const auto caller = identifier->Identify({.authorization = {value}});
    ASSERT_THAT(caller, IsOk()) << value;
    EXPECT_EQ(caller->principal, kSpiffeId);
    EXPECT_EQ(caller->method, "token");
    EXPECT_EQ(caller->credential, kAbcPrefix);
  }
}

TEST_F(FileIdentifierTest, AJwtIsEnough) {
  const auto identifier = Make();
  const std::string value = "Bearer " + Jwt();
  const auto caller = identifier->Identify({.authorization = {value}});
  ASSERT_THAT(caller, IsOk());
  EXPECT_EQ(caller->principal, "k8s:ci");
  EXPECT_EQ(caller->method, "jwt");
  EXPECT_EQ(caller->credential, "e1");
}

TEST_F(FileIdentifierTest, AListenerIsEnough) {
  const auto caller = Make()->Identify({.peer = "unix:", .listener_principal = "local"});
  ASSERT_THAT(caller, IsOk());
  EXPECT_EQ(caller->principal, "local");
  EXPECT_EQ(caller->method, "unix");
  EXPECT_EQ(caller->credential, "");
}

TEST_F(FileIdentifierTest, WhatIsWrongIsToldByKindOnly) {
  const auto identifier = Make();
  const auto message_of = [&](std::string_view value) {
    return MessageOf(identifier->Identify({.authorization = {value}}));
  };
  const std::string unknown = message_of("Bearer abd");
  EXPECT_EQ(unknown, "the bearer token is not known, or not any longer");
  now_seconds_ = 1'900'000'000;
  EXPECT_EQ(message_of("Bearer abc"), unknown);
  for (const char* value : {"", "abc", "Bearer", "Bearer ", "Basic abc", "Bearerabc", "Bearer a b", "Bearer abc ",
                            "Bearer\tabc", "Bearer \xff"}) {
    EXPECT_EQ(message_of(value), "`authorization` must be `Bearer TOKEN`") << value;
  }
  const std::string expired = "Bearer " + Jwt();
  now_seconds_ = 1'900'000'400;
  EXPECT_THAT(message_of(expired), HasSubstr("has expired"));
  EXPECT_THAT(message_of("Bearer secret.secret.secret"), Not(HasSubstr("secret")));
  EXPECT_THAT(message_of("Bearer " + std::string(16385, 'a')), HasSubstr("longer than 16 KiB"));
  EXPECT_THAT(MessageOf(identifier->Identify({.certificate = CertificateNames{}})),
              HasSubstr("certificate has no SPIFFE ID"));
}

TEST_F(FileIdentifierTest, SeveralMustBeTheSamePrincipal) {
  const auto identifier = Make();
  const CertificateNames certificate{.uris = {kSpiffeId}, .serial = "0a"};
  const auto caller = identifier->Identify(
      {.certificate = certificate, .authorization = {"Bearer abc"}, .listener_principal = kSpiffeId});
  ASSERT_THAT(caller, IsOk());
  EXPECT_EQ(caller->principal, kSpiffeId);
  EXPECT_EQ(caller->method, "unix+certificate+token");
  EXPECT_EQ(caller->credential, StrCat("+0a+", kAbcPrefix));
  const std::string jwt = "Bearer " + Jwt();
  EXPECT_THAT(MessageOf(identifier->Identify({.certificate = certificate, .authorization = {jwt}})),
              HasSubstr("different principals"));
  EXPECT_THAT(MessageOf(identifier->Identify({.authorization = {"Bearer abc"}, .listener_principal = "local"})),
              HasSubstr("different principals"));
  EXPECT_THAT(MessageOf(identifier->Identify({.certificate = certificate, .listener_principal = "local"})),
              HasSubstr("different principals"));
}

TEST_F(FileIdentifierTest, OneThatIsBadSpoilsTheRest) {
  const auto identifier = Make();
  const CertificateNames certificate{.uris = {kSpiffeId}};
  MessageOf(identifier->Identify({.certificate = certificate, .authorization = {"Bearer abd"}}));
  MessageOf(identifier->Identify(
      {.certificate = CertificateNames{.uris = {"spiffe://a/b", "spiffe://a/b"}}, .authorization = {"Bearer abc"}}));
  EXPECT_THAT(MessageOf(identifier->Identify({.authorization = {"Bearer abc", "Bearer abc"}})),
              HasSubstr("more than one"));
}

TEST_F(FileIdentifierTest, WithoutAFileOnlyCertificatesAndListenersCount) {
  const auto identifier = FileIdentifier::Create("");
  ASSERT_THAT(identifier, IsOk());
  EXPECT_THAT((*identifier)->Files(), ElementsAre());
  EXPECT_THAT((*identifier)->Reload(), IsOk());
  EXPECT_THAT((*identifier)->Identify({.certificate = CertificateNames{.uris = {kSpiffeId}}}), IsOk());
  MessageOf((*identifier)->Identify({.certificate = CertificateNames{.dns_names = {"a"}}}));
  MessageOf((*identifier)->Identify({.authorization = {"Bearer a.b.c"}}));
}

TEST_F(FileIdentifierTest, ReloadTakesWhatIsNew) {
  const auto identifier = Make();
  EXPECT_THAT(identifier->Files(), ElementsAre(dir_.Path("who.txtpb"), dir_.Path("keys.json")));
  dir_.WriteFile("who.txtpb", Text("", "new"));
  EXPECT_EQ(identifier->Identify({.authorization = {"Bearer abc"}})->principal, kSpiffeId);
  EXPECT_THAT(identifier->Reload(), IsOk());
  EXPECT_EQ(identifier->Identify({.authorization = {"Bearer abc"}})->principal, "new");
}

// Whose arrival is worth another attempt.
TEST_F(FileIdentifierTest, FilesAreAlsoThoseOfWhatWasRejected) {
  const auto identifier = Make();
  dir_.WriteFile("who.txtpb", Text(StrCat("jwt { issuer: \"j\" audiences: \"a\" principal_prefix: \"j:\" jwks_file: \"",
                                          dir_.Path("later.json"), "\" }")));
  EXPECT_THAT(identifier->Reload(), HasReason("ENOENT"));
  EXPECT_THAT(identifier->Files(),
              ElementsAre(dir_.Path("who.txtpb"), dir_.Path("keys.json"), dir_.Path("later.json")));
  dir_.WriteFile("who.txtpb", Text(""));
  EXPECT_THAT(identifier->Reload(), IsOk());
  EXPECT_THAT(identifier->Files(), ElementsAre(dir_.Path("who.txtpb"), dir_.Path("keys.json")));
}

TEST_F(FileIdentifierTest, ReloadKeepsWhatIsGood) {
  const auto identifier = Make();
  const auto expect_old = [&](std::string_view message) {
    const absl::Status status = identifier->Reload();
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(message)));
    EXPECT_EQ(identifier->Identify({.authorization = {"Bearer abc"}})->principal, kSpiffeId);
    const std::string jwt = "Bearer " + Jwt();
    EXPECT_THAT(identifier->Identify({.authorization = {jwt}}), IsOk());
  };
  dir_.WriteFile("who.txtpb", Text("tokn {}", "new"));
  expect_old(StrCat(dir_.Path("who.txtpb"), ":4:"));
  dir_.WriteFile("who.txtpb", "");
  expect_old("who.txtpb: it says nothing; it must be a transportd.v1.Identities");
  dir_.WriteFile("who.txtpb", Text("", "new"));
  dir_.WriteFile("keys.json", "{\n}");
  expect_old(StrCat(dir_.Path("keys.json"), ":1:1: "));
  dir_.WriteFile("keys.json", std::string(1024 * 1024 + 1, ' '));
  expect_old("keys.json: it must be at most 1048576 bytes long");
  dir_.WriteFile("keys.json", TestJwkSet({key_.Jwk("e1")}));
  EXPECT_THAT(identifier->Reload(), IsOk());
  EXPECT_EQ(identifier->Identify({.authorization = {"Bearer abc"}})->principal, "new");
}

TEST_F(FileIdentifierTest, AFileThatIsNotThereIsNamed) {
  EXPECT_THAT(std::string(FileIdentifier::Create(dir_.Path("none")).status().message()), HasSubstr(dir_.Path("none")));
  EXPECT_THAT(std::string(FileIdentifier::Create(dir_.path()).status().message()), HasSubstr("regular file"));
}

TEST_F(FileIdentifierTest, CallsGoOnWhileFilesAreRead) {
  const auto identifier = Make();
  std::atomic<bool> done = false;
  std::thread caller([&] {
    while (!done) EXPECT_THAT(identifier->Identify({.authorization = {"Bearer abc"}}), IsOk());
  });
  for (int i = 0; i < 50; ++i) {
    dir_.WriteFile("who.txtpb", Text("", i % 2 == 0 ? "a" : "b"));
    EXPECT_THAT(identifier->Reload(), IsOk());
  }
  done = true;
  caller.join();
}

TEST(DevIdentifier, EverybodyIsDev) {
  const auto caller = DevIdentifier().Identify({.peer = "ipv6:%5B::1%5D:1", .authorization = {"Basic x", "y"}});
  ASSERT_THAT(caller, IsOk());
  EXPECT_EQ(caller->principal, "dev");
  EXPECT_EQ(caller->method, "dev");
  EXPECT_EQ(caller->peer, "ipv6:[::1]:1");
}

}  // namespace
}  // namespace transportd
