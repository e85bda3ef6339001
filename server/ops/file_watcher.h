// Tells when files that an operator writes may have changed.
#ifndef TRANSPORTD_SERVER_OPS_FILE_WATCHER_H_
#define TRANSPORTD_SERVER_OPS_FILE_WATCHER_H_

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "transports/base/unique_fd.h"
#include "transports/reactor/reactor.h"

namespace transportd {

// Watches the folders of the files, and those of what they link to, by inotify(7): so it notices a file that is written
// in place, one that is renamed over it, and a folder whose link is swapped, as Kubernetes does with mounted volumes.
// It tells once things have been quiet for a moment; what is told of need not have changed. Threading: loop thread
// only.
class FileWatcher final : private FdHandler {
 public:
  // How long it must be quiet, and the longest that a restless folder delays.
  static constexpr Duration kQuiet = std::chrono::milliseconds(200);
  static constexpr Duration kLongestDelay = std::chrono::seconds(2);

  // `on_change` is called on the loop's thread. A folder that cannot be watched is the kernel's error. `reactor` must
  // outlive this.
  static absl::StatusOr<std::unique_ptr<FileWatcher>> Create(Reactor& reactor, std::span<const std::string> files,
                                                             absl::AnyInvocable<void()> on_change);
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;
  ~FileWatcher() override;

 private:
  FileWatcher(Reactor& reactor, UniqueFd fd, absl::AnyInvocable<void()> on_change);

  void OnReadable() override;
  absl::Status WatchFolderOf(const std::string& file);
  // Whether what happened to that name in a folder may concern a file.
  bool IsOfAFile(std::string_view name) const;

  Reactor& reactor_;
  const UniqueFd fd_;
  absl::AnyInvocable<void()> on_change_;
  std::vector<std::string> names_;  // Of the files, in whatever folder.
  WatchId watch_ = 0;
  TimerId timer_ = 0;
  TimePoint first_change_;  // Of those that were not told of; valid while the timer runs.
};

}  // namespace transportd

#endif  // TRANSPORTD_SERVER_OPS_FILE_WATCHER_H_
