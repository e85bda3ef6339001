// Owns what OpenSSL allocates: std::unique_ptr<BIO, OpensslFree<BIO_free_all>>.
#ifndef TRANSPORTD_SERVER_POLICY_OPENSSL_FREE_H_
#define TRANSPORTD_SERVER_POLICY_OPENSSL_FREE_H_

namespace transportd {

template <auto kFree>
struct OpensslFree {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_OPENSSL_FREE_H_
