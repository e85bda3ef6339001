#include "transports/sendfile/source_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_gate.h"
#include "tests/support/no_descriptor_limit.h"
#include "tests/support/raw_peer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "transports/api/error.h"

namespace transportd {
namespace {

using testing::AllOf;

TEST(SourceFile, ReadsWhatIsThere) {
  const TempDir directory;
  const auto file = SourceFile::Open(directory.WriteFile("f", "0123456789"), kNoDescriptorLimit);
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(*(*file)->Read(0, 4), "0123");
  EXPECT_EQ(*(*file)->Read(8, 4), "89");
  EXPECT_EQ(*(*file)->Read(10, 4), "");
  EXPECT_EQ(*(*file)->Read(1000, 4), "");
  EXPECT_EQ(*(*file)->Prefetch(0, 4), 4u);
  EXPECT_EQ(*(*file)->Prefetch(8, 1000000), 2u);
  EXPECT_EQ(*(*file)->Prefetch(10, 4), 0u);
  EXPECT_NE(::fcntl((*file)->fd(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(SourceFile, PrefetchOfMoreThanOnePiece) {
  const TempDir directory;
  const auto file = SourceFile::Open(directory.WriteFile("f", std::string(1000000, 'x')), kNoDescriptorLimit);
  EXPECT_EQ(*(*file)->Prefetch(1, 500000), 500000u);
  EXPECT_EQ(*(*file)->Prefetch(1, 2000000), 999999u);
}

TEST(SourceFile, OnlyRegularFiles) {
  const TempDir directory;
  ASSERT_EQ(::mkfifo(directory.Path("fifo").c_str(), 0600), 0);
  const RawListener listener(UnixAddress(directory.Path("socket")));
  for (const std::string& path :
       {directory.path(), directory.Path("fifo"), directory.Path("socket"), std::string("/dev/zero")}) {
    EXPECT_THAT(SourceFile::Open(path, kNoDescriptorLimit), AllOf(HasReason("NOT_A_REGULAR_FILE"), HasField("path")))
        << path;
  }
}

TEST(SourceFile, Failures) {
  const TempDir directory;
  const auto missing = SourceFile::Open(directory.Path("none\x01"), kNoDescriptorLimit);
  EXPECT_THAT(missing, AllOf(StatusIs(absl::StatusCode::kNotFound), HasReason("ENOENT")));
  EXPECT_EQ(ToTransportError(missing.status()).operation, "open");
  EXPECT_EQ(ToTransportError(missing.status()).address, directory.Path("none\\x01"));
  EXPECT_THAT(SourceFile::Open(directory.WriteFile("f", ""), 1), HasReason("EMFILE"));
}

TEST(SourceFile, GateIsAskedBeforeTheFileIsLookedAt) {
  const TempDir directory;
  FakeGate gate;
  gate.Refuse("read");
  EXPECT_THAT(SourceFile::Open("/none", kNoDescriptorLimit, &gate), HasReason("POLICY_DENIED"));
  EXPECT_THAT(gate.asked(), testing::ElementsAre("read /none"));
  gate.refuses = nullptr;
  EXPECT_THAT(SourceFile::Open(directory.WriteFile("f", "x"), kNoDescriptorLimit, &gate), IsOk());
}

TEST(SourceFile, WithoutSymbolicLinksOnlyThePathItselfIsOpened) {
  const TempDir directory;
  FakeGate gate;
  gate.forbids_symlinks = true;
  const auto file = SourceFile::Open(directory.WriteFile("f", "0123"), kNoDescriptorLimit, &gate);
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(*(*file)->Read(0, 10), "0123");
  EXPECT_EQ((*file)->path(), directory.Path("f"));
  ASSERT_EQ(::symlink("f", directory.Path("to_f").c_str()), 0);
  ASSERT_EQ(::symlink(".", directory.Path("link").c_str()), 0);
  for (const char* name : {"to_f", "link/f"}) {
    EXPECT_THAT(SourceFile::Open(directory.Path(name), kNoDescriptorLimit, &gate), HasReason("ELOOP")) << name;
  }
  EXPECT_THAT(SourceFile::Open(directory.path(), kNoDescriptorLimit, &gate), HasReason("NOT_A_REGULAR_FILE"));
  EXPECT_THAT(SourceFile::Open("/dev/zero", kNoDescriptorLimit, &gate), HasReason("NOT_A_REGULAR_FILE"));
}

}  // namespace
}  // namespace transportd
