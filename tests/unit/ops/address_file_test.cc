#include "server/ops/address_file.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace transportd {
namespace {

TEST(AddressFile, HoldsOneAddressALineAndGoesWithItsOwner) {
  char name[] = "/tmp/address_file_test.XXXXXX";
  const std::string folder = mkdtemp(name);
  const std::string path = folder + "/address";
  std::ofstream(path) << "something older, and longer than what follows it, by far";
  {
    auto file = AddressFile::Create(path, {"127.0.0.1:1", "unix:/x"});
    ASSERT_THAT(file, IsOk());
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    EXPECT_EQ(text.str(), "127.0.0.1:1\nunix:/x\n");
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  rmdir(folder.c_str());
}

TEST(AddressFile, FolderThatIsNotThereIsTheKernelsError) {
  EXPECT_THAT(AddressFile::Create("/nonexistent/folder/address", {"x"}), HasReason("ENOENT"));
}

}  // namespace
}  // namespace transportd
