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

  // Makes `link` lead to `target`, at once, as mv -T does with a link that was made beside it.
  void Link(const std::string& target, const std::string& link) {
    const std::string beside = folder_.Path("beside");
    ASSERT_EQ(::symlink(target.c_str(), beside.c_str()), 0);
    ASSERT_EQ(std::rename(beside.c_str(), folder_.Path(link).c_str()), 0);
  }
  void MakeFolder(const std::string& name) { ASSERT_EQ(::mkdir(folder_.Path(name).c_str(), 0700), 0); }
  // Whether there was one more call since the last question.
  bool IsTold() {
    return RunUntil([&] { return told_count_ > asked_count_; }) && told_count_ == ++asked_count_;
  }
  // Whether nothing has happened that there will be a call of.
  bool IsQuiet() {
    reactor().RunOnce(std::chrono::milliseconds(0));
    return reactor().GetCounts().timers == 0u;
  }

  const TempDir folder_;
  int told_count_ = 0;
  int asked_count_ = 0;
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
  for (const char* version : {"v1", "v2", "v3"}) {
    MakeFolder(version);
    folder_.WriteFile(std::string(version) + "/policy", version);
  }
  Link("v1", "..data");
  ASSERT_EQ(::symlink("..data/policy", folder_.Path("policy").c_str()), 0);
  const auto watcher = Watch({folder_.Path("policy")});
  for (const char* version : {"v2", "v3", "v1"}) {
    Link(version, "..data");
    EXPECT_TRUE(IsTold()) << version;
  }
}

// PATH/current/policy, where `current` is a link.
TEST_F(FileWatcherTest, TellsOfALinkOnTheWayEachTimeThatItIsSwapped) {
  for (const char* version : {"v1", "v2", "v3"}) {
    MakeFolder(version);
    folder_.WriteFile(std::string(version) + "/policy", version);
  }
  Link("v1", "current");
  const auto watcher = Watch({folder_.Path("current/policy")});
  for (const char* version : {"v2", "v3", "v1"}) {
    Link(version, "current");
    EXPECT_TRUE(IsTold()) << version;
    folder_.WriteFile(std::string(version) + "/policy", "b");
    EXPECT_TRUE(IsTold()) << "what it leads to";
  }
  folder_.WriteFile("v3/policy", "c");
  EXPECT_TRUE(IsQuiet()) << "it leads there no more";
}

// current -> ABSOLUTE/stages/now/../now -> ../v1, and v1/policy -> ../files/p1.
TEST_F(FileWatcherTest, TellsOfEveryLinkOfAChain) {
  for (const char* name : {"v1", "v2", "stages", "files", "rl"}) MakeFolder(name);
  for (const char* name : {"files/p1", "files/p2", "v2/policy"}) folder_.WriteFile(name, name);
  Link("../v1", "stages/now");
  Link("../files/p1", "v1/policy");
  Link(folder_.Path("stages/./now/../stages/now/"), "rl/current");
  const auto watcher = Watch({folder_.Path("rl/current/policy")});
  folder_.WriteFile("files/p1", "x");
  EXPECT_TRUE(IsTold());
  Link("../files/p2", "v1/policy");
  EXPECT_TRUE(IsTold());
  folder_.WriteFile("files/p2", "x");
  EXPECT_TRUE(IsTold());
  Link("../v2", "stages/now");
  EXPECT_TRUE(IsTold());
  Link("../v1", "rl/current");
  EXPECT_TRUE(IsTold());
  Link("../v2", "stages/now");
  EXPECT_TRUE(IsQuiet());
}

TEST_F(FileWatcherTest, TellsOfALinkThatLeadsNowhereForAWhile) {
  MakeFolder("v1");
  folder_.WriteFile("v1/policy", "a");
  Link("v1", "current");
  const auto watcher = Watch({folder_.Path("current/policy")});
  testing::internal::CaptureStderr();
  Link("v2", "current");
  EXPECT_TRUE(IsTold());
  MakeFolder("v2");
  EXPECT_TRUE(IsTold());
  folder_.WriteFile("v2/policy", "b");
  EXPECT_TRUE(IsTold());
  (void)testing::internal::GetCapturedStderr();
}

TEST_F(FileWatcherTest, TellsOfAFolderThatAnotherTakesThePlaceOf) {
  for (const char* name : {"now", "next"}) {
    MakeFolder(name);
    folder_.WriteFile(std::string(name) + "/policy", name);
  }
  const auto watcher = Watch({folder_.Path("now/policy")});
  ASSERT_EQ(std::rename(folder_.Path("now").c_str(), folder_.Path("old").c_str()), 0);
  ASSERT_EQ(std::rename(folder_.Path("next").c_str(), folder_.Path("now").c_str()), 0);
  EXPECT_TRUE(IsTold());
  folder_.WriteFile("now/policy", "b");
  EXPECT_TRUE(IsTold());
}

TEST_F(FileWatcherTest, OtherFilesAreWatchedWhenTold) {
  for (const char* name : {"a", "b"}) MakeFolder(name);
  const auto watcher = Watch({folder_.Path("a/policy")});
  folder_.WriteFile("b/policy", "b");
  EXPECT_TRUE(IsQuiet()) << "of that name in another folder";
  const std::vector<std::string> files = {folder_.Path("b/policy")};
  watcher->SetFiles(files);
  folder_.WriteFile("a/policy", "a");
  EXPECT_TRUE(IsQuiet());
  folder_.WriteFile("b/policy", "c");
  EXPECT_TRUE(IsTold());
}

TEST_F(FileWatcherTest, LinksThatGoRoundAreAnError) {
  Link("loop", "loop");
  const std::vector<std::string> files = {folder_.Path("loop/policy")};
  EXPECT_THAT(FileWatcher::Create(reactor(), files, [] {}), HasReason("ELOOP"));
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
