#include "clients/cpp/transportctl/tls_files.h"

#include <string>

#include "clients/cpp/file_contents.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

absl::Status Bad(std::string_view option, std::string_view file, std::string_view what) {
  return absl::InvalidArgumentError(ToAbsl(StrCat(option, " ", file, ": ", what)));
}

absl::StatusOr<std::string> ReadFile(std::string_view option, const std::string& file) {
  absl::StatusOr<std::string> content = ReadFileContents(file);
  if (content.ok()) return content;
  return absl::InvalidArgumentError(ToAbsl(StrCat(option, ": ", std::string(content.status().message()))));
}

// PEM: RFC 7468.
absl::StatusOr<std::string> ReadCertificates(std::string_view option, const std::string& file) {
  absl::StatusOr<std::string> content = ReadFile(option, file);
  if (!content.ok()) return content;
  const bool is_there =
      content->find("-----BEGIN ") != std::string::npos && content->find("CERTIFICATE-----") != std::string::npos;
  if (!is_there) return Bad(option, file, "it must be PEM, with -----BEGIN CERTIFICATE----- in it");
  return content;
}

// `otherwise`: what else can be done about a key that is missing.
absl::Status CheckKey(std::string_view option, const std::string& file, std::string_view content,
                      std::string_view otherwise) {
  if (content.find("PRIVATE KEY-----") == std::string_view::npos) {
    return Bad(option, file, StrCat("it must be PEM, with -----BEGIN PRIVATE KEY----- in it", otherwise));
  }
  if (content.find("ENCRYPTED") != std::string_view::npos) {
    return Bad(option, file,
               "its key must not be encrypted; `openssl pkey -in FILE -out NEW` takes the passphrase away");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadKey(std::string_view option, const std::string& file) {
  absl::StatusOr<std::string> content = ReadFile(option, file);
  if (!content.ok()) return content;
  if (absl::Status status = CheckKey(option, file, *content, ""); !status.ok()) return status;
  return content;
}

}  // namespace

absl::StatusOr<TlsOptions> ReadTlsFiles(const TlsArguments& arguments, bool is_server) {
  TlsOptions out;
  if (!arguments.cacert_file.empty()) {
    absl::StatusOr<std::string> roots = ReadCertificates("--cacert", arguments.cacert_file);
    if (!roots.ok()) return roots.status();
    out.trust_roots_pem = *std::move(roots);
  }
  if (!arguments.cert_file.empty()) {
    absl::StatusOr<std::string> chain = ReadCertificates("--cert", arguments.cert_file);
    if (!chain.ok()) return chain.status();
    out.certificate_chain_pem = *std::move(chain);
    if (!arguments.key_file.empty()) {
      absl::StatusOr<std::string> key = ReadKey("--key", arguments.key_file);
      if (!key.ok()) return key.status();
      out.private_key_pem = *std::move(key);
    } else if (absl::Status status = CheckKey("--cert", arguments.cert_file, out.certificate_chain_pem,
                                              "; give the file that has the key with --key");
               !status.ok()) {
      return status;
    }
  }
  out.identity = arguments.identity;
  if (is_server) {
    out.verify_mode = arguments.cacert_file.empty() ? TlsVerifyMode::kNone : TlsVerifyMode::kRequired;
  } else {
    out.verify_mode = arguments.insecure ? TlsVerifyMode::kNone : TlsVerifyMode::kRequired;
    out.server_hostname = arguments.servername;
  }
  out.alpn_protocols = arguments.alpn_protocols;
  return out;
}

}  // namespace transportd::ctl
