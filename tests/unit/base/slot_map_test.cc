#include "transports/base/slot_map.h"

#include <memory>
#include <set>

#include "gtest/gtest.h"

namespace transportd {
namespace {

TEST(SlotMap, FindsWhatWasInserted) {
  SlotMap<int> map;
  const uint64_t a = map.Insert(1);
  const uint64_t b = map.Insert(2);
  EXPECT_EQ(*map.Find(a), 1);
  EXPECT_EQ(*map.Find(b), 2);
  EXPECT_EQ(map.size(), 2u);
}

TEST(SlotMap, ErasedIdFindsNothingEvenWhenItsSlotIsUsedAgain) {
  SlotMap<int> map;
  const uint64_t first = map.Insert(1);
  EXPECT_EQ(map.Erase(first), 1);
  EXPECT_EQ(map.Find(first), nullptr);
  const uint64_t second = map.Insert(2);
  EXPECT_EQ(map.Find(first), nullptr);
  EXPECT_EQ(*map.Find(second), 2);
}

TEST(SlotMap, NoIdIsGivenTwice) {
  SlotMap<int> map;
  std::set<uint64_t> ids;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t id = map.Insert(i);
    EXPECT_TRUE(ids.insert(id).second);
    if (i % 3 != 0) map.Erase(id);
  }
}

TEST(SlotMap, InventedIdsFindNothing) {
  SlotMap<int> map;
  map.Insert(1);
  for (uint64_t id : {uint64_t{0}, uint64_t{1}, ~uint64_t{0}, uint64_t{1} << 63}) EXPECT_EQ(map.Find(id), nullptr);
}

TEST(SlotMap, EraseLetsGoOfTheValue) {
  SlotMap<std::shared_ptr<int>> map;
  auto value = std::make_shared<int>(1);
  const uint64_t id = map.Insert(value);
  map.Erase(id);
  EXPECT_EQ(value.use_count(), 1);
}

TEST(SlotMapDeathTest, ErasingTwiceAborts) {
  SlotMap<int> map;
  const uint64_t id = map.Insert(1);
  map.Erase(id);
  EXPECT_DEATH(map.Erase(id), "CHECK failed");
}

}  // namespace
}  // namespace transportd
