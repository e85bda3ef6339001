#include "clients/cpp/connect_diagnosis.h"

#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "clients/cpp/service_target.h"
#include "clients/cpp/service_tls.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/loop/epoll_event_loop.h"
#include "transports/tls/openssl_handles.h"
#include "transports/tls/tls_certificate.h"

namespace transportd {
namespace {

// A service that is there answers within this, or has nothing to tell.
constexpr Duration kLongest = std::chrono::seconds(3);

// What came of one connection by TLS.
struct Finding {
  absl::Status handshake = absl::UnknownError("no answer in time");  // Of the connection, with its handshake.
  bool has_spoken = false;  // After the handshake something came: a server of HTTP/2 speaks first (RFC 9113, 3.4).
  bool has_hung_up = false;
};

// Waits for the first word, or the end. Threading: loop thread only.
class Listener final : public Protocol {
 public:
  Listener(EventLoop& loop, Finding& finding) : loop_(loop), finding_(finding) {}

  void ConnectionMade(std::shared_ptr<Transport> /*transport*/) override { finding_.handshake = absl::OkStatus(); }
  void DataReceived(std::string_view /*data*/) override {
    finding_.has_spoken = true;
    loop_.Stop();
  }
  void ConnectionLost(const ConnectionEnd& /*end*/) override {
    finding_.has_hung_up = true;
    loop_.Stop();
  }

 private:
  EventLoop& loop_;
  Finding& finding_;
};

Finding Try(const ServiceTarget& target, TlsOptions tls, Duration timeout) {
  Finding finding;
  auto loop = EpollEventLoop::Create();
  if (!loop.ok()) return finding;
  CreateConnectionOptions options;
  options.remote = {.host = target.host, .port = target.port};
  options.timeout = timeout;
  tls.handshake_timeout = timeout;
  options.tls = std::move(tls);
  static_cast<void>((*loop)->CreateConnection([&] { return std::make_shared<Listener>(**loop, finding); },
                                              std::move(options),
                                              [&](const auto& connection) {
                                                if (connection.ok()) return;
                                                finding.handshake = connection.status();
                                                (*loop)->Stop();
                                              }));
  (*loop)->CallLater(timeout, [&] { (*loop)->Stop(); });
  (*loop)->RunForever();
  return finding;
}

std::string WhyNotTrusted(const ConnectOptions& options, const TlsOptions& tls, int verify_code) {
  switch (verify_code) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return StrCat("does not name ", tls.server_hostname.value_or(options.target));
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "is not valid yet";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return StrCat("is not signed by a CA ",
                    options.ca_file == kSystemCa ? "that this machine trusts" : StrCat("of ", options.ca_file));
    default:
      return StrCat("is refused: ", X509_verify_cert_error_string(verify_code));
  }
}

// "" or why nobody would take it now.
std::string WhatIsWrongWith(const std::string& certificate_pem) {
  const BioPtr reader(BIO_new_mem_buf(certificate_pem.data(), static_cast<int>(certificate_pem.size())));
  const X509Ptr parsed(PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr));
  if (parsed == nullptr) return "";
  const TlsCertificate certificate = ToTlsCertificate(parsed.get());
  // lint: allow date: certificates are valid by the wall clock.
  const auto now = std::chrono::system_clock::now();
  const auto text = [](std::chrono::sys_seconds time) {
    return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromChrono(time), absl::UTCTimeZone());
  };
  if (now > certificate.not_after) return StrCat("it expired on ", text(certificate.not_after));
  if (now < certificate.not_before) return StrCat("it is not valid before ", text(certificate.not_before));
  return "";
}

absl::Status CertificateRefused(const ConnectOptions& options, const TlsOptions& tls) {
  std::string message = StrCat("the service at ", options.target, " wants a client certificate, and none was given");
  if (!tls.certificate_chain_pem.empty()) {
    const std::string what = WhatIsWrongWith(tls.certificate_chain_pem);
    message =
        StrCat("the service at ", options.target, " did not take the client certificate of ", options.certificate_file,
               what.empty() ? ": its CA must be one that the service trusts" : ": ", what);
  }
  return MakeError(absl::StatusCode::kUnauthenticated, "CLIENT_CERTIFICATE_REFUSED", message);
}

bool IsCertificateAlert(std::string_view reason) {
  for (const std::string_view alert :
       {"CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "CERTIFICATE_EXPIRED", "CERTIFICATE_UNKNOWN", "CERTIFICATE_REVOKED",
        "UNSUPPORTED_CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED"}) {
    if (reason == StrCat("TLS_ALERT_", alert)) return true;
  }
  return false;
}

// In the middle of the handshake: no server of TLS does without a reason.
bool HasHungUp(const TransportError& error) {
  return error.reason == "HANDSHAKE_EOF" || error.errno_number == ECONNRESET;
}

absl::Status HungUp(const ConnectOptions& options) {
  return MakeError(absl::StatusCode::kUnavailable, "SERVICE_HUNG_UP",
                   StrCat("the service at ", options.target,
                          " takes the connection and hangs up: it refuses an address for a while after three failed "
                          "authentications, or has too many connections"));
}

// Nothing: it says nothing new.
std::optional<absl::Status> ExplainTls(const ConnectOptions& options, const TlsOptions& tls, const Finding& finding) {
  if (finding.handshake.ok()) {
    // TLS 1.3: the server looks at the client's certificate when the handshake is over for the client.
    const bool is_refused = finding.has_hung_up && !finding.has_spoken;
    return is_refused ? std::optional(CertificateRefused(options, tls)) : std::nullopt;
  }
  const TransportError error = ToTransportError(finding.handshake);
  if (error.tls_verify_code != 0) {
    TransportError refused =
        ToTransportError(MakeError(absl::StatusCode::kUnavailable, "SERVICE_NOT_TRUSTED",
                                   StrCat("the certificate of the service at ", options.target, " ",
                                          WhyNotTrusted(options, tls, error.tls_verify_code))));
    refused.tls_verify_code = error.tls_verify_code;
    return ToStatus(refused);
  }
  if (IsCertificateAlert(error.reason)) return CertificateRefused(options, tls);
  if (error.reason == "WRONG_VERSION_NUMBER") {
    return MakeError(absl::StatusCode::kUnavailable, "SERVICE_WITHOUT_TLS",
                     StrCat("the service at ", options.target, " does not speak TLS"));
  }
  if (HasHungUp(error)) return HungUp(options);
  return std::nullopt;
}

}  // namespace

absl::Status ExplainUnavailable(const ConnectOptions& options, const absl::Status& status, Duration timeout) {
  if (!absl::IsUnavailable(status) || ToTransportError(status).reason != "UNKNOWN") return status;
  const ServiceTarget target = ParseServiceTarget(options.target);
  if (target.kind != ServiceTarget::Kind::kTcp || options.credentials != nullptr || timeout <= Duration(0)) {
    return status;
  }
  const absl::StatusOr<std::optional<TlsOptions>> tls = ReadServiceTls(options);
  if (!tls.ok()) return tls.status();
  timeout = std::min(timeout, kLongest);
  if (tls->has_value()) return ExplainTls(options, **tls, Try(target, **tls, timeout)).value_or(status);
  TlsOptions any;
  any.verify_mode = TlsVerifyMode::kNone;
  any.alpn_protocols = {"h2"};
  const Finding finding = Try(target, any, timeout);
  if (!finding.handshake.ok() && HasHungUp(ToTransportError(finding.handshake))) return HungUp(options);
  const bool has_tls = finding.handshake.ok() || ToTransportError(finding.handshake).reason.starts_with("TLS_ALERT_");
  if (!has_tls) return status;
  return MakeError(absl::StatusCode::kUnavailable, "SERVICE_WANTS_TLS",
                   StrCat("the service at ", options.target, " speaks TLS, and no CA to trust was given"));
}

}  // namespace transportd
