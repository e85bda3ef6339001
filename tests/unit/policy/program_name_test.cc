#include "server/policy/program_name.h"

#include <unistd.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/policy/real_paths.h"
#include "tests/support/temp_dir.h"

namespace transportd {
namespace {

TEST(IsNameOfProgram, ItsOwn) {
  for (const char* name : {"true", "/usr/bin/true", "x/true", "/nowhere/true"}) {
    EXPECT_TRUE(IsNameOfProgram(name, "/usr/bin/true")) << name;
  }
  for (const char* name : {"false", "", "/usr/bin/true/", "-true", ".", "..", "/", "/usr/bin"}) {
    EXPECT_FALSE(IsNameOfProgram(name, "/usr/bin/true")) << name;
  }
  EXPECT_FALSE(IsNameOfProgram("true", ""));
}

TEST(IsNameOfProgram, ThoseThatTheHostHas) {
  const std::string shell = RealPath("/bin/sh");
  for (const char* name : {"sh", "/bin/sh", "/tmp/sh"}) EXPECT_TRUE(IsNameOfProgram(name, shell)) << name;
  EXPECT_FALSE(IsNameOfProgram("sh", "/usr/bin/true"));
}

TEST(IsNameOfProgram, OfLinksOnlyThoseBesideIt) {
  const TempDir dir;
  const std::string folder = RealPath(dir.path());
  const std::string program = RealPath(dir.WriteFile("tool-1.2", ""));
  ASSERT_EQ(::symlink("tool-1.2", (folder + "/tool").c_str()), 0);
  const TempDir other;
  ASSERT_EQ(::symlink(program.c_str(), (other.path() + "/applet").c_str()), 0);
  EXPECT_TRUE(IsNameOfProgram(folder + "/tool", program));
  EXPECT_TRUE(IsNameOfProgram("tool", program));
  EXPECT_FALSE(IsNameOfProgram(other.path() + "/applet", program));
}

}  // namespace
}  // namespace transportd
