// What the tests of TLS share: options that fit the test's certificates, and connections.
#ifndef TRANSPORTD_TESTS_UNIT_TLS_TLS_FIXTURE_H_
#define TRANSPORTD_TESTS_UNIT_TLS_TLS_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>

#include "tests/support/test_certificates.h"
#include "tests/unit/loop/event_loop_fixture.h"
#include "tests/unit/tls/openssl_peer.h"
#include "transports/api/tls_options.h"

namespace transportd {

// Bytes that tell their place.
inline std::string Pattern(size_t size) {
  std::string data(size, '\0');
  for (size_t i = 0; i < size; ++i) data[i] = static_cast<char>((i * 31 + i / 251) & 0xff);
  return data;
}

inline TlsOptions ServerTls(const TestIdentity& identity = SharedTestIdentity()) {
  TlsOptions options;
  options.certificate_chain_pem = identity.chain_pem;
  options.private_key_pem = identity.key_pem;
  return options;
}
// Trusts the shared authority, and asks for localhost.
inline TlsOptions ClientTls() {
  TlsOptions options;
  options.trust_roots_pem = SharedTestAuthority().certificate_pem();
  options.server_hostname = "localhost";
  return options;
}

class TlsFixture : public EventLoopFixture {
 protected:
  static CreateConnectionOptions To(const SocketAddress& address, TlsOptions tls = ClientTls()) {
    CreateConnectionOptions options = EventLoopFixture::To(address);
    options.tls = std::move(tls);
    return options;
  }
  static CreateServerOptions Serving(TlsOptions tls = ServerTls()) {
    CreateServerOptions options;
    options.tls = std::move(tls);
    return options;
  }
  absl::Status ConnectStatus(CreateConnectionOptions options) {
    Outcome<Connection> outcome;
    Record& record = NewRecord();
    Connect(outcome, record, std::move(options));
    EXPECT_TRUE(RunUntil([&] { return outcome.done(); }));
    if (!outcome.status().ok()) {
      EXPECT_THAT(record.events, testing::ElementsAre("done")) << "the protocol was called";
    }
    return outcome.status();
  }

  // A connection of ours to a peer of OpenSSL's, handshaken, with nothing recorded yet.
  void OpenToPeer(Record& record, SSL_CTX* context, TlsOptions tls = ClientTls()) {
    RawListener listener;
    Outcome<Connection> outcome;
    Connect(outcome, record, To(listener.address(), std::move(tls)));
    RawPeer raw;
    ASSERT_TRUE(RunUntil([&] {
      raw = listener.TryAccept();
      return raw.valid();
    }));
    peer_ = std::make_unique<OpensslPeer>(context, std::move(raw), OpensslPeer::Role::kServer);
    ASSERT_TRUE(RunUntilWithPeer([&] { return outcome.done() && peer_->handshaken(); })) << peer_->error();
    ASSERT_THAT(outcome.status(), IsOk());
    record.events.clear();
  }
  // A connection of OpenSSL's to a server of ours.
  void AcceptPeer(SSL_CTX* context, const SocketAddress& address) {
    peer_ = std::make_unique<OpensslPeer>(context, RawPeer::Connect(address), OpensslPeer::Role::kClient);
  }
  bool RunUntilWithPeer(const std::function<bool()>& condition) {
    return RunUntil([&] {
      peer_->Poll();
      return condition();
    });
  }
  void TurnWithPeer(int count = 10) {
    for (int i = 0; i < count; ++i) {
      peer_->Poll();
      Turn(1);
    }
  }

  std::unique_ptr<OpensslPeer> peer_;
};

}  // namespace transportd

#endif  // TRANSPORTD_TESTS_UNIT_TLS_TLS_FIXTURE_H_
