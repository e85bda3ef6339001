// The file that says where the service can be dialled.
#ifndef TRANSPORTD_SERVER_OPS_ADDRESS_FILE_H_
#define TRANSPORTD_SERVER_OPS_ADDRESS_FILE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace transportd {

// Removes the file when it is destroyed. Threading: one thread.
class AddressFile final {
 public:
  // Writes one address a line, all at once: who sees the file sees all of it. Replaces what is there. The kernel's
  // error.
  static absl::StatusOr<std::unique_ptr<AddressFile>> Create(std::string path,
                                                             const std::vector<std::string>& addresses);
  ~AddressFile();
  AddressFile(const AddressFile&) = delete;
  AddressFile& operator=(const AddressFile&) = delete;

 private:
  explicit AddressFile(std::string path) : path_(std::move(path)) {}
  const std::string path_;
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_ADDRESS_FILE_H_
