#include "server/policy/confinement_of.h"

#include <chrono>

#include "gtest/gtest.h"

namespace transportd {
namespace {

TEST(Confinement, WithinIsWhatMayDoNoMore) {
  Confinement running;
  running.read_paths = {"/srv/data/in", "/opt/"};
  running.write_paths = {"/srv/out"};
  EXPECT_TRUE(IsWithin(running, running));
  Confinement wider = running;
  wider.network = Confinement::Network::kHost;
  wider.level = Confinement::Level::kBestEffort;
  wider.read_paths = {"/srv/data/", "/opt", "/home"};
  EXPECT_TRUE(IsWithin(running, wider));
  EXPECT_FALSE(IsWithin(wider, running));

  Confinement now = running;
  now.limits.wall_time = std::chrono::seconds(1);
  EXPECT_TRUE(IsWithin(running, now));
  now.write_paths = {"/srv"};
  now.read_paths = {"/opt"};
  EXPECT_TRUE(IsWithin(running, now));  // What may be written may be read.
}

TEST(Confinement, NotWithinIsEachThingThatIsTakenAway) {
  Confinement running;
  running.network = Confinement::Network::kHost;
  running.level = Confinement::Level::kBestEffort;
  running.read_paths = {"/srv/in"};
  running.write_paths = {"/srv/out"};
  Confinement now = running;
  now.network = Confinement::Network::kNone;
  EXPECT_FALSE(IsWithin(running, now));
  now = running;
  now.level = Confinement::Level::kRequired;
  EXPECT_FALSE(IsWithin(running, now));
  now = running;
  now.read_paths = {"/srv/in/a", "/srv/input"};
  EXPECT_FALSE(IsWithin(running, now));
  now = running;
  now.write_paths = {};
  now.read_paths = {"/srv"};
  EXPECT_FALSE(IsWithin(running, now));
}

}  // namespace
}  // namespace transportd
