#include "tests/conformance/scenarios/scenarios.h"

namespace transportd::conformance {

namespace {

void EofClosesWhenEofReceivedReturnsFalse(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send("last words");
    peer.Shutdown();
    peer.RecvAll();
  });
  s.UntilLost(client);
  client.NoteState();
}

void EofFlushesBeforeItCloses(Stage& s) {
  Tracing& client = s.Pair({.data = [](Tracing& p, std::string_view) { p.Write(Pattern(16'000'000)); }});
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send("?");
    peer.Shutdown();
    peer.RecvAll();
  });
  s.UntilLost(client);
}

void EofKeepsOpenWhenEofReceivedReturnsTrue(Stage& s) {
  Tracing& client = s.Pair({.eof = [](Tracing&) { return true; }});
  Peer& peer = s.peer();
  s.Run([&] { peer.Shutdown(); });
  s.Until([&] { return client.got_eof(); });
  client.NoteState();
  s.Settle();
  client.Note("lost", client.lost());
  client.Write("still here");
  s.Run([&] { peer.Recv(10); });
  client.transport().Close();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void WriteEofThenThePeerAnswers(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.Note("can_write_eof", client.transport().CanWriteEof());
  client.Write("question");
  client.transport().WriteEof();
  client.NoteState();
  s.Run([&] {
    peer.RecvAll();
    peer.Send("answer");
    peer.Close();
  });
  s.UntilLost(client);
}

void WriteEofFlushesFirst(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.SetHigh(64'000'000);
  client.Write(Pattern(16'000'000));
  client.transport().WriteEof();
  s.Run([&] {
    peer.RecvAll();
    peer.Send("thanks");
    peer.Close();
  });
  s.UntilLost(client);
}

void WriteEofTwice(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.transport().WriteEof();
  client.transport().WriteEof();
  s.Run([&] {
    peer.RecvAll();
    peer.Close();
  });
  s.UntilLost(client);
}

void WriteAfterWriteEofIsRefused(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.transport().WriteEof();
  client.Write("more");
  client.Write("");
  client.Writelines({"more"});
  client.Writelines({});
  client.NoteState();
  s.Run([&] {
    peer.RecvAll();
    peer.Close();
  });
  s.UntilLost(client);
}

void WriteEofAfterCloseIsNothing(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.Write("all");
  client.transport().Close();
  client.transport().WriteEof();
  client.Write("");
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void HalfClosedByBothStaysOpenUntilClose(Stage& s) {
  Tracing& client = s.Pair({.eof = [](Tracing&) { return true; }});
  Peer& peer = s.peer();
  client.transport().WriteEof();
  s.Run([&] {
    peer.RecvAll();
    peer.Shutdown();
  });
  s.Until([&] { return client.got_eof(); });
  s.Settle();
  client.Note("lost", client.lost());
  client.NoteState();
  client.transport().Close();
  s.UntilLost(client);
}

void HalfClosedByThePeerFirst(Stage& s) {
  Tracing& client = s.Pair({.eof = [](Tracing&) { return true; }});
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send("question");
    peer.Shutdown();
  });
  s.Until([&] { return client.got_eof(); });
  client.Write("answer");
  client.transport().WriteEof();
  s.Run([&] { peer.RecvAll(); });
  s.Settle();
  client.Note("lost", client.lost());
  client.transport().Close();
  s.UntilLost(client);
}

void CloseAfterWriteEof(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.SetHigh(64'000'000);
  client.Write(Pattern(16'000'000));
  client.transport().WriteEof();
  client.transport().Close();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void WriteEofInEofReceived(Stage& s) {
  const auto eof = [](Tracing& p) {
    p.Write("bye");
    p.transport().WriteEof();
    return false;
  };
  Tracing& client = s.Pair({.eof = eof});
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Shutdown();
    peer.RecvAll();
  });
  s.UntilLost(client);
}

}  // namespace

void AddEofScenarios(Scenarios& scenarios) {
  scenarios.insert(scenarios.end(),
                   {
                       {"eof_closes_when_eof_received_returns_false", EofClosesWhenEofReceivedReturnsFalse},
                       {"eof_flushes_before_it_closes", EofFlushesBeforeItCloses},
                       {"eof_keeps_open_when_eof_received_returns_true", EofKeepsOpenWhenEofReceivedReturnsTrue},
                       {"write_eof_then_the_peer_answers", WriteEofThenThePeerAnswers},
                       {"write_eof_flushes_first", WriteEofFlushesFirst},
                       {"write_eof_twice", WriteEofTwice},
                       {"write_after_write_eof_is_refused", WriteAfterWriteEofIsRefused},
                       {"write_eof_after_close_is_nothing", WriteEofAfterCloseIsNothing},
                       {"half_closed_by_both_stays_open_until_close", HalfClosedByBothStaysOpenUntilClose},
                       {"half_closed_by_the_peer_first", HalfClosedByThePeerFirst},
                       {"close_after_write_eof", CloseAfterWriteEof},
                       {"write_eof_in_eof_received", WriteEofInEofReceived},
                   });
}

}  // namespace transportd::conformance
