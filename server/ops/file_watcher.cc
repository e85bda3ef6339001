#include "server/ops/file_watcher.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "transports/api/error.h"
#include "transports/base/logging.h"
#include "transports/base/str_cat.h"

namespace transportd {
namespace {

// The folder itself, too: when it goes, another may come in its place.
constexpr uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB |
                             IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR;
// As the kernel's, path_resolution(7).
constexpr int kMostLinks = 40;

// The names in `path` and its `..`, the last one first.
std::vector<std::string> PartsFromTheEnd(const std::filesystem::path& path) {
  std::vector<std::string> parts;
  for (const std::filesystem::path& part : path.relative_path()) {
    if (!part.empty() && part != ".") parts.push_back(part.string());
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

bool IsFolder(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileWatcher>> FileWatcher::Create(Reactor& reactor, std::span<const std::string> files,
                                                                 absl::AnyInvocable<void()> on_change) {
  UniqueFd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  const int err = errno;
  if (!fd.valid()) return ErrnoToStatus(err, "inotify_init1", "");
  auto watcher = std::unique_ptr<FileWatcher>(new FileWatcher(reactor, std::move(fd), std::move(on_change)));
  watcher->files_.assign(files.begin(), files.end());
  if (absl::Status status = watcher->Renew(); !status.ok()) return status;
  return watcher;
}

FileWatcher::FileWatcher(Reactor& reactor, UniqueFd fd, absl::AnyInvocable<void()> on_change)
    : reactor_(reactor), fd_(std::move(fd)), on_change_(std::move(on_change)) {
  watch_ = reactor_.AddWatch(fd_.get(), *this);
  reactor_.SetWatch(watch_, /*readable=*/true, /*writable=*/false);
}

FileWatcher::~FileWatcher() {
  if (timer_ != 0) reactor_.CancelTimer(timer_);
  reactor_.RemoveWatch(watch_);
}

void FileWatcher::SetFiles(std::span<const std::string> files) {
  files_.assign(files.begin(), files.end());
  if (const absl::Status status = Renew(); !status.ok()) {
    LogWarning("changes of a file may go unnoticed before SIGHUP: ", ToTransportError(status).message);
  }
}

absl::Status FileWatcher::Renew() {
  Watches watches;
  absl::Status first_error;
  for (const std::string& file : files_) {
    absl::Status status = WatchPath(file, watches);
    if (first_error.ok()) first_error = std::move(status);
  }
  for (const auto& [number, names] : watches_) {
    // It is gone already when its folder is.
    if (!watches.contains(number)) (void)::inotify_rm_watch(fd_.get(), number);
  }
  watches_ = std::move(watches);
  return first_error;
}

absl::Status FileWatcher::WatchPath(const std::string& file, Watches& watches) const {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(file, error);
  if (error) return ErrnoToStatus(error.value(), "inotify_add_watch", file);
  std::string folder;  // Without links; empty: the root.
  std::vector<std::string> parts = PartsFromTheEnd(absolute);
  bool is_own = true;  // No link has taken the place of the file's own name.
  for (int link_count = 0; !parts.empty();) {
    const std::string name = std::move(parts.back());
    parts.pop_back();
    if (name == "..") {
      folder.resize(folder.empty() ? 0 : folder.rfind('/'));
      continue;
    }
    const std::string path = StrCat(folder, "/", name);
    const bool is_last = parts.empty();
    if (!is_last && IsFolder(path)) {
      folder = path;
      continue;
    }
    // Watched first, and then looked at: what changes afterwards is told.
    const absl::Status watched = WatchName(folder.empty() ? "/" : folder, name, watches);
    if (!watched.ok()) {
      if (is_last && is_own) return watched;
      LogWarning(file, ": changes may go unnoticed: ", ToTransportError(watched).message);
    }
    const std::filesystem::path target = std::filesystem::read_symlink(path, error);
    if (error) {  // No link.
      if (is_last) return absl::OkStatus();
      if (IsFolder(path)) {
        folder = path;
        continue;
      }
      struct stat status {};
      const int err = ::lstat(path.c_str(), &status) == 0 ? ENOTDIR : errno;
      return is_own ? ErrnoToStatus(err, "inotify_add_watch", path) : absl::OkStatus();
    }
    if (++link_count > kMostLinks) {
      return is_own ? ErrnoToStatus(ELOOP, "inotify_add_watch", file) : absl::OkStatus();
    }
    is_own &= !is_last;
    if (target.is_absolute()) folder.clear();
    for (std::string& part : PartsFromTheEnd(target)) parts.push_back(std::move(part));
  }
  return absl::OkStatus();
}

absl::Status FileWatcher::WatchName(const std::string& folder, const std::string& name, Watches& watches) const {
  const int number = ::inotify_add_watch(fd_.get(), folder.c_str(), kEvents);
  const int err = errno;
  if (number < 0) return ErrnoToStatus(err, "inotify_add_watch", folder);
  watches[number].insert(name);
  return absl::OkStatus();
}

void FileWatcher::OnReadable() {
  alignas(inotify_event) char events[4096];
  bool concerns = false;
  for (ssize_t size = 0; (size = ::read(fd_.get(), events, sizeof(events))) > 0;) {
    for (ssize_t offset = 0; offset < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(events + offset);
      const auto found = watches_.find(event->wd);
      if (found == watches_.end()) {
        concerns |= (event->mask & IN_Q_OVERFLOW) != 0;
      } else if ((event->mask & IN_IGNORED) == 0) {
        // Without a name: the folder itself.
        concerns |= event->len == 0 || found->second.contains(event->name);
      }
      offset += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
  if (!concerns) return;
  const TimePoint now = reactor_.Time();
  if (timer_ == 0) {
    first_change_ = now;
  } else {
    reactor_.CancelTimer(timer_);
  }
  timer_ = reactor_.CallAt(std::min(now + kQuiet, first_change_ + kLongestDelay), [this] {
    timer_ = 0;
    // Before they are read: what changes while they are is told again.
    if (const absl::Status status = Renew(); !status.ok()) {
      LogWarning("changes of a file may go unnoticed: ", ToTransportError(status).message);
    }
    on_change_();
  });
}

}  // namespace transportd
