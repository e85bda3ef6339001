// Tells when files that an operator writes may have changed.
#ifndef TRANSPORTD_SERVER_OPS_FILE_WATCHER_H_
#define TRANSPORTD_SERVER_OPS_FILE_WATCHER_H_

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transports/base/unique_fd.h"
#include "transports/reactor/reactor.h"

namespace transportd {

// Watches by inotify(7) the folders of the files, and the folder of each symbolic link on the way to one, wherever in
// the path and whatever it leads to: so it notices a file that is written in place, one that is renamed over it, and a
// link that is swapped, as Kubernetes does with mounted volumes. Then it looks anew where the paths lead. It tells once
// things have been quiet for a moment; what is told of need not have changed. A folder above, itself no link, that is
// replaced is not noticed. Threading: loop thread only.
class FileWatcher final : private FdHandler {
 public:
  // How long it must be quiet, and the longest that a restless folder delays.
  static constexpr Duration kQuiet = std::chrono::milliseconds(200);
  static constexpr Duration kLongestDelay = std::chrono::seconds(2);

  // `on_change` is called on the loop's thread. A folder of `files` that cannot be watched is the kernel's error; later
  // and elsewhere that is logged. `reactor` must outlive this.
  static absl::StatusOr<std::unique_ptr<FileWatcher>> Create(Reactor& reactor, std::span<const std::string> files,
                                                             absl::AnyInvocable<void()> on_change);
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;
  ~FileWatcher() override;

  // These from now on, wherever they lead now.
  void SetFiles(std::span<const std::string> files);

 private:
  // By inotify's number of the folder: the names in it that matter.
  using Watches = std::map<int, std::set<std::string>>;

  FileWatcher(Reactor& reactor, UniqueFd fd, absl::AnyInvocable<void()> on_change);

  void OnReadable() override;
  // The first error of a file's own folder.
  absl::Status Renew();
  absl::Status WatchPath(const std::string& file, Watches& watches) const;
  absl::Status WatchName(const std::string& folder, const std::string& name, Watches& watches) const;

  Reactor& reactor_;
  const UniqueFd fd_;
  absl::AnyInvocable<void()> on_change_;
  std::vector<std::string> files_;
  Watches watches_;
  WatchId watch_ = 0;
  TimerId timer_ = 0;
  TimePoint first_change_;  // Of those that were not told of; valid while the timer runs.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_FILE_WATCHER_H_
