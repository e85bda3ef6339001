#include "transports/tls/tls_certificate.h"

#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include <chrono>
#include <ctime>
#include <memory>
#include <optional>
#include <string>

#include "transports/tls/openssl_handles.h"

namespace transportd {
namespace {

constexpr int kIpv4Bytes = 4;
constexpr int kIpv6Bytes = 16;

// OPENSSL_free is a macro.
void FreeBytes(void* bytes) { OPENSSL_free(bytes); }
using BytesPtr = std::unique_ptr<unsigned char, OpensslDeleter<FreeBytes>>;
using CharsPtr = std::unique_ptr<char, OpensslDeleter<FreeBytes>>;
using BignumPtr = std::unique_ptr<BIGNUM, OpensslDeleter<BN_free>>;
using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslDeleter<GENERAL_NAMES_free>>;

std::string Der(X509* certificate) {
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(certificate, &bytes);
  const BytesPtr owned(bytes);
  return size > 0 ? std::string(reinterpret_cast<char*>(bytes), static_cast<size_t>(size)) : std::string();
}

std::string Utf8(const ASN1_STRING* text) {
  unsigned char* bytes = nullptr;
  const int size = ASN1_STRING_to_UTF8(&bytes, text);
  const BytesPtr owned(bytes);
  return size > 0 ? std::string(reinterpret_cast<char*>(bytes), static_cast<size_t>(size)) : std::string();
}

// The long name, or the dotted number of an object that has none.
std::string ObjectName(const ASN1_OBJECT* object) {
  char name[128];
  const int size = OBJ_obj2txt(name, sizeof(name), object, /*no_name=*/0);
  return size > 0 ? std::string(name) : std::string();
}

TlsName ToTlsName(const X509_NAME* name) {
  TlsName result;
  int last_set = -1;
  for (int i = 0; i < X509_NAME_entry_count(name); ++i) {
    const X509_NAME_ENTRY* const entry = X509_NAME_get_entry(name, i);
    const int set = X509_NAME_ENTRY_set(entry);
    if (set != last_set || result.empty()) result.emplace_back();
    last_set = set;
    result.back().push_back(
        {.name = ObjectName(X509_NAME_ENTRY_get_object(entry)), .value = Utf8(X509_NAME_ENTRY_get_data(entry))});
  }
  return result;
}

std::string ByteString(const ASN1_STRING* text) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<size_t>(ASN1_STRING_length(text)));
}

std::string IpAddress(const ASN1_OCTET_STRING* address) {
  const int size = ASN1_STRING_length(address);
  if (size != kIpv4Bytes && size != kIpv6Bytes) return "";
  char text[INET6_ADDRSTRLEN];
  const char* const found =
      inet_ntop(size == kIpv4Bytes ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text, sizeof(text));
  return found != nullptr ? std::string(found) : std::string();
}

TlsAlternativeName ToAlternativeName(const GENERAL_NAME* name) {
  int type = 0;
  const void* const value = GENERAL_NAME_get0_value(name, &type);
  switch (type) {
    case GEN_DNS:
      return {.type = "DNS", .value = ByteString(static_cast<const ASN1_STRING*>(value))};
    case GEN_EMAIL:
      return {.type = "email", .value = ByteString(static_cast<const ASN1_STRING*>(value))};
    case GEN_URI:
      return {.type = "URI", .value = ByteString(static_cast<const ASN1_STRING*>(value))};
    case GEN_IPADD:
      return {.type = "IP Address", .value = IpAddress(static_cast<const ASN1_OCTET_STRING*>(value))};
    case GEN_RID:
      return {.type = "Registered ID", .value = ObjectName(static_cast<const ASN1_OBJECT*>(value))};
    case GEN_DIRNAME:
      return {.type = "DirName", .value = ""};
    default:
      return {.type = "othername", .value = ""};
  }
}

std::string SerialNumber(const X509* certificate) {
  const BignumPtr number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  const CharsPtr text(number != nullptr ? BN_bn2hex(number.get()) : nullptr);
  return text != nullptr ? std::string(text.get()) : std::string();
}

std::chrono::sys_seconds Time(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return std::chrono::sys_seconds(std::chrono::seconds(timegm(&parts)));
}

}  // namespace

TlsCertificate ToTlsCertificate(X509* certificate) {
  TlsCertificate result{.der = Der(certificate),
                        .subject = ToTlsName(X509_get_subject_name(certificate)),
                        .issuer = ToTlsName(X509_get_issuer_name(certificate)),
                        .serial_number = SerialNumber(certificate),
                        .version = static_cast<int>(X509_get_version(certificate)) + 1,
                        .not_before = Time(X509_get0_notBefore(certificate)),
                        .not_after = Time(X509_get0_notAfter(certificate))};
  const GeneralNamesPtr names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    result.subject_alternative_names.push_back(ToAlternativeName(sk_GENERAL_NAME_value(names.get(), i)));
  }
  ERR_clear_error();
  return result;
}

}  // namespace transportd
