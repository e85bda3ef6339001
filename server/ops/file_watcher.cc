#include "server/ops/file_watcher.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "transports/api/error.h"

namespace transportd {
namespace {

constexpr uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB;

}  // namespace

absl::StatusOr<std::unique_ptr<FileWatcher>> FileWatcher::Create(Reactor& reactor, std::span<const std::string> files,
                                                                 absl::AnyInvocable<void()> on_change) {
  UniqueFd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  const int err = errno;
  if (!fd.valid()) return ErrnoToStatus(err, "inotify_init1", "");
  auto watcher = std::unique_ptr<FileWatcher>(new FileWatcher(reactor, std::move(fd), std::move(on_change)));
  for (const std::string& file : files) {
    if (absl::Status status = watcher->WatchFolderOf(file); !status.ok()) return status;
    std::error_code error;
    const std::string target = std::filesystem::canonical(file, error).string();
    if (error) continue;  // Its own folder tells when it is there.
    if (absl::Status status = watcher->WatchFolderOf(target); !status.ok()) return status;
  }
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

absl::Status FileWatcher::WatchFolderOf(const std::string& file) {
  const std::filesystem::path parent = std::filesystem::path(file).parent_path();
  const std::string folder = parent.empty() ? std::string(1, '.') : parent.string();
  names_.push_back(std::filesystem::path(file).filename().string());
  if (::inotify_add_watch(fd_.get(), folder.c_str(), kEvents) >= 0) return absl::OkStatus();
  const int err = errno;
  return ErrnoToStatus(err, "inotify_add_watch", folder);
}

bool FileWatcher::IsOfAFile(std::string_view name) const {
  // Kubernetes swaps `..data`, which the files are links into.
  return name.starts_with("..") || std::find(names_.begin(), names_.end(), name) != names_.end();
}

void FileWatcher::OnReadable() {
  alignas(inotify_event) char events[4096];
  bool concerns = false;
  for (ssize_t size = 0; (size = ::read(fd_.get(), events, sizeof(events))) > 0;) {
    for (ssize_t offset = 0; offset < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(events + offset);
      concerns |= event->len == 0 || IsOfAFile(event->name);  // Without a name: the folder itself, or an overflow.
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
    on_change_();
  });
}

}  // namespace transportd
