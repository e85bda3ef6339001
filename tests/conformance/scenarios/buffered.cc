#include "tests/conformance/scenarios/scenarios.h"

namespace transportd::conformance {

namespace {

void BufferedProtocolReceives(Stage& s) {
  Tracing& client = s.Pair(s.NewBuffered("client", 65'536));
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send("hello");
    peer.Send(Pattern(500'000));
    peer.Close();
  });
  s.UntilLost(client);
}

void BufferedProtocolWithASmallBuffer(Stage& s) {
  constexpr size_t kBufferBytes = 7;
  bool never_more = true;
  Tracing& client = s.Pair(s.NewBuffered("client", kBufferBytes, {.data = [&](Tracing&, std::string_view data) {
                                           never_more = never_more && data.size() <= kBufferBytes;
                                         }}));
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send(Pattern(3'000));
    peer.Close();
  });
  s.UntilLost(client);
  client.Note("never more than the buffer holds", never_more);
}

void BufferedProtocolKeepsOpenAtEof(Stage& s) {
  Tracing& client = s.Pair(s.NewBuffered("client", 100, {.eof = [](Tracing&) { return true; }}));
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send("question");
    peer.Shutdown();
  });
  s.Until([&] { return client.got_eof(); });
  client.Write("answer");
  client.transport().Close();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void BufferedProtocolPausesAndResumes(Stage& s) {
  Tracing& client =
      s.Pair(s.NewBuffered("client", 5, {.data = [](Tracing& p, std::string_view) { p.transport().PauseReading(); }}));
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send("12345");
    peer.Send("67890");
    peer.Close();
  });
  s.Until([&] { return client.received_bytes() == 5; });
  s.Settle();
  client.Note("received_bytes", client.received_bytes());
  client.transport().ResumeReading();
  s.Until([&] { return client.received_bytes() == 10; });
  s.Settle();
  client.Note("got_eof", client.got_eof());
  client.transport().ResumeReading();
  s.UntilLost(client);
}

void SetProtocolBetweenPlainAndBuffered(Stage& s) {
  Tracing& last = s.NewProtocol("last");
  Tracing& buffered = s.NewBuffered("buffered", 64, {.data = [&](Tracing& p, std::string_view) {
                                      last.TakeOver(p);
                                      p.transport().SetProtocol(last.AsProtocol());
                                    }});
  Tracing& client = s.Pair({.data = [&](Tracing& p, std::string_view) {
    buffered.TakeOver(p);
    p.transport().SetProtocol(buffered.AsProtocol());
  }});
  Peer& peer = s.peer();
  s.Run([&] { peer.Send("plain"); });
  s.Until([&] { return client.received_bytes() == 5; });
  s.Run([&] { peer.Send("into a buffer"); });
  s.Until([&] { return buffered.received_bytes() == 13; });
  s.Run([&] {
    peer.Send("plain again");
    peer.Close();
  });
  s.UntilLost(last);
}

}  // namespace

void AddBufferedScenarios(Scenarios& scenarios) {
  scenarios.insert(scenarios.end(), {
                                        {"buffered_protocol_receives", BufferedProtocolReceives},
                                        {"buffered_protocol_with_a_small_buffer", BufferedProtocolWithASmallBuffer},
                                        {"buffered_protocol_keeps_open_at_eof", BufferedProtocolKeepsOpenAtEof},
                                        {"buffered_protocol_pauses_and_resumes", BufferedProtocolPausesAndResumes},
                                        {"set_protocol_between_plain_and_buffered", SetProtocolBetweenPlainAndBuffered},
                                    });
}

}  // namespace transportd::conformance
