#include "clients/cpp/transportctl/tls_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "transports/api/error.h"
#include "transports/base/str_cat.h"
#include "transports/base/unique_fd.h"

namespace transportd::ctl {
namespace {

// As much as the service takes.
constexpr size_t kMaxBytes = 1 << 20;

absl::Status Bad(std::string_view option, std::string_view file, std::string_view what) {
  return absl::InvalidArgumentError(ToAbsl(StrCat(option, " ", file, ": ", what)));
}

absl::Status BadErrno(int error_number, std::string_view operation, std::string_view option, std::string_view file) {
  return absl::InvalidArgumentError(
      ToAbsl(StrCat(option, ": ", std::string(ErrnoToStatus(error_number, operation, file).message()))));
}

absl::StatusOr<std::string> ReadFile(std::string_view option, const std::string& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    int error_number = errno;
    return BadErrno(error_number, "open", option, file);
  }
  std::string content(kMaxBytes + 1, '\0');
  size_t size = 0;
  while (size < content.size()) {
    const ssize_t count = ::read(fd.get(), content.data() + size, content.size() - size);
    int error_number = errno;
    if (count < 0 && error_number == EINTR) continue;
    if (count < 0) return BadErrno(error_number, "read", option, file);
    if (count == 0) break;
    size += static_cast<size_t>(count);
  }
  if (size > kMaxBytes) return Bad(option, file, "it must be at most 1 MiB long");
  content.resize(size);
  return content;
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
