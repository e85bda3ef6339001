#include "server/ops/process_status.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

namespace transportd {
namespace {

uint64_t ResidentBytes() {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/proc/self/statm", "re"), std::fclose);
  unsigned long size_pages = 0;
  unsigned long resident_pages = 0;
  if (file == nullptr || std::fscanf(file.get(), "%lu %lu", &size_pages, &resident_pages) != 2) return 0;
  return resident_pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

uint32_t OpenFdCount() {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc/self/fd"), ::closedir);
  if (folder == nullptr) return 0;
  uint32_t count = 0;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): of one stream, one thread.
  while (const dirent* const entry = ::readdir(folder.get())) count += entry->d_name[0] != '.' ? 1 : 0;
  return count - 1;  // But for the folder itself.
}

}  // namespace

v1::ProcessStatus GetProcessStatus() {
  v1::ProcessStatus status;
  status.set_resident_bytes(ResidentBytes());
  status.set_open_fd_count(OpenFdCount());
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) status.set_max_fd_count(limit.rlim_cur);
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) == 0) {
    const int64_t micros = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    status.mutable_cpu_time()->set_seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + micros / 1'000'000);
    status.mutable_cpu_time()->set_nanos(static_cast<int32_t>(micros % 1'000'000 * 1000));
  }
  return status;
}

}  // namespace transportd
