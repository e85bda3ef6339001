#include "tests/support/leak_check.h"

#include <dirent.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

namespace transportd {

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
  for (const auto& [fd, target] : OpenFds()) {
    auto known = before_.find(fd);
    if (known != before_.end() && known->second == target) continue;
    ADD_FAILURE() << test.test_suite_name() << "." << test.name() << " leaked descriptor " << fd << " -> " << target;
  }
}

}  // namespace transportd
