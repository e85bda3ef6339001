// Watches: AddWatch, SetWatch, RemoveWatch.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/raw_peer.h"
#include "transports/reactor/reactor.h"

namespace transportd {
namespace {

struct RecordingHandler final : FdHandler {
  void OnReadable() override {
    calls += "r";
    if (on_readable) on_readable();
  }
  void OnWritable() override {
    calls += "w";
    if (on_writable) on_writable();
  }
  std::string calls;
  std::function<void()> on_readable;
  std::function<void()> on_writable;
};

struct SocketPair {
  SocketPair() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    a.Reset(fds[0]);
    b.Reset(fds[1]);
  }
  void Send() { EXPECT_EQ(::send(b.get(), "x", 1, MSG_NOSIGNAL), 1); }
  UniqueFd a, b;
};

class FdWatch : public LoopFixture {
 protected:
  SocketPair pair_;
  RecordingHandler handler_;
};

TEST_F(FdWatch, NothingIsReportedBeforeSetWatch) {
  const WatchId watch = reactor().AddWatch(pair_.a.get(), handler_);
  pair_.Send();
  Turn(2);
  EXPECT_EQ(handler_.calls, "");
  reactor().RemoveWatch(watch);
}

TEST_F(FdWatch, ReadableIsLevelTriggeredOncePerTurn) {
  const WatchId watch = reactor().AddWatch(pair_.a.get(), handler_);
  reactor().SetWatch(watch, true, false);
  Turn();
  EXPECT_EQ(handler_.calls, "");
  pair_.Send();
  Turn(2);
  EXPECT_EQ(handler_.calls, "rr");
  reactor().RemoveWatch(watch);
}

TEST_F(FdWatch, BothWatchedAreReportedReadFirst) {
  const WatchId watch = reactor().AddWatch(pair_.a.get(), handler_);
  reactor().SetWatch(watch, true, true);
  pair_.Send();
  Turn();
  EXPECT_EQ(handler_.calls, "rw");
  reactor().SetWatch(watch, false, true);
  Turn();
  EXPECT_EQ(handler_.calls, "rww");
  reactor().RemoveWatch(watch);
}

TEST_F(FdWatch, HangUpIsReportedToWhatIsWatched) {
  const WatchId watch = reactor().AddWatch(pair_.a.get(), handler_);
  pair_.b.Reset();
  reactor().SetWatch(watch, true, false);
  Turn();
  EXPECT_EQ(handler_.calls, "r");
  reactor().SetWatch(watch, false, true);
  Turn();
  EXPECT_EQ(handler_.calls, "rw");
  reactor().RemoveWatch(watch);
}

TEST_F(FdWatch, HungUpDescriptorWithoutInterestDoesNotWakeTheLoop) {
  const WatchId watch = reactor().AddWatch(pair_.a.get(), handler_);
  reactor().SetWatch(watch, true, false);
  reactor().SetWatch(watch, false, false);
  pair_.b.Reset();
  int turns = 0;
  bool over = false;
  reactor().CallLater(std::chrono::milliseconds(20), [&] { over = true; });
  while (!over) {
    reactor().RunOnce(Duration(-1));
    ++turns;
  }
  EXPECT_EQ(handler_.calls, "");
  EXPECT_LE(turns, 3);  // One would do; a spinning loop makes thousands.
  reactor().SetWatch(watch, true, false);
  Turn();
  EXPECT_EQ(handler_.calls, "r");
  reactor().RemoveWatch(watch);
}

TEST_F(FdWatch, ResetOfATcpPeerIsReported) {
  TcpPair tcp = MakeTcpPair();
  const WatchId watch = reactor().AddWatch(tcp.first.get(), handler_);
  reactor().SetWatch(watch, true, false);
  RawPeer(std::move(tcp.second)).Reset();
  EXPECT_TRUE(RunUntil([&] { return !handler_.calls.empty(); }));
  reactor().RemoveWatch(watch);
}

TEST_F(FdWatch, HandlerThatEndsItsWatchWhileReadableIsNotCalledWritable) {
  WatchId watch = reactor().AddWatch(pair_.a.get(), handler_);
  reactor().SetWatch(watch, true, true);
  pair_.Send();
  handler_.on_readable = [&] { reactor().RemoveWatch(watch); };
  Turn(2);
  EXPECT_EQ(handler_.calls, "r");
}

TEST_F(FdWatch, HandlerThatStopsWatchingAnotherInTheSameTurnKeepsItQuiet) {
  SocketPair other_pair;
  RecordingHandler other;
  const WatchId watch = reactor().AddWatch(pair_.a.get(), handler_);
  const WatchId other_watch = reactor().AddWatch(other_pair.a.get(), other);
  reactor().SetWatch(watch, true, false);
  reactor().SetWatch(other_watch, true, false);
  pair_.Send();
  other_pair.Send();
  // Whichever comes first silences the other.
  handler_.on_readable = [&] { reactor().SetWatch(other_watch, false, false); };
  other.on_readable = [&] { reactor().SetWatch(watch, false, false); };
  Turn(2);
  EXPECT_TRUE((handler_.calls.empty()) != (other.calls.empty()));
  reactor().RemoveWatch(watch);
  reactor().RemoveWatch(other_watch);
}

TEST_F(FdWatch, EventOfAnEndedWatchNeverReachesTheNextOneOnTheSameDescriptorNumber) {
  SocketPair other_pair;
  RecordingHandler first, second, successor;
  std::vector<WatchId> watches = {reactor().AddWatch(pair_.a.get(), first),
                                  reactor().AddWatch(other_pair.a.get(), second)};
  reactor().SetWatch(watches[0], true, false);
  reactor().SetWatch(watches[1], true, false);
  pair_.Send();
  other_pair.Send();
  SocketPair fresh;
  // The first that is called ends the other's watch, closes its descriptor and puts a quiet one in its place, with
  // the same number and in the same slot.
  auto replace = [&](size_t victim, SocketPair& victim_pair) {
    reactor().RemoveWatch(watches[victim]);
    const int number = victim_pair.a.get();
    victim_pair.a.Reset();
    victim_pair.a.Reset(::fcntl(fresh.a.get(), F_DUPFD_CLOEXEC, number));
    EXPECT_EQ(victim_pair.a.get(), number);
    watches[victim] = reactor().AddWatch(number, successor);
    reactor().SetWatch(watches[victim], true, false);
  };
  first.on_readable = [&] { replace(1, other_pair); };
  second.on_readable = [&] { replace(0, pair_); };
  Turn();
  EXPECT_EQ(successor.calls, "");
  EXPECT_EQ(first.calls + second.calls, "r");
  for (WatchId watch : watches) reactor().RemoveWatch(watch);
}

TEST_F(FdWatch, HandlerMayAddManyWatches) {
  WatchId watch = reactor().AddWatch(pair_.a.get(), handler_);
  reactor().SetWatch(watch, true, true);
  pair_.Send();
  std::vector<SocketPair> pairs(200);
  std::vector<WatchId> added;
  RecordingHandler other;
  handler_.on_readable = [&] {
    for (SocketPair& pair : pairs) added.push_back(reactor().AddWatch(pair.a.get(), other));
  };
  Turn();
  EXPECT_EQ(handler_.calls, "rw");
  EXPECT_EQ(reactor().GetCounts().watches, 201u);
  for (WatchId one : added) reactor().RemoveWatch(one);
  reactor().RemoveWatch(watch);
}

TEST_F(FdWatch, MoreThanABatchOfReadyDescriptorsAreAllServedWithinTwoTurns) {
  std::vector<SocketPair> pairs(450);  // 450 pairs are 900 descriptors: under the usual limit of 1024.
  std::vector<WatchId> watches;
  RecordingHandler other;
  for (SocketPair& pair : pairs) {
    for (int fd : {pair.a.get(), pair.b.get()}) {
      watches.push_back(reactor().AddWatch(fd, other));
      reactor().SetWatch(watches.back(), false, true);
    }
  }
  Turn();
  EXPECT_EQ(other.calls.size(), 512u);
  Turn();
  EXPECT_EQ(other.calls.size(), 1024u);
  for (WatchId watch : watches) reactor().RemoveWatch(watch);
}

using FdWatchDeathTest = FdWatch;

TEST_F(FdWatchDeathTest, RegularFileAborts) {
  EXPECT_DEATH(
      {
        UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
        reactor().SetWatch(reactor().AddWatch(file.get(), handler_), true, false);
      },
      "CHECK failed");
}

TEST_F(FdWatchDeathTest, DescriptorClosedBeforeItsWatchEndedAborts) {
  EXPECT_DEATH(
      {
        const WatchId watch = reactor().AddWatch(pair_.a.get(), handler_);
        reactor().SetWatch(watch, true, false);
        pair_.a.Reset();
        reactor().RemoveWatch(watch);
      },
      "CHECK failed");
}

}  // namespace
}  // namespace transportd
