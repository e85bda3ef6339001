// Against the programs `openssl s_client` and `openssl s_server`.
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/program.h"
#include "tests/unit/tls/tls_fixture.h"

namespace transportd {
namespace {

using testing::HasSubstr;

struct VersionCase {
  const char* name;
  TlsVersion version;
  const char* told;    // As TlsInfo has it.
  const char* option;  // Of the programs.
};

void PrintTo(const VersionCase& version, std::ostream* out) { *out << version.name; }

class OpensslProgramTest : public TlsFixture, public testing::WithParamInterface<VersionCase> {
 protected:
  // Old versions need hash functions that OpenSSL takes only on this level.
  static constexpr const char* kAnyCipher = "ALL:@SECLEVEL=0";

  TlsOptions OfVersion(TlsOptions tls) const {
    tls.minimum_version = tls.maximum_version = GetParam().version;
    tls.cipher_list = kAnyCipher;
    return tls;
  }
  static std::string HostPort(const SocketAddress& address) { return address.ToString(); }
  bool RunUntilWith(Program& program, const std::function<bool()>& condition) {
    return RunUntil([&] {
      program.Poll();
      return condition();
    });
  }
  // s_server, and its address once it listens.
  std::unique_ptr<Program> Serve(std::vector<std::string> more, SocketAddress& address) {
    std::vector<std::string> arguments{"openssl",    "s_server", "-accept", "127.0.0.1:0", "-cert",
                                       certificate_, "-key",     key_,      "-CAfile",     root_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    auto program = std::make_unique<Program>(std::move(arguments));
    // "ACCEPT 127.0.0.1:45001"
    EXPECT_TRUE(RunUntilWith(*program, [&] {
      return program->output().find('\n', Accept(*program)) != std::string::npos;
    })) << program->output();
    const std::string& output = program->output();
    const size_t colon = output.find(':', Accept(*program));
    address = {.family = AddressFamily::kInet, .host = "127.0.0.1"};
    address.port = static_cast<uint16_t>(std::stoi(output.substr(colon + 1)));
    return program;
  }
  static size_t Accept(const Program& program) {
    const size_t found = program.output().find("ACCEPT");
    return found == std::string::npos ? program.output().size() : found;
  }

  const TemporaryDirectory directory_;
  const std::string root_ = directory_.Write("root.pem", SharedTestAuthority().certificate_pem());
  const std::string certificate_ = directory_.Write("chain.pem", SharedTestIdentity().chain_pem);
  const std::string key_ = directory_.Write("key.pem", SharedTestIdentity().key_pem);
};

INSTANTIATE_TEST_SUITE_P(, OpensslProgramTest,
                         testing::Values(VersionCase{"Tls10", TlsVersion::kTls10, "TLSv1", "-tls1"},
                                         VersionCase{"Tls11", TlsVersion::kTls11, "TLSv1.1", "-tls1_1"},
                                         VersionCase{"Tls12", TlsVersion::kTls12, "TLSv1.2", "-tls1_2"},
                                         VersionCase{"Tls13", TlsVersion::kTls13, "TLSv1.3", "-tls1_3"}),
                         [](const auto& parameter) { return parameter.param.name; });

TEST_P(OpensslProgramTest, ClientTalksToOurServer) {
  const auto server = Listen(Serving(OfVersion(ServerTls())));
  Program client({"openssl", "s_client", "-connect", HostPort(server->Sockets().front()), GetParam().option, "-cipher",
                  kAnyCipher, "-CAfile", root_, "-verify_return_error", "-verify_hostname", "localhost", "-quiet"});
  ASSERT_TRUE(RunUntilWith(client, [&] { return accepted_.size() == 1 && accepted_[0]->transport != nullptr; }))
      << client.output();
  EXPECT_EQ(accepted_[0]->transport->GetExtraInfo().tls->version, GetParam().told);
  client.Send("from the program\n");
  ASSERT_TRUE(RunUntilWith(client, [&] { return accepted_[0]->received == "from the program\n"; }));
  EXPECT_THAT(accepted_[0]->transport->Write("from the transport\n"), IsOk());
  ASSERT_TRUE(RunUntilWith(client, [&] { return client.Said("from the transport\n"); }));
  accepted_[0]->transport->Close();
  ASSERT_TRUE(RunUntilWith(client, [&] { return accepted_[0]->lost() && client.exit_status(); }));
  EXPECT_EQ(client.exit_status(), 0);
  EXPECT_EQ(accepted_[0]->end->cause, EndCause::kLocalClose);
}

TEST_P(OpensslProgramTest, ServerTalksToOurClient) {
  SocketAddress address;
  const auto server = Serve({GetParam().option, "-cipher", kAnyCipher, "-naccept", "1"}, address);
  Record& record = NewRecord();
  Outcome<Connection> outcome;
  Connect(outcome, record, To(address, OfVersion(ClientTls())));
  ASSERT_TRUE(RunUntilWith(*server, [&] { return outcome.done(); }));
  ASSERT_THAT(outcome.status(), IsOk());
  EXPECT_EQ(record.transport->GetExtraInfo().tls->version, GetParam().told);
  EXPECT_THAT(record.transport->Write("from the transport\n"), IsOk());
  ASSERT_TRUE(RunUntilWith(*server, [&] { return server->Said("from the transport\n"); }));
  server->Send("from the program\n");
  ASSERT_TRUE(RunUntilWith(*server, [&] { return record.received == "from the program\n"; }));
  record.transport->Close();
  ASSERT_TRUE(RunUntilWith(*server, [&] { return record.lost() && server->exit_status(); }));
  EXPECT_EQ(record.end->cause, EndCause::kLocalClose);
  EXPECT_THAT(record.end->status, IsOk());
}

TEST_P(OpensslProgramTest, ServerAsksOurClientForACertificate) {
  SocketAddress address;
  const auto server =
      Serve({GetParam().option, "-cipher", kAnyCipher, "-Verify", "1", "-verify_return_error"}, address);
  TlsOptions tls = OfVersion(ClientTls());
  const TestIdentity identity =
      SharedTestAuthority().Issue({.common_name = "a client of ours", .alternative_names = {}});
  tls.certificate_chain_pem = identity.chain_pem;
  tls.private_key_pem = identity.key_pem;
  Record& record = NewRecord();
  Outcome<Connection> outcome;
  Connect(outcome, record, To(address, tls));
  ASSERT_TRUE(RunUntilWith(*server, [&] { return server->Said("a client of ours") && outcome.done(); }))
      << server->output();
  EXPECT_THAT(outcome.status(), IsOk());
}

TEST_P(OpensslProgramTest, ClientRefusesOurServersName) {
  TlsOptions tls = OfVersion(ServerTls(SharedTestAuthority().Issue({.alternative_names = {"DNS:other.test"}})));
  const auto server = Listen(Serving(tls));
  Program client({"openssl", "s_client", "-connect", HostPort(server->Sockets().front()), GetParam().option, "-cipher",
                  kAnyCipher, "-CAfile", root_, "-verify_return_error", "-verify_hostname", "localhost"});
  ASSERT_TRUE(RunUntilWith(client, [&] { return client.exit_status().has_value(); }));
  EXPECT_NE(client.exit_status(), 0);
  EXPECT_THAT(client.output(), HasSubstr("verify error"));
  ASSERT_TRUE(RunUntil([&] { return loop_->GetCounts().transports == 0 && accepted_.size() == 1; }));
}

TEST_P(OpensslProgramTest, ClientResumesASessionOfOurServer) {
  const auto server = Listen(Serving(OfVersion(ServerTls())), [](Record& record) {
    record.on_made = [&record] { EXPECT_THAT(record.transport->Write("hello\n"), IsOk()); };
  });
  const std::string session = directory_.path() + "/session.pem";
  for (const bool resumes : {false, true}) {
    Program client({"openssl", "s_client", "-connect", HostPort(server->Sockets().front()), GetParam().option,
                    "-cipher", kAnyCipher, resumes ? "-sess_in" : "-sess_out", session});
    // Its input stays open until it has read the session ticket, which comes before the data.
    ASSERT_TRUE(RunUntilWith(client, [&] { return client.Said("hello"); })) << client.output();
    client.CloseInput();
    ASSERT_TRUE(RunUntilWith(client, [&] { return client.exit_status().has_value(); }));
    EXPECT_EQ(client.Said("Reused, TLS"), resumes) << client.output();
    EXPECT_EQ(accepted_.back()->transport->GetExtraInfo().tls->session_reused, resumes);
  }
}

}  // namespace
}  // namespace transportd
