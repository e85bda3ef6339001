#include <initializer_list>
#include <utility>

#include "tests/conformance/scenarios/scenarios.h"

namespace transportd::conformance {

namespace {

void WriteBufferLimitsAreResolved(Stage& s) {
  Tracing& client = s.Pair();
  client.NoteLimits();
  for (const WriteBufferLimits& limits : std::initializer_list<WriteBufferLimits>{
           {.high_bytes = 1000, .low_bytes = {}},
           {.high_bytes = {}, .low_bytes = 1000},
           {.high_bytes = 300, .low_bytes = 200},
           {.high_bytes = 200, .low_bytes = 200},
           {.high_bytes = 0, .low_bytes = {}},
           {.high_bytes = {}, .low_bytes = 0},
           {.high_bytes = 3, .low_bytes = {}},
           {},
       }) {
    client.SetLimits(limits);
    client.NoteLimits();
  }
  client.transport().Close();
  s.UntilLost(client);
}

void BadWriteBufferLimitsChangeNothing(Stage& s) {
  Tracing& client = s.Pair();
  client.SetLimits({.high_bytes = 1, .low_bytes = 2});
  client.NoteLimits();
  client.SetLimits({.high_bytes = 0, .low_bytes = 1});
  client.NoteLimits();
  client.transport().Close();
  s.UntilLost(client);
}

void PauseWritingComesInsideWrite(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.Note("write");
  client.Write(Pattern(16'000'000));
  client.Note("write returned");
  s.Run([&] { peer.Recv(16'000'000); });
  s.UntilDrained(client);
  client.transport().Close();
  s.UntilLost(client);
}

void PauseWritingComesStrictlyOverTheHighWaterMark(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.SetHigh(64'000'000);
  client.Write(Pattern(16'000'000));
  const auto size = client.transport().GetWriteBufferSize();
  client.SetHigh(size);
  client.Note("at the mark");
  client.Write("+");
  client.Note("one over it");
  client.Write("+");
  client.Note("two over it");
  s.Run([&] { peer.Recv(16'000'002); });
  s.UntilDrained(client);
  client.transport().Close();
  s.UntilLost(client);
}

void SettingLimitsPausesButNeverResumes(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.SetHigh(64'000'000);
  client.Write(Pattern(16'000'000));
  client.Note("written");
  client.SetHigh(1'000);
  client.Note("lowered");
  client.SetLimits({.high_bytes = 64'000'000, .low_bytes = 48'000'000});
  client.Note("raised");
  auto reading = s.Start([&] { peer.Recv(16'000'000); });
  s.UntilDrained(client);
  s.Wait(std::move(reading));
  client.transport().Close();
  s.UntilLost(client);
}

void HighOfZeroPausesWhenAnythingIsBuffered(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.SetHigh(0);
  client.Write(Pattern(16'000'000));
  client.Note("write returned");
  s.Run([&] { peer.Recv(16'000'000); });
  s.UntilDrained(client);
  client.transport().Close();
  s.UntilLost(client);
}

void ResumeWritingComesAtOrUnderTheLowWaterMark(Stage& s) {
  Tracing& client =
      s.Pair({.resume = [](Tracing& p) { p.Note("at most low", p.transport().GetWriteBufferSize() <= 10'000); }});
  Peer& peer = s.peer();
  client.SetLimits({.high_bytes = 100'000, .low_bytes = 10'000});
  client.Write(Pattern(16'000'000));
  s.Run([&] { peer.Recv(16'000'000); });
  s.UntilDrained(client);
  client.transport().Close();
  s.UntilLost(client);
}

void PauseAndResumeAlternate(Stage& s) {
  int rounds = 0;
  Tracing& client = s.Pair({.resume = [&](Tracing& p) {
    if (++rounds < 4) {
      p.Write(Pattern(16'000'000));
      p.Note("write in resume_writing returned");
    }
  }});
  Peer& peer = s.peer();
  client.Write(Pattern(16'000'000));
  client.Note("write returned");
  s.Run([&] { peer.Recv(64'000'000); });
  s.Until([&] { return rounds == 4; });
  client.transport().Close();
  s.UntilLost(client);
}

void SeveralWritesOverTheMarkPauseOnce(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  for (int i = 0; i < 3; ++i) {
    client.Write(Pattern(16'000'000));
  }
  s.Run([&] { peer.Recv(48'000'000); });
  s.UntilDrained(client);
  client.transport().Close();
  s.UntilLost(client);
}

void CloseInResumeWriting(Stage& s) {
  Tracing& client = s.Pair({.resume = [](Tracing& p) { p.transport().Close(); }});
  Peer& peer = s.peer();
  client.Write(Pattern(16'000'000));
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void AbortInResumeWriting(Stage& s) {
  Tracing& client = s.Pair({.resume = [](Tracing& p) { p.transport().Abort(); }});
  Peer& peer = s.peer();
  client.SetLimits({.high_bytes = 64'000, .low_bytes = 0});
  client.Write(Pattern(16'000'000));
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void CloseInPauseWriting(Stage& s) {
  Tracing& client = s.Pair({.pause = [](Tracing& p) { p.transport().Close(); }});
  Peer& peer = s.peer();
  client.Write(Pattern(16'000'000));
  client.NoteState();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void AbortInPauseWriting(Stage& s) {
  Tracing& client = s.Pair({.pause = [](Tracing& p) { p.transport().Abort(); }});
  Peer& peer = s.peer();
  client.Write(Pattern(16'000'000));
  client.NoteState();
  s.UntilLost(client);
  s.Run([&] { peer.Drain(); });
}

void WriteInPauseWriting(Stage& s) {
  Tracing& client = s.Pair({.pause = [](Tracing& p) { p.Write("the tail"); }});
  Peer& peer = s.peer();
  client.Write(Pattern(16'000'000));
  client.transport().Close();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void WriteEofInResumeWriting(Stage& s) {
  Tracing& client = s.Pair({.resume = [](Tracing& p) { p.transport().WriteEof(); }});
  Peer& peer = s.peer();
  client.Write(Pattern(16'000'000));
  s.Run([&] {
    peer.RecvAll();
    peer.Send("thanks");
    peer.Close();
  });
  s.UntilLost(client);
}

}  // namespace

void AddFlowScenarios(Scenarios& scenarios) {
  scenarios.insert(
      scenarios.end(),
      {
          {"write_buffer_limits_are_resolved", WriteBufferLimitsAreResolved},
          {"bad_write_buffer_limits_change_nothing", BadWriteBufferLimitsChangeNothing},
          {"pause_writing_comes_inside_write", PauseWritingComesInsideWrite},
          {"pause_writing_comes_strictly_over_the_high_water_mark", PauseWritingComesStrictlyOverTheHighWaterMark},
          {"setting_limits_pauses_but_never_resumes", SettingLimitsPausesButNeverResumes},
          {"high_of_zero_pauses_when_anything_is_buffered", HighOfZeroPausesWhenAnythingIsBuffered},
          {"resume_writing_comes_at_or_under_the_low_water_mark", ResumeWritingComesAtOrUnderTheLowWaterMark},
          {"pause_and_resume_alternate", PauseAndResumeAlternate},
          {"several_writes_over_the_mark_pause_once", SeveralWritesOverTheMarkPauseOnce},
          {"close_in_resume_writing", CloseInResumeWriting},
          {"abort_in_resume_writing", AbortInResumeWriting},
          {"close_in_pause_writing", CloseInPauseWriting},
          {"abort_in_pause_writing", AbortInPauseWriting},
          {"write_in_pause_writing", WriteInPauseWriting},
          {"write_eof_in_resume_writing", WriteEofInResumeWriting},
      });
}

}  // namespace transportd::conformance
