#include "tests/conformance/service_process.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "gtest/gtest.h"
#include "tests/conformance/loop_under_test.h"
#include "tests/support/test_certificates.h"
#include "transports/base/check.h"
#include "transports/base/str_cat.h"
#include "transports/base/unique_fd.h"

namespace transportd::conformance {

namespace {
constexpr int kStartMilliseconds = 30'000;

std::string MakeDirectory() {
  std::string directory = (std::filesystem::temp_directory_path() / "conformance-XXXXXX").string();
  CHECK(mkdtemp(directory.data()) != nullptr);
  return directory;
}

}  // namespace

ServiceProcess::ServiceProcess() : directory_(MakeDirectory()) {
  const std::string chain_file = directory_ + "/chain.pem";
  const std::string key_file = directory_ + "/key.pem";
  std::ofstream(chain_file) << SharedTestIdentity().chain_pem;
  std::ofstream(key_file) << SharedTestIdentity().key_pem;
  Start({"--dev", "--listen=127.0.0.1:0", StrCat("--tls-identity=", kTlsIdentity, "=", chain_file, ",", key_file)});
}

ServiceProcess::ServiceProcess(const std::vector<std::string>& flags) : directory_(MakeDirectory()) { Start(flags); }

void ServiceProcess::Start(const std::vector<std::string>& flags) {
  const std::string address_file = directory_ + "/address";
  const UniqueFd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  CHECK(inotify_add_watch(watch.get(), directory_.c_str(), IN_MOVED_TO) >= 0);

  // A test that crashes takes it along.
  std::vector<std::string> words = {"setpriv", "--pdeathsig=KILL", CONFORMANCE_SERVICE,
                                    "--address-file=" + address_file};
  words.insert(words.end(), flags.begin(), flags.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  CHECK(posix_spawnp(&pid_, arguments[0], nullptr, nullptr, arguments.data(), environ) == 0);

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
