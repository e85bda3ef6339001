#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "tests/conformance/scenarios/scenarios.h"

namespace transportd::conformance {

namespace {

void DataBothWays(Stage& s) {
  Tracing& client = s.Pair({.data = [](Tracing& p, std::string_view data) { p.Write(data); }});
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send("hello");
    peer.Recv(5);
    peer.Send("again");
    peer.Recv(5);
    peer.Shutdown();
  });
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void DataArrivesWholeAndInOrder(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  s.Run([&] {
    peer.Send(Pattern(3'000'000));
    peer.Send("the end");
    peer.Close();
  });
  s.UntilLost(client);
}

void DataIsEchoedWhole(Stage& s) {
  Tracing& client = s.Pair({.data = [](Tracing& p, std::string_view data) { p.Write(data); }});
  Peer& peer = s.peer();
  client.SetHigh(64'000'000);
  Peer& reader = s.SecondHand(peer, "reader");
  auto sending = s.Start([&] {
    peer.Send(Pattern(4'000'000));
    peer.Shutdown();
  });
  auto reading = s.Start([&] { reader.RecvAll(); });
  s.Wait(std::move(sending));
  s.Wait(std::move(reading));
  s.UntilLost(client);
}

void WritesKeepTheirOrder(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  for (int i = 0; i < 100; ++i) client.Write(absl::StrFormat("%02d;", i));
  client.transport().Close();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void WritelinesWritesAllLines(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.Writelines({"one ", "", "two ", "three"});
  client.Writelines({});
  client.Write("");
  client.transport().Close();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void WriteTakesACopy(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.SetHigh(64'000'000);
  std::string data = Pattern(16'000'000);
  client.Write(data);
  std::fill(data.begin(), data.end(), '\0');
  client.transport().Close();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void WriteInConnectionMade(Stage& s) {
  Tracing& client = s.Pair({.made = [](Tracing& p) { p.Write("first"); }});
  Peer& peer = s.peer();
  client.Write(" second");
  client.transport().Close();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void WriteBufferSizeFallsToZero(Stage& s) {
  Tracing& client = s.Pair();
  Peer& peer = s.peer();
  client.Note("size", client.transport().GetWriteBufferSize());
  client.SetHigh(64'000'000);
  client.Write(Pattern(16'000'000));
  client.Note("is buffered", client.transport().GetWriteBufferSize() > 0);
  auto reading = s.Start([&] { peer.Recv(16'000'000); });
  s.UntilDrained(client);
  client.Note("size", client.transport().GetWriteBufferSize());
  s.Wait(std::move(reading));
  client.transport().Close();
  s.UntilLost(client);
}

void SetProtocolTakesEffectWithTheNextCallback(Stage& s) {
  Tracing& other = s.NewProtocol("other");
  Tracing& client = s.Pair({.data = [&](Tracing& p, std::string_view) {
    other.TakeOver(p);
    p.transport().SetProtocol(other.AsProtocol());
  }});
  Peer& peer = s.peer();
  s.Run([&] { peer.Send("for the first"); });
  s.Until([&] { return client.received_bytes() == 13; });
  client.Note("protocol is the other", client.transport().GetProtocol() == other.AsProtocol());
  s.Run([&] {
    peer.Send("for the other");
    peer.Close();
  });
  s.UntilLost(other);
}

}  // namespace

void AddDataScenarios(Scenarios& scenarios) {
  scenarios.insert(scenarios.end(),
                   {
                       {"data_both_ways", DataBothWays},
                       {"data_arrives_whole_and_in_order", DataArrivesWholeAndInOrder},
                       {"data_is_echoed_whole", DataIsEchoedWhole},
                       {"writes_keep_their_order", WritesKeepTheirOrder},
                       {"writelines_writes_all_lines", WritelinesWritesAllLines},
                       {"write_takes_a_copy", WriteTakesACopy},
                       {"write_in_connection_made", WriteInConnectionMade},
                       {"write_buffer_size_falls_to_zero", WriteBufferSizeFallsToZero},
                       {"set_protocol_takes_effect_with_the_next_callback", SetProtocolTakesEffectWithTheNextCallback},
                   });
}

}  // namespace transportd::conformance
