#include "clients/cpp/service_tls.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "clients/cpp/file_contents.h"
#include "clients/cpp/option_error.h"
#include "clients/cpp/service_target.h"
#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/tls/openssl_handles.h"
#include "transports/tls/system_trust_roots.h"
#include "transports/tls/tls_context.h"

namespace transportd {
namespace {

// Options that do not go together.
absl::Status Mismatch(std::string_view field, std::string_view message) {
  return OptionError("INVALID_SERVICE_TLS", field, message);
}

absl::Status ReadInto(std::string_view field, const std::string& file, std::string& out) {
  struct stat status = {};
  if (::stat(file.c_str(), &status) == 0 && S_ISFIFO(status.st_mode)) {
    return OptionError("NOT_A_REGULAR_FILE", field,
                       StrCat(file, ": it is a pipe, and is read more than once: give a file"));
  }
  absl::StatusOr<std::string> content = ReadFileContents(file);
  if (!content.ok()) {
    const TransportError error = ToTransportError(content.status());
    return OptionError(error.reason, field, error.message);
  }
  out = *std::move(content);
  return absl::OkStatus();
}

// What TLS says about its options, about the file that it was in.
absl::Status OfFile(const absl::Status& status, const ConnectOptions& options) {
  const TransportError error = ToTransportError(status);
  // Without the field's name.
  std::string_view what = error.message;
  if (const std::string prefix = error.field + ": "; what.substr(0, prefix.size()) == prefix) {
    what.remove_prefix(prefix.size());
  }
  if (error.field == "tls.server_hostname") return OptionError(error.reason, "server_name", what);
  std::string_view field = "certificate_file";
  std::string_view file = options.certificate_file;
  if (error.field == "tls.trust_roots_pem") {
    field = "ca_file";
    file = options.ca_file;
  } else if (error.field == "tls.private_key_pem" && !options.key_file.empty()) {
    field = "key_file";
    file = options.key_file;
  }
  return OptionError(error.reason, field, StrCat(file, ": ", what));
}

// Those that OpenSSL trusts on this machine, for gRPC, which would look elsewhere.
absl::StatusOr<std::string> SystemRootsPem() {
  const X509StorePtr store = SystemTrustRoots().Get();
  const auto free_all = [](STACK_OF(X509) * all) { sk_X509_pop_free(all, X509_free); };
  const std::unique_ptr<STACK_OF(X509), decltype(free_all)> roots(X509_STORE_get1_all_certs(store.get()));
  const BioPtr text(BIO_new(BIO_s_mem()));
  for (int i = 0; i < sk_X509_num(roots.get()); ++i) PEM_write_bio_X509(text.get(), sk_X509_value(roots.get(), i));
  char* begin = nullptr;
  const long size = BIO_get_mem_data(text.get(), &begin);
  if (size == 0) {
    return OptionError("INVALID_TRUST_ROOTS", "ca_file",
                       "this machine trusts no CA: install ca-certificates, or name some by SSL_CERT_FILE or "
                       "SSL_CERT_DIR");
  }
  return std::string(begin, static_cast<size_t>(size));
}

}  // namespace

absl::StatusOr<std::optional<TlsOptions>> ReadServiceTls(const ConnectOptions& options) {
  if (options.ca_file.empty()) {
    const bool wants_certificate = !options.certificate_file.empty() || !options.key_file.empty();
    if (!wants_certificate && options.server_name.empty()) return std::nullopt;
    return Mismatch("ca_file",
                    StrCat(wants_certificate ? "a client certificate" : "the name of the service's certificate",
                           " needs TLS, and no CA to trust was given"));
  }
  if (options.credentials != nullptr)
    return Mismatch("credentials", "credentials of gRPC's are given besides: one of them must do");
  const ServiceTarget target = ParseServiceTarget(options.target);
  if (target.kind == ServiceTarget::Kind::kUnix) {
    return Mismatch("target", StrCat("a Unix socket has no TLS, and needs none: ", options.target));
  }
  if (options.certificate_file.empty() && !options.key_file.empty()) {
    return Mismatch("certificate_file", "a key was given, and not its certificate");
  }
  TlsOptions tls;
  if (options.ca_file == kSystemCa) {
    absl::StatusOr<std::string> roots = SystemRootsPem();
    if (!roots.ok()) return roots.status();
    tls.trust_roots_pem = *std::move(roots);
  } else {
    if (absl::Status status = ReadInto("ca_file", options.ca_file, tls.trust_roots_pem.emplace()); !status.ok()) {
      return status;
    }
  }
  if (!options.certificate_file.empty()) {
    absl::Status status = ReadInto("certificate_file", options.certificate_file, tls.certificate_chain_pem);
    if (!status.ok()) return status;
    tls.private_key_pem = tls.certificate_chain_pem;
  }
  if (!options.key_file.empty()) {
    if (absl::Status status = ReadInto("key_file", options.key_file, tls.private_key_pem); !status.ok()) return status;
  }
  tls.verify_mode = TlsVerifyMode::kRequired;
  if (!options.server_name.empty()) {
    tls.server_hostname = options.server_name;
  } else if (target.kind == ServiceTarget::Kind::kTcp) {
    tls.server_hostname = target.host;
  }
  tls.alpn_protocols = {"h2"};  // As gRPC does.
  // gRPC tells what is wrong with them in its log only.
  const auto context = TlsContext::Create(tls, TlsSide::kClient, /*system_roots=*/nullptr);
  if (!context.ok()) return OfFile(context.status(), options);
  return tls;
}

std::shared_ptr<grpc::ChannelCredentials> ToGrpcCredentials(const std::optional<TlsOptions>& tls) {
  if (!tls) return grpc::InsecureChannelCredentials();
  return grpc::SslCredentials({.pem_root_certs = tls->trust_roots_pem.value_or(""),
                               .pem_private_key = tls->private_key_pem,
                               .pem_cert_chain = tls->certificate_chain_pem});
}

}  // namespace transportd
