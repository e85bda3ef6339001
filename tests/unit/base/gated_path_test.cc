#include "transports/base/gated_path.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_gate.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace transportd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

absl::StatusOr<UniqueFd> Pin(const std::string& path) { return PinPath(path, "open", path); }

// A system call that this thread's kernel has not, from now on.
void TakeAway(unsigned number) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = std::size(filter), .filter = filter};
  ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

TEST(PinPath, NamesWhatIsThereWhateverBecomesOfThePath) {
  const TempDir directory;
  const std::string path = directory.WriteFile("f", "first");
  const auto pin = Pin(path);
  ASSERT_THAT(pin, IsOk());
  EXPECT_NE(::fcntl(pin->get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_NE(::fcntl(pin->get(), F_GETFL) & O_PATH, 0);
  ASSERT_EQ(::unlink(path.c_str()), 0);
  directory.WriteFile("f", "second");
  const UniqueFd opened(::open(PinnedName(pin->get()).c_str(), O_RDONLY | O_CLOEXEC));
  char content[10] = {};
  EXPECT_EQ(::read(opened.get(), content, sizeof(content)), 5);
  EXPECT_STREQ(content, "first");
}

TEST(PinPath, LinkAnywhereInThePathIsRefused) {
  const TempDir directory;
  ASSERT_EQ(::mkdir(directory.Path("a").c_str(), 0700), 0);
  ASSERT_EQ(::mkdir(directory.Path("a/b").c_str(), 0700), 0);
  directory.WriteFile("a/b/f", "");
  ASSERT_EQ(::symlink("a", directory.Path("la").c_str()), 0);
  ASSERT_EQ(::symlink("b", directory.Path("a/lb").c_str()), 0);
  ASSERT_EQ(::symlink("f", directory.Path("a/b/lf").c_str()), 0);
  ASSERT_EQ(::symlink("nowhere", directory.Path("a/b/dangling").c_str()), 0);
  EXPECT_THAT(Pin(directory.Path("a/b/f")), IsOk());
  EXPECT_THAT(Pin(directory.Path("a/b/../b/f")), IsOk());
  for (const char* name : {"la/b/f", "a/lb/f", "a/b/lf", "a/b/dangling", "la/lb/lf"}) {
    EXPECT_THAT(Pin(directory.Path(name)), HasReason("ELOOP")) << name;
  }
  // What proc(5) has for a descriptor is a link too.
  const auto pin = Pin(directory.Path("a"));
  EXPECT_THAT(Pin(PinnedName(pin->get())), HasReason("ELOOP"));
}

TEST(PinPath, OtherFailuresAreTheKernels) {
  const TempDir directory;
  EXPECT_THAT(Pin(directory.Path("none")), HasReason("ENOENT"));
  EXPECT_THAT(Pin(directory.WriteFile("f", "") + "/below"), HasReason("ENOTDIR"));
  EXPECT_THAT(Pin(""), HasReason("ENOENT"));
}

TEST(PinPath, KernelWithoutTheCallIsToldApart) {
  const TempDir directory;
  std::thread([&] {
    TakeAway(SYS_openat2);
    const auto pin = Pin(directory.path());
    EXPECT_THAT(pin, HasReason("ENOSYS"));
    EXPECT_THAT(std::string(pin.status().message()), HasSubstr("openat2"));
  }).join();
}

TEST(AllowToOpen, WithoutAGateThePathIsThePath) {
  const auto allowed = AllowToOpen("/none", /*is_write=*/true, nullptr, "/none");
  ASSERT_THAT(allowed, IsOk());
  EXPECT_EQ(allowed->path, "/none");
  EXPECT_FALSE(allowed->pin.valid());
}

TEST(AllowToOpen, AsksForTheDirection) {
  FakeGate gate;
  EXPECT_THAT(AllowToOpen("/a", /*is_write=*/true, &gate, "/a"), IsOk());
  EXPECT_THAT(AllowToOpen("/b", /*is_write=*/false, &gate, "/b"), IsOk());
  EXPECT_THAT(gate.asked(), ElementsAre("write /a", "read /b"));
  gate.Refuse("read");
  EXPECT_THAT(AllowToOpen("/b", /*is_write=*/false, &gate, "/b"), HasReason("POLICY_DENIED"));
}

TEST(AllowToOpen, RefusalComesBeforeALookAtThePath) {
  FakeGate gate;
  gate.forbids_symlinks = true;
  gate.Refuse("read");
  EXPECT_THAT(AllowToOpen("/none", /*is_write=*/false, &gate, "/none"), HasReason("POLICY_DENIED"));
  gate.refuses = nullptr;
  EXPECT_THAT(AllowToOpen("/none", /*is_write=*/false, &gate, "/none"), HasReason("ENOENT"));
  const TempDir directory;
  const auto allowed = AllowToOpen(directory.path(), /*is_write=*/false, &gate, directory.path());
  ASSERT_THAT(allowed, IsOk());
  EXPECT_EQ(allowed->path, PinnedName(allowed->pin.get()));
}

}  // namespace
}  // namespace transportd
