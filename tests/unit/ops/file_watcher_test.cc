#include "server/ops/file_watcher.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace transportd {
namespace {

class FileWatcherTest : public LoopFixture {
 protected:
  std::unique_ptr<FileWatcher> Watch(const std::vector<std::string>& files) {
    auto watcher = FileWatcher::Create(reactor(), files, [this] { ++told_count_; });
    EXPECT_THAT(watcher, IsOk());
    return *std::move(watcher);
  }

  const TempDir folder_;
  int told_count_ = 0;
};

TEST_F(FileWatcherTest, TellsOfAFileThatIsWrittenAgain) {
  const std::string file = folder_.WriteFile("policy", "a");
  const auto watcher = Watch({file});
  folder_.WriteFile("policy", "b");
  folder_.WriteFile("policy", "c");
  EXPECT_TRUE(RunUntil([&] { return told_count_ > 0; }));
  EXPECT_EQ(told_count_, 1);
}

TEST_F(FileWatcherTest, TellsOfAFileThatIsRenamedOverIt) {
  const std::string file = folder_.WriteFile("policy", "a");
  const std::string next = folder_.WriteFile("next", "b");
  const auto watcher = Watch({file});
  ASSERT_EQ(std::rename(next.c_str(), file.c_str()), 0);
  EXPECT_TRUE(RunUntil([&] { return told_count_ > 0; }));
}

// As Kubernetes swaps what a volume shows: NAME -> ..data/NAME, and ..data -> the version.
TEST_F(FileWatcherTest, TellsOfALinkedFolderThatIsSwapped) {
  for (const char* version : {"/v1", "/v2"}) ASSERT_EQ(::mkdir((folder_.path() + version).c_str(), 0700), 0);
  folder_.WriteFile("v1/policy", "a");
  folder_.WriteFile("v2/policy", "b");
  ASSERT_EQ(::symlink("v1", (folder_.path() + "/..data").c_str()), 0);
  ASSERT_EQ(::symlink("..data/policy", (folder_.path() + "/policy").c_str()), 0);
  const auto watcher = Watch({folder_.path() + "/policy"});
  ASSERT_EQ(::symlink("v2", (folder_.path() + "/..data_tmp").c_str()), 0);
  ASSERT_EQ(std::rename((folder_.path() + "/..data_tmp").c_str(), (folder_.path() + "/..data").c_str()), 0);
  EXPECT_TRUE(RunUntil([&] { return told_count_ > 0; }));
}

TEST_F(FileWatcherTest, TellsOfAFileThatComesLater) {
  const auto watcher = Watch({folder_.path() + "/policy"});
  folder_.WriteFile("policy", "a");
  EXPECT_TRUE(RunUntil([&] { return told_count_ > 0; }));
}

TEST_F(FileWatcherTest, OtherFilesOfTheFolderAreNoMatter) {
  const std::string file = folder_.WriteFile("policy", "a");
  const auto watcher = Watch({file});
  folder_.WriteFile("log", "x");
  reactor().RunOnce(std::chrono::milliseconds(0));
  EXPECT_EQ(reactor().GetCounts().timers, 0u);
  folder_.WriteFile("policy", "b");
  EXPECT_TRUE(RunUntil([&] { return told_count_ > 0; }));
}

TEST_F(FileWatcherTest, AFolderThatIsNotThereIsAnError) {
  const std::vector<std::string> files = {folder_.path() + "/none/policy"};
  EXPECT_THAT(FileWatcher::Create(reactor(), files, [] {}), HasReason("ENOENT"));
}

TEST_F(FileWatcherTest, NothingIsToldBehindItsEnd) {
  const std::string file = folder_.WriteFile("policy", "a");
  auto watcher = Watch({file});
  folder_.WriteFile("policy", "b");
  reactor().RunOnce(std::chrono::milliseconds(0));
  watcher.reset();
  EXPECT_EQ(reactor().GetCounts().timers, 0u);
  EXPECT_EQ(told_count_, 0);
}

}  // namespace
}  // namespace transportd
