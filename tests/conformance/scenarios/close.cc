#include "tests/conformance/scenarios/scenarios.h"

namespace transportd::conformance {

namespace {

void CloseWithAnEmptyBuffer(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.transport().Close();
  client.Note("close returned");
  client.NoteState();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
  client.NoteState();
}

void CloseFlushesALargeWrite(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.Write(Pattern(16'000'000));
  client.Note("write returned");
  client.transport().Close();
  client.Note("close returned");
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void CloseTwice(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.Write("once");
  client.transport().Close();
  client.transport().Close();
  client.NoteState();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
  client.transport().Close();
  s.Settle();
}

void AbortDropsWhatIsBuffered(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.SetHigh(64'000'000);
  client.Write(Pattern(16'000'000));
  client.transport().Abort();
  client.Note("abort returned");
  client.NoteState();
  s.UntilLost(client);
  s.Run([&] { peer.Drain(); });
  client.Note("all arrived", peer.received_bytes() == 16'000'000);
}

void AbortOfAPausedWriterDoesNotResumeIt(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.Write(Pattern(16'000'000));
  client.transport().Abort();
  s.UntilLost(client);
  s.Run([&] { peer.Drain(); });
}

void AbortEndsWithFin(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.transport().Abort();
  client.transport().Abort();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void AbortOvertakesClose(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.SetHigh(64'000'000);
  client.Write(Pattern(16'000'000));
  client.transport().Close();
  client.Note("close returned");
  s.Settle();
  client.Note("lost", client.lost());
  client.transport().Abort();
  client.Note("abort returned");
  s.UntilLost(client);
  s.Run([&] { peer.Drain(); });
  client.Note("all arrived", peer.received_bytes() == 16'000'000);
}

void AbortInConnectionMade(Stage& s) {
  Tracing& client = s.Pair({.made = [](Tracing& p) { p.transport().Abort(); }});
  Peer& peer = s.peer();
  s.UntilLost(client);
  s.Run([&] { peer.RecvAll(); });
}

void CloseInConnectionMade(Stage& s) {
  const auto made = [](Tracing& p) {
    p.Write("hello and goodbye");
    p.transport().Close();
    p.NoteState();
  };
  Tracing& client = s.Pair({.made = made});
  Peer& peer = s.peer();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void CloseInDataReceived(Stage& s) {
  const auto data = [](Tracing& p, std::string_view) {
    p.Write("enough");
    p.transport().Close();
    p.NoteState();
  };
  Tracing& client = s.Pair({.data = data});
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send("hello");
    peer.RecvAll();
  });
  s.UntilLost(client);
}

void AbortInDataReceived(Stage& s) {
  Tracing& client = s.Pair({.data = [](Tracing& p, std::string_view) { p.transport().Abort(); }});
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send("hello");
    peer.RecvAll();
  });
  s.UntilLost(client);
}

void CloseInEofReceived(Stage& s) {
  const auto eof = [](Tracing& p) {
    p.Write("bye");
    p.transport().Close();
    return true;
  };
  Tracing& client = s.Pair({.eof = eof});
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Shutdown();
    peer.RecvAll();
  });
  s.UntilLost(client);
}

void AbortInEofReceived(Stage& s) {
  const auto eof = [](Tracing& p) {
    p.transport().Abort();
    return true;
  };
  Tracing& client = s.Pair({.eof = eof});
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Shutdown();
    peer.RecvAll();
  });
  s.UntilLost(client);
}

void WriteAfterCloseWhileFlushingIsSent(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.SetHigh(64'000'000);
  client.Write(Pattern(16'000'000));
  client.transport().Close();
  client.Write("the tail");
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void WriteAfterCloseWithAnEmptyBufferIsDropped(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.transport().Close();
  client.Write("too late");
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void NoDataReceivedAfterClose(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.SetHigh(64'000'000);
  client.Write(Pattern(16'000'000));
  client.transport().Close();
  s.Run([&] { peer.Send("nobody listens"); });
  s.Settle();
  client.Note("received_bytes", client.received_bytes());
  client.transport().Abort();
  s.UntilLost(client);
  s.Run([&] { peer.Drain(); });
}

void PauseAndResumeGoOnWhileClosing(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.Write(Pattern(16'000'000));
  client.transport().Close();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void MethodsAfterConnectionLostAreHarmless(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.transport().Close();
  s.UntilLost(client);
  client.transport().Close();
  client.transport().Abort();
  client.transport().PauseReading();
  client.transport().ResumeReading();
  client.Write("lost");
  client.Writelines({"lost", "too"});
  if (client.transport().CanWriteEof()) client.transport().WriteEof();
  client.Note("size", client.transport().GetWriteBufferSize());
  client.NoteState();
  s.Run([&] { peer.RecvAll(); });
  s.Settle();
}

void WriteInConnectionLostIsDropped(Stage& s) {
  const auto lost = [](Tracing& p) {
    p.Write("too late");
    p.transport().Close();
    p.transport().Abort();
  };
  Tracing& client = s.Pair({.lost = lost});
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Shutdown();
    peer.RecvAll();
  });
  s.UntilLost(client);
  s.Settle();
}

}  // namespace

void AddCloseScenarios(Scenarios& scenarios) {
  scenarios.insert(scenarios.end(),
                   {
                       {"close_with_an_empty_buffer", CloseWithAnEmptyBuffer},
                       {"close_flushes_a_large_write", CloseFlushesALargeWrite},
                       {"close_twice", CloseTwice},
                       {"abort_drops_what_is_buffered", AbortDropsWhatIsBuffered},
                       {"abort_of_a_paused_writer_does_not_resume_it", AbortOfAPausedWriterDoesNotResumeIt},
                       {"abort_ends_with_fin", AbortEndsWithFin},
                       {"abort_overtakes_close", AbortOvertakesClose},
                       {"abort_in_connection_made", AbortInConnectionMade},
                       {"close_in_connection_made", CloseInConnectionMade},
                       {"close_in_data_received", CloseInDataReceived},
                       {"abort_in_data_received", AbortInDataReceived},
                       {"close_in_eof_received", CloseInEofReceived},
                       {"abort_in_eof_received", AbortInEofReceived},
                       {"write_after_close_while_flushing_is_sent", WriteAfterCloseWhileFlushingIsSent},
                       {"write_after_close_with_an_empty_buffer_is_dropped", WriteAfterCloseWithAnEmptyBufferIsDropped},
                       {"no_data_received_after_close", NoDataReceivedAfterClose},
                       {"pause_and_resume_go_on_while_closing", PauseAndResumeGoOnWhileClosing},
                       {"methods_after_connection_lost_are_harmless", MethodsAfterConnectionLostAreHarmless},
                       {"write_in_connection_lost_is_dropped", WriteInConnectionLostIsDropped},
                   });
}

}  // namespace transportd::conformance
