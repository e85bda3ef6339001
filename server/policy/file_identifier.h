// Who calls, by the file of --identities.
#ifndef TRANSPORTD_SERVER_POLICY_FILE_IDENTIFIER_H_
#define TRANSPORTD_SERVER_POLICY_FILE_IDENTIFIER_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/policy/identifier.h"
#include "transports/base/mutex.h"

namespace transportd {

// Threading: any thread. What a call is judged by is one state of the files, even while they are read again.
class FileIdentifier final : public Identifier {
 public:
  // The time of day, which tokens' ends are compared with. Called on any thread.
  using Date = std::function<std::chrono::system_clock::time_point()>;

  // Reads the file, and the key sets it names: paths that do not begin with `/` are of the folder that the service
  // works in. Empty: there is no file, and only certificates with a SPIFFE ID and listeners count. Errors name the file
  // and the place.
  static absl::StatusOr<std::unique_ptr<FileIdentifier>> Create(
      std::string file, Date date = [] { return std::chrono::system_clock::now(); });
  ~FileIdentifier() override;

  absl::StatusOr<Caller> Identify(const Credentials& credentials) const override;

  // Reads all again. An error changes nothing. Blocks as disks do.
  absl::Status Reload() ABSL_LOCKS_EXCLUDED(reload_mutex_, mutex_);

  // What is worth watching: the file, and the key sets that it named when it was last good, and that it names now: one
  // of them may be what is missing.
  std::vector<std::string> Files() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Identities;

  FileIdentifier(std::string file, Date date);

  // `files`: those that are named, also when one of them is bad.
  static absl::StatusOr<std::shared_ptr<const Identities>> Load(const std::string& file,
                                                                std::vector<std::string>& files);
  std::shared_ptr<const Identities> Current() const ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string file_;
  const Date date_;
  Mutex reload_mutex_;  // So that an older state never replaces a newer one.
  mutable Mutex mutex_;
  // Shared with the calls that are being judged by it.
  std::shared_ptr<const Identities> identities_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> files_ ABSL_GUARDED_BY(mutex_);           // Of identities_.
  std::vector<std::string> rejected_files_ ABSL_GUARDED_BY(mutex_);  // Of what was read last; empty: it is that.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_POLICY_FILE_IDENTIFIER_H_
