#include "tests/conformance/scenarios/scenarios.h"

namespace transportd::conformance {

namespace {

void ResetOfAnIdleConnection(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  s.Run([&] { peer.Reset(); });
  s.UntilLost(client);
  client.NoteState();
}

void ResetAfterData(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  s.Run([&] { peer.Send("hello"); });
  s.Until([&] { return client.received_bytes() == 5; });
  s.Run([&] { peer.Reset(); });
  s.UntilLost(client);
}

void ResetWhileFlushing(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.SetHigh(64'000'000);
  client.Write(Pattern(16'000'000));
  client.transport().Close();
  s.Settle();
  s.Run([&] { peer.Reset(); });
  s.UntilLost(client);
}

void ResetOfAPausedWriterDoesNotResumeIt(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.Write(Pattern(16'000'000));
  s.Settle();
  s.Run([&] { peer.Reset(); });
  s.UntilLost(client);
}

void HalfOpenPeerIsGone(Stage& s) {
  Tracing& client = s.Pair({.eof = [](Tracing&) { return true; }});
  Peer& peer = s.peer();
  s.Run([&] { peer.Close(); });
  s.Until([&] { return client.got_eof(); });
  while (!client.lost()) {
    client.Write("x");
    s.Settle();
  }
}

void WriteAfterAnErrorIsDropped(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  s.Run([&] { peer.Reset(); });
  s.UntilLost(client);
  for (int i = 0; i < 3; ++i) {
    client.Write("dropped");
  }
  client.Note("size", client.transport().GetWriteBufferSize());
  s.Settle();
}

void AbortAfterAnError(Stage& s) {
  Tracing& client = s.Pair({.lost = [](Tracing& p) { p.transport().Abort(); }});
  Peer& peer = s.peer();
  s.Run([&] { peer.Reset(); });
  s.UntilLost(client);
  client.transport().Abort();
  s.Settle();
}

}  // namespace

void AddErrorsScenarios(Scenarios& scenarios) {
  scenarios.insert(scenarios.end(),
                   {
                       {"reset_of_an_idle_connection", ResetOfAnIdleConnection},
                       {"reset_after_data", ResetAfterData},
                       {"reset_while_flushing", ResetWhileFlushing},
                       {"reset_of_a_paused_writer_does_not_resume_it", ResetOfAPausedWriterDoesNotResumeIt},
                       {"half_open_peer_is_gone", HalfOpenPeerIsGone},
                       {"write_after_an_error_is_dropped", WriteAfterAnErrorIsDropped},
                       {"abort_after_an_error", AbortAfterAnError},
                   });
}

}  // namespace transportd::conformance
