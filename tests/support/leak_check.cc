#include "tests/support/leak_check.h"

#include <dirent.h>
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

namespace transportd {

namespace {
// gRPC closes what was a channel's on threads of its own, and tells nobody.
constexpr int kClosingMilliseconds = 5000;
}  // namespace

std::map<int, std::string> OpenFds() {
  std::map<int, std::string> fds;
  std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir("/proc/self/fd"), closedir);
  if (directory == nullptr) return fds;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the directory is this function's own.
  while (const dirent* entry = readdir(directory.get())) {
    if (entry->d_name[0] == '.') continue;
    const int fd = std::atoi(entry->d_name);
    if (fd == dirfd(directory.get())) continue;
    char target[256];
    const ssize_t size = readlinkat(dirfd(directory.get()), entry->d_name, target, sizeof(target));
    fds[fd] = size < 0 ? "?" : std::string(target, static_cast<size_t>(size));
  }
  return fds;
}

void FdLeakListener::OnTestStart(const testing::TestInfo&) { before_ = OpenFds(); }

void FdLeakListener::OnTestEnd(const testing::TestInfo& test) {
  const auto leaked = [this] {
    std::map<int, std::string> fds = OpenFds();
    std::erase_if(fds, [this](const auto& fd) {
      const auto known = before_.find(fd.first);
      return known != before_.end() && known->second == fd.second;
    });
    return fds;
  };
  std::map<int, std::string> fds = leaked();
  for (int left = kClosingMilliseconds; left > 0 && !fds.empty(); --left) {
    poll(nullptr, 0, 1);
    fds = leaked();
  }
  for (const auto& [fd, target] : fds) {
    ADD_FAILURE() << test.test_suite_name() << "." << test.name() << " leaked descriptor " << fd << " -> " << target;
  }
}

}  // namespace transportd
