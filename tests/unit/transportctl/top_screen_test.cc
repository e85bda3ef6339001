#include "clients/cpp/transportctl/top_screen.h"

#include <string>
#include <vector>

#include "clients/cpp/transportctl/full_screen.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "transports/base/str_cat.h"

namespace transportd::ctl {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr int64_t kNoon = 1767182400;  // 2025-12-31 12:00:00Z.

// A service with traffic, `seconds` after its first look.
v1::GetStatusResponse Status(int64_t seconds) {
  v1::GetStatusResponse status;
  status.mutable_time()->set_seconds(kNoon + seconds);
  status.mutable_version()->set_version("0.1.0");
  status.mutable_version()->mutable_uptime()->set_seconds(93600 + seconds);
  v1::ServiceUsage& usage = *status.mutable_usage();
  usage.set_session_count(1);
  usage.set_max_session_count(1000);
  usage.set_transport_count(2);
  usage.set_max_transport_count(4);
  usage.set_buffered_bytes(950);
  usage.set_max_buffered_bytes(1000);
  usage.set_received_bytes(1000 + 2048 * static_cast<uint64_t>(seconds));
  usage.set_sent_bytes(10);
  for (int i = 0; i < 2; ++i) {
    v1::EventLoopStatus& loop = *status.add_event_loops();
    loop.mutable_busy_time()->set_nanos(static_cast<int32_t>(250000000 * seconds));
    loop.mutable_longest_turn()->set_nanos(200000);
  }
  v1::ProcessStatus& process = *status.mutable_process();
  process.set_resident_bytes(50 << 20);
  process.set_open_fd_count(45);
  process.set_max_fd_count(1024);
  process.mutable_cpu_time()->set_nanos(static_cast<int32_t>(500000000 * seconds));
  status.mutable_policy()->set_sha256("3fa2b1c0ffffffff");
  status.mutable_policy()->mutable_load_time()->set_seconds(kNoon - 60);
  v1::CertificateStatus& certificate = *status.add_certificates();
  certificate.set_name("service");
  certificate.mutable_not_after()->set_seconds(kNoon + 3 * 86400);
  status.mutable_audit()->set_healthy(true);
  v1::SessionInfo& session = *status.add_sessions();
  session.set_session_prefix("1a2b3c4d");
  session.set_principal("alice");
  session.set_client_name("lab");
  session.mutable_open_time()->set_seconds(kNoon - 5);
  session.set_transport_count(2);
  for (uint32_t id = 1; id <= 2; ++id) {
    v1::TransportInfo& transport = *status.add_transports();
    transport.set_session_prefix("1a2b3c4d");
    transport.set_transport_id(id);
    transport.set_kind(id == 1 ? v1::TRANSPORT_KIND_SERVER : v1::TRANSPORT_KIND_STREAM);
    transport.mutable_open_time()->set_seconds(kNoon - 5);
    transport.mutable_sockname()->set_family(v1::ADDRESS_FAMILY_INET);
    transport.mutable_sockname()->set_host("127.0.0.1");
    transport.mutable_sockname()->set_port(50000 + id);
    if (id == 1) continue;
    *transport.mutable_peername() = transport.sockname();
    transport.mutable_peername()->set_port(80);
    transport.set_received_bytes(1000 + 2048 * static_cast<uint64_t>(seconds));
    transport.set_reading_paused(true);
    transport.set_reading_pause(v1::READING_PAUSE_WINDOW);
  }
  return status;
}

StatusHistory TwoLooks() {
  StatusHistory history;
  history.Add(Status(0));
  history.Add(Status(2));
  return history;
}

TopView ViewOf(const StatusHistory& history) {
  TopView view;
  view.SetHistory(history);
  return view;
}

Key Typed(std::string_view character) { return {.kind = Key::Kind::kCharacter, .text = std::string(character)}; }

std::vector<std::string> Screen(TopView& view, int columns, int rows, const TopConnection& connection = {}) {
  const WindowSize size = {.rows = static_cast<uint16_t>(rows), .columns = static_cast<uint16_t>(columns)};
  std::vector<std::string> out;
  for (const Line& line : TopScreen(view, connection, size)) {
    EXPECT_LE(line.width(), columns) << line.text();
    std::string text = line.text();
    text.erase(text.find_last_not_of(' ') + 1);
    out.push_back(text);
  }
  EXPECT_EQ(out.size(), static_cast<size_t>(rows));
  return out;
}

TEST(TopScreen, OnTheUsualTerminal) {
  TopView view = ViewOf(TwoLooks());
  const std::vector<std::string> lines = Screen(view, 80, 24, {.target = "lab"});
  EXPECT_THAT(std::vector(lines.begin(), lines.begin() + 12),
              ElementsAre("transportd 0.1.0  up 1d02h  lab                                        12:00:02Z",
                          "sessions 1/1000 ▏·······  transports 2/4 ████▌····  buffers 950/1000 ████████▌",
                          "in  2.0K/s                            █ out 0/s                               ▁",
                          "loops 0: 25% lag 0.2ms  1: 25% lag 0.2ms", "memory 50M  cpu 50%  fds 45/1024  programs 0",
                          "policy 3fa2b1c0 for 1m02s", "certificate service ends in 2d23h (2026-01-03)  audit ok",
                          " sessions 1   transports 2   denials 0",
                          " PRINCIPAL SESSION   ID KIND   PEER                     AGE  IN/s OUT/s STATE",
                          ">alice     1a2b3c4d   1 server at 127.0.0.1:50001        7s     0     0 open",
                          " alice     1a2b3c4d   2 stream → 127.0.0.1:80            7s  2.0K     0 ‖window", ""));
  EXPECT_EQ(lines.back(), "q quit sessions transports denials order reverse / filter pause end ? help");
}

TEST(TopScreen, AWiderOneShowsMore) {
  TopView view = ViewOf(TwoLooks());
  const std::vector<std::string> lines = Screen(view, 200, 50);
  EXPECT_THAT(lines[8], AllOf(HasSubstr(" LOCAL "), HasSubstr(" BUFFER "), HasSubstr(" PROGRAM"), HasSubstr(" OUT ")));
  EXPECT_THAT(lines[10], AllOf(HasSubstr("127.0.0.1:50002"), HasSubstr("→ 127.0.0.1:80")));
}

TEST(TopScreen, FitsAnySize) {
  for (const int columns : {1, 2, 5, 10, 40, 79, 120, 1000}) {
    for (const int rows : {1, 2, 3, 7, 12, 24, 300}) {
      for (const std::string_view key : {"s", "t", "d", "?"}) {
        TopView view = ViewOf(TwoLooks());
        view.OnKey(Typed(key));
        Screen(view, columns, rows, {.target = "x", .trouble = "gone"});
      }
    }
  }
}

TEST(TopScreen, NothingIsThere) {
  v1::GetStatusResponse status;
  StatusHistory history;
  history.Add(status);
  TopView view = ViewOf(history);
  EXPECT_THAT(Screen(view, 80, 24), Contains(" no transports"));
  view.OnKey(Typed("d"));
  EXPECT_THAT(Screen(view, 80, 24), Contains(" no denials yet"));
  EXPECT_THAT(Screen(view, 80, 24), Contains(HasSubstr("none: --dev")));
  view.OnKey(Typed("s"));
  view.OnKey(Typed("e"));
  EXPECT_THAT(Screen(view, 80, 24), Contains("There is nothing to end."));
}

TEST(TopScreen, WhatClientsChoseDoesNotDriveTheTerminal) {
  const std::string hostile =
      "\x1b[2J\r\n\x9b"
      "\u009b31m\u202egnp.\u200b\u0301" +
      std::string(100000, 'x') + "\xff";
  v1::GetStatusResponse status = Status(2);
  for (std::string* const text :
       {status.mutable_sessions(0)->mutable_principal(), status.mutable_sessions(0)->mutable_client_name(),
        status.mutable_sessions(0)->mutable_peer(), status.mutable_transports(0)->mutable_program(),
        status.mutable_policy()->mutable_error(), status.mutable_certificates(0)->mutable_name(),
        status.mutable_instance_target()}) {
    *text = hostile;
  }
  v1::Denial& denial = *status.add_denials();
  for (std::string* const text : {denial.mutable_principal(), denial.mutable_requested(), denial.mutable_rule()}) {
    *text = hostile;
  }
  StatusHistory history;
  history.Add(status);
  TopView view = ViewOf(history);
  view.SetMessage(hostile);
  for (const std::string_view key : {"", "s", "d", "t", "e"}) {
    if (!key.empty()) view.OnKey(Typed(key));
    for (const int columns : {80, 200, 5000}) {
      for (const std::string& line : Screen(view, columns, 24, {.target = hostile, .trouble = hostile})) {
        EXPECT_THAT(line, AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr("\r")), Not(HasSubstr("\u009b")),
                                Not(HasSubstr("\u202e")), Not(HasSubstr("\u200b")), Not(HasSubstr("\u0301"))));
      }
    }
  }
  EXPECT_THAT(Screen(view, 300, 24), Contains(HasSubstr("\\x1b[2J\\r\\n")));
}

TEST(TopScreen, SaysThatNobodyAnswers) {
  TopView view = ViewOf(TwoLooks());
  const auto lines = Screen(view, 80, 24, {.trouble = "connection refused", .silent_seconds = 61});
  EXPECT_EQ(lines[1], "No answer for 1m01s, trying on: connection refused");
}

TEST(TopScreen, ManyLoopsAreToldTogether) {
  v1::GetStatusResponse before = Status(0);
  v1::GetStatusResponse now = Status(2);
  for (int i = 0; i < 30; ++i) {
    *before.add_event_loops() = before.event_loops(0);
    *now.add_event_loops() = before.event_loops(0);
  }
  now.mutable_event_loops(7)->mutable_busy_time()->set_seconds(1);
  now.mutable_event_loops(9)->mutable_longest_turn()->set_seconds(2);
  StatusHistory history;
  history.Add(before);
  history.Add(now);
  TopView view = ViewOf(history);
  EXPECT_EQ(Screen(view, 80, 24)[3], "loops 32, 3% busy; busiest 7: 50%; longest lag 9: 2.00s");
}

TEST(TopScreen, AReportHasAllOfIt) {
  std::string text;
  for (const Line& line : TopReport(TwoLooks(), {}, 100)) text += line.text() + "\n";
  EXPECT_THAT(text, AllOf(HasSubstr("\nsessions 1\n"), HasSubstr("\ntransports 2\n"), HasSubstr("\ndenials 0\n"),
                          HasSubstr("‖window"), HasSubstr("lab")));
}

TEST(TopView, KeysChooseSortAndFilter) {
  TopView view = ViewOf(TwoLooks());
  view.SetPage(10);
  view.OnKey({.kind = Key::Kind::kDown});
  view.OnKey({.kind = Key::Kind::kDown});
  EXPECT_EQ(view.selected(), 1u);
  // It stays with its row, which is another one's place now.
  StatusHistory history = view.history();
  v1::GetStatusResponse more = Status(3);
  more.mutable_transports()->SwapElements(0, 1);
  history.Add(more);
  view.SetHistory(history);
  EXPECT_EQ(view.selected(), 0u);
  EXPECT_EQ(view.rows()[0].transport_id, 2u);
  while (view.sort_column() != 2u) view.OnKey(Typed("o"));
  EXPECT_EQ(view.rows()[0].transport_id, 2u);
  view.OnKey(Typed("r"));
  EXPECT_EQ(view.rows()[0].transport_id, 1u);
  view.OnKey(Typed("/"));
  for (const std::string_view character : {"W", "I", "N", "q"}) view.OnKey(Typed(character));
  EXPECT_TRUE(view.rows().empty());
  view.OnKey({.kind = Key::Kind::kBackspace});
  view.OnKey({.kind = Key::Kind::kEnter});
  ASSERT_EQ(view.rows().size(), 1u);
  EXPECT_EQ(view.rows()[0].transport_id, 2u);
  view.OnKey({.kind = Key::Kind::kEscape});
  EXPECT_EQ(view.rows().size(), 2u);
  EXPECT_EQ(view.OnKey(Typed("q")), TopView::Wish::kQuit);
}

TEST(TopView, EndsOnlyWhatWasConfirmed) {
  TopView view = ViewOf(TwoLooks());
  EXPECT_EQ(view.OnKey(Typed("e")), TopView::Wish::kNone);
  EXPECT_EQ(view.target().text, "server 1a2b3c4d/1 of alice at 127.0.0.1:50001");
  // What comes meanwhile changes nothing about who was asked for.
  StatusHistory history = view.history();
  v1::GetStatusResponse more = Status(3);
  more.mutable_transports()->DeleteSubrange(0, 1);
  history.Add(more);
  view.SetHistory(history);
  EXPECT_EQ(view.OnKey(Typed("n")), TopView::Wish::kNone);
  EXPECT_EQ(view.message(), "Nothing was ended.");
  view.OnKey(Typed("s"));
  view.OnKey(Typed("e"));
  EXPECT_EQ(view.OnKey(Typed("y")), TopView::Wish::kEnd);
  EXPECT_EQ(view.target().session_prefix, "1a2b3c4d");
  EXPECT_EQ(view.target().transport_id, 0u);
}

TEST(TopView, StandsStillWhilePaused) {
  TopView view = ViewOf(TwoLooks());
  view.OnKey(Typed("p"));
  StatusHistory history = view.history();
  history.Add(Status(9));
  view.SetHistory(history);
  EXPECT_EQ(view.history().status().time().seconds(), kNoon + 2);
  EXPECT_THAT(Screen(view, 80, 24)[0], HasSubstr("paused"));
  view.OnKey(Typed("p"));
  view.SetHistory(history);
  EXPECT_EQ(view.history().status().time().seconds(), kNoon + 9);
}

TEST(TopView, ScrollsToWhatIsChosen) {
  v1::GetStatusResponse status = Status(0);
  for (uint32_t id = 3; id <= 100; ++id) {
    *status.add_transports() = status.transports(1);
    status.mutable_transports(static_cast<int>(id) - 1)->set_transport_id(id);
  }
  StatusHistory history;
  history.Add(status);
  TopView view = ViewOf(history);
  view.SetPage(10);
  view.OnKey({.kind = Key::Kind::kPageDown});
  EXPECT_EQ(view.first(), 1u);
  view.OnKey({.kind = Key::Kind::kEnd});
  EXPECT_EQ(view.first(), 90u);
  view.SetPage(200);
  EXPECT_EQ(view.first(), 0u);
}

TEST(FullScreen, TonesAreSequencesAndColoursCanBeLeftOut) {
  const Line line = Line("a").Add("b", Tone::kBad);
  EXPECT_EQ(AnsiText(line, true), "a\x1b[1;31mb\x1b[0m");
  EXPECT_EQ(AnsiText(line, false), "a\x1b[1;7mb\x1b[0m");
}

}  // namespace
}  // namespace transportd::ctl
