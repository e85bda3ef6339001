#include "server/policy/principal_map.h"

#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace transportd {
namespace {

using testing::ElementsAre;

struct Letters {
  std::multiset<char> letters;
  void Merge(const Letters& other) { letters.insert(other.letters.begin(), other.letters.end()); }
};

TEST(PrincipalMap, GivesWhatEveryFittingPatternGivesOnce) {
  PrincipalMap<Letters> map;
  map.Add("*").letters.insert('a');
  map.Add("spiffe://x/*").letters.insert('b');
  map.Add("spiffe://x/ns/*").letters.insert('c');
  map.Add("spiffe://x/ns/ci").letters.insert('d');
  map.Add("spiffe://y/*").letters.insert('e');
  map.Complete();
  EXPECT_THAT(map.Find("spiffe://x/ns/ci")->letters, ElementsAre('a', 'b', 'c', 'd'));
  EXPECT_THAT(map.Find("spiffe://x/ns/cd")->letters, ElementsAre('a', 'b', 'c'));
  EXPECT_THAT(map.Find("spiffe://x/ns/")->letters, ElementsAre('a', 'b', 'c'));
  EXPECT_THAT(map.Find("spiffe://x/ns")->letters, ElementsAre('a', 'b'));
  EXPECT_THAT(map.Find("spiffe://y/")->letters, ElementsAre('a', 'e'));
  EXPECT_THAT(map.Find("z")->letters, ElementsAre('a'));
}

TEST(PrincipalMap, FindsNothingThatWasNotGiven) {
  PrincipalMap<Letters> map;
  map.Add("alice").letters.insert('a');
  map.Add("bob*").letters.insert('b');
  map.Complete();
  EXPECT_EQ(map.Find("alic"), nullptr);
  EXPECT_EQ(map.Find("alice2"), nullptr);
  EXPECT_EQ(map.Find("bo"), nullptr);
  EXPECT_EQ(map.Find(""), nullptr);
  EXPECT_NE(map.Find("bob"), nullptr);
}

}  // namespace
}  // namespace transportd
