#include "tests/conformance/service_process.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"
#include "transports/base/check.h"
#include "transports/base/unique_fd.h"

namespace transportd::conformance {

namespace {
constexpr int kStartMilliseconds = 30'000;
}  // namespace

ServiceProcess::ServiceProcess() {
  directory_ = (std::filesystem::temp_directory_path() / "conformance-XXXXXX").string();
  CHECK(mkdtemp(directory_.data()) != nullptr);
  const std::string address_file = directory_ + "/address";
  const UniqueFd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  CHECK(inotify_add_watch(watch.get(), directory_.c_str(), IN_MOVED_TO) >= 0);

  std::string program = CONFORMANCE_SERVICE;
  std::string options[] = {"--dev", "--listen=127.0.0.1:0", "--address-file=" + address_file};
  char* arguments[] = {program.data(), options[0].data(), options[1].data(), options[2].data(), nullptr};
  CHECK(posix_spawn(&pid_, program.c_str(), nullptr, nullptr, arguments, environ) == 0);

  // The file appears whole, under its name.
  pollfd appears{.fd = watch.get(), .events = POLLIN, .revents = 0};
  CHECK(poll(&appears, 1, kStartMilliseconds) == 1);
  std::ifstream file(address_file);
  CHECK(static_cast<bool>(std::getline(file, target_)));
}

ServiceProcess::~ServiceProcess() {
  kill(pid_, SIGTERM);
  int status = 0;
  EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "wait status " << status;
  std::filesystem::remove_all(directory_);
}

}  // namespace transportd::conformance
