#include "tests/conformance/scenarios/scenarios.h"

namespace transportd::conformance {

namespace {

void PauseHoldsData(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.transport().PauseReading();
  client.NoteState();
  s.Run([&] { peer.Send("wait for it"); });
  s.Settle();
  client.Note("received_bytes", client.received_bytes());
  client.transport().ResumeReading();
  client.Note("resume_reading returned");
  client.NoteState();
  s.Until([&] { return client.received_bytes() == 11; });
  client.transport().Close();
  s.UntilLost(client);
}

void PauseHoldsFin(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.transport().PauseReading();
  s.Run([&] {
    peer.Send("last words");
    peer.Close();
  });
  s.Settle();
  client.Note("got_eof", client.got_eof());
  client.transport().ResumeReading();
  s.UntilLost(client);
}

void PauseHoldsReset(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.transport().PauseReading();
  s.Settle();
  s.Run([&] { peer.Reset(); });
  s.Settle();
  client.Note("lost", client.lost());
  client.transport().ResumeReading();
  s.UntilLost(client);
}

void PauseInConnectionMadeHolds(Stage& s) {
  Tracing& client = s.Pair({.made = [](Tracing& p) { p.transport().PauseReading(); }});
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send("early");
    peer.Close();
  });
  s.Settle();
  client.Note("received_bytes", client.received_bytes());
  client.NoteState();
  client.transport().ResumeReading();
  s.UntilLost(client);
}

void PauseAndResumeInConnectionMade(Stage& s) {
  const auto made = [](Tracing& p) {
    p.transport().PauseReading();
    p.transport().ResumeReading();
    p.NoteState();
  };
  Tracing& client = s.Pair({.made = made});
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send("hello");
    peer.Close();
  });
  s.UntilLost(client);
}

void PauseInDataReceivedHoldsTheRest(Stage& s) {
  const auto data = [](Tracing& p, std::string_view) {
    p.transport().PauseReading();
    p.NoteState();
  };
  Tracing& client = s.Pair({.data = data});
  Peer& peer = s.peer();
  s.Run([&] { peer.Send("one"); });
  s.Until([&] { return client.received_bytes() == 3; });
  s.Run([&] {
    peer.Send("two");
    peer.Close();
  });
  s.Settle();
  client.Note("received_bytes", client.received_bytes());
  client.transport().ResumeReading();
  s.Until([&] { return client.received_bytes() == 6; });
  s.Settle();
  client.Note("got_eof", client.got_eof());
  client.transport().ResumeReading();
  s.UntilLost(client);
}

void PauseAndResumeAreIdempotent(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.transport().ResumeReading();
  client.transport().PauseReading();
  client.transport().PauseReading();
  client.NoteState();
  client.transport().ResumeReading();
  client.transport().ResumeReading();
  client.NoteState();
  s.Run([&] {
    peer.Send("hello");
    peer.Close();
  });
  s.UntilLost(client);
}

void PausingOverAndOverLosesNothing(Stage& s) {
  Tracing& client = s.Pair({.data = [&](Tracing& p, std::string_view) {
    p.transport().PauseReading();
    s.loop().CallSoon([&p] { p.transport().ResumeReading(); });
  }});
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send(Pattern(2'000'000));
    peer.Close();
  });
  s.UntilLost(client);
}

void CloseWhilePaused(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.transport().PauseReading();
  s.Settle();
  s.Run([&] { peer.Send("unread"); });
  s.Settle();
  client.transport().Close();
  client.NoteState();
  client.transport().ResumeReading();
  client.NoteState();
  s.UntilLost(client);
  s.Run([&] { peer.Drain(); });
}

void AbortWhilePaused(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.transport().PauseReading();
  client.transport().Abort();
  s.UntilLost(client);
  s.Run([&] { peer.RecvAll(); });
}

void WriteErrorEndsAPausedTransport(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.transport().PauseReading();
  s.Settle();
  s.Run([&] { peer.Reset(); });
  client.Write("into the void");
  s.UntilLost(client);
}

void WritingGoesOnWhilePaused(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.transport().PauseReading();
  client.Write("hello");
  s.Run([&] { peer.Recv(5); });
  client.transport().ResumeReading();
  s.Run([&] {
    peer.Shutdown();
    peer.RecvAll();
  });
  s.UntilLost(client);
}

void StatesAtEveryPoint(Stage& s) {
  const auto state = [](Tracing& p) { p.NoteState(); };
  const auto data = [](Tracing& p, std::string_view) { p.NoteState(); };
  const auto eof = [](Tracing& p) {
    p.NoteState();
    return false;
  };
  Tracing& client = s.Pair({.made = state, .data = data, .eof = eof, .lost = state});
  Peer& peer = s.peer();
  client.NoteState();
  s.Run([&] {
    peer.Send("hello");
    peer.Recv(0);
    peer.Close();
  });
  s.UntilLost(client);
  client.NoteState();
}

}  // namespace

void AddPauseScenarios(Scenarios& scenarios) {
  scenarios.insert(scenarios.end(), {
                                        {"pause_holds_data", PauseHoldsData},
                                        {"pause_holds_fin", PauseHoldsFin},
                                        {"pause_holds_reset", PauseHoldsReset},
                                        {"pause_in_connection_made_holds", PauseInConnectionMadeHolds},
                                        {"pause_and_resume_in_connection_made", PauseAndResumeInConnectionMade},
                                        {"pause_in_data_received_holds_the_rest", PauseInDataReceivedHoldsTheRest},
                                        {"pause_and_resume_are_idempotent", PauseAndResumeAreIdempotent},
                                        {"pausing_over_and_over_loses_nothing", PausingOverAndOverLosesNothing},
                                        {"close_while_paused", CloseWhilePaused},
                                        {"abort_while_paused", AbortWhilePaused},
                                        {"write_error_ends_a_paused_transport", WriteErrorEndsAPausedTransport},
                                        {"writing_goes_on_while_paused", WritingGoesOnWhilePaused},
                                        {"states_at_every_point", StatesAtEveryPoint},
                                    });
}

}  // namespace transportd::conformance
