#include "tests/conformance/pipe_end.h"
#include "tests/conformance/scenarios/scenarios.h"

namespace transportd::conformance {

namespace {

void ReadPipeDeliversDataThenItsEnd(Stage& s) {
  Pipes pipes(s);
  Tracing& client = s.NewProtocol("client");
  PipeEnd& peer = pipes.Read(client);
  s.Run([&] {
    peer.Send(Pattern(200'000));
    peer.Close();
  });
  s.UntilLost(client);
  client.Note("is_closing", client.transport().IsClosing());
}

void ReadPipeIgnoresWhatEofReceivedReturns(Stage& s) {
  Pipes pipes(s);
  Tracing& client = s.NewProtocol("client", {.eof = [](Tracing&) { return true; }});
  PipeEnd& peer = pipes.Read(client);
  s.Run([&] {
    peer.Send("last words");
    peer.Close();
  });
  s.UntilLost(client);
}

void ReadPipeWithoutAWriterHasNoEnd(Stage& s) {
  Pipes pipes(s);
  Tracing& client = s.NewProtocol("client");
  pipes.ConnectRead(client, pipes.MakeFifo("fifo"));
  s.Settle();
  client.Note("lost", client.lost());
  client.transport().Close();
  s.UntilLost(client);
}

void ReadPipePausedHoldsDataAndEndBack(Stage& s) {
  Pipes pipes(s);
  Tracing& client = s.NewProtocol("client");
  PipeEnd& peer = pipes.Read(client);
  client.transport().PauseReading();
  s.Run([&] {
    peer.Send("data");
    peer.Close();
  });
  s.Settle();
  client.Note("received", client.received_bytes());
  client.transport().ResumeReading();
  s.UntilLost(client);
}

void ReadPipePauseInDataReceived(Stage& s) {
  Pipes pipes(s);
  Tracing& client = s.NewProtocol("client", {.data = [](Tracing& p, std::string_view) {
                                    p.transport().PauseReading();
                                    p.stage().loop().CallSoon([&p] { p.transport().ResumeReading(); });
                                  }});
  PipeEnd& peer = pipes.Read(client);
  s.Run([&] {
    peer.Send(Pattern(1'000'000));
    peer.Close();
  });
  s.UntilLost(client);
}

void ReadPipeClose(Stage& s) {
  Pipes pipes(s);
  Tracing& client = s.NewProtocol("client");
  PipeEnd& peer = pipes.Read(client);
  client.transport().Close();
  client.transport().Close();
  s.UntilLost(client);
  s.Run([&] { peer.Send("x"); });
}

void ReadPipeCloseInDataReceived(Stage& s) {
  Pipes pipes(s);
  Tracing& client = s.NewProtocol("client", {.data = [](Tracing& p, std::string_view) { p.transport().Close(); }});
  PipeEnd& peer = pipes.Read(client);
  s.Run([&] { peer.Send("x"); });
  s.UntilLost(client);
}

void WritePipeWrites(Stage& s) {
  Pipes pipes(s);
  Tracing& client = s.NewProtocol("client");
  PipeEnd& peer = pipes.Write(client);
  client.Note("can_write_eof", client.transport().CanWriteEof());
  client.Write("hello");
  s.Run([&] { peer.Recv(5); });
  client.Writelines({"a", "", "bc"});
  s.Run([&] { peer.Recv(3); });
  client.transport().Close();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void WritePipeCloseFlushes(Stage& s) {
  Pipes pipes(s);
  Tracing& client = s.NewProtocol("client");
  PipeEnd& peer = pipes.Write(client);
  client.SetHigh(64'000'000);
  client.Write(Pattern(16'000'000));
  client.transport().Close();
  client.Note("is_closing", client.transport().IsClosing());
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void WritePipeWriteEofIsClose(Stage& s) {
  Pipes pipes(s);
  Tracing& client = s.NewProtocol("client");
  PipeEnd& peer = pipes.Write(client);
  client.Write("all");
  client.transport().WriteEof();
  client.Note("is_closing", client.transport().IsClosing());
  client.Write("dropped");
  client.transport().WriteEof();
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void WritePipeDropsWhatIsWrittenWhileItFlushes(Stage& s) {
  Pipes pipes(s);
  Tracing& client = s.NewProtocol("client");
  PipeEnd& peer = pipes.Write(client);
  client.SetHigh(64'000'000);
  client.Write(Pattern(1'000'000));
  client.transport().Close();
  client.Write("dropped");
  s.Run([&] { peer.RecvAll(); });
  s.UntilLost(client);
}

void WritePipeAbortDrops(Stage& s) {
  Pipes pipes(s);
  Tracing& client = s.NewProtocol("client");
  pipes.Write(client);
  client.SetHigh(64'000'000);
  client.Write(Pattern(16'000'000));
  client.transport().Abort();
  s.UntilLost(client);
  client.Note("is_closing", client.transport().IsClosing());
}

void WritePipePausesAndResumes(Stage& s) {
  Pipes pipes(s);
  Tracing& client = s.NewProtocol("client");
  PipeEnd& peer = pipes.Write(client);
  client.Write(Pattern(1'000'000));
  s.Run([&] { peer.Recv(1'000'000); });
  s.UntilDrained(client);
  client.transport().Close();
  s.UntilLost(client);
}

void WritePipeNoticesThatItsReaderIsGone(Stage& s) {
  Pipes pipes(s);
  Tracing& client = s.NewProtocol("client");
  PipeEnd& peer = pipes.Write(client);
  client.Write("hello");
  s.Run([&] {
    peer.Recv(5);
    peer.Close();
  });
  s.UntilLost(client);
  client.Note("is_closing", client.transport().IsClosing());
  client.Write("nobody");
}

void WritePipeWithBytesForAReaderThatIsGone(Stage& s) {
  Pipes pipes(s);
  Tracing& client = s.NewProtocol("client");
  PipeEnd& peer = pipes.Write(client);
  client.SetHigh(64'000'000);
  client.Write(Pattern(16'000'000));
  s.Run([&] {
    peer.Recv(100'000);
    peer.Close();
  });
  s.UntilLost(client);
}

void WritePipeClosingWhenItsReaderGoes(Stage& s) {
  Pipes pipes(s);
  Tracing& client = s.NewProtocol("client");
  PipeEnd& peer = pipes.Write(client);
  client.SetHigh(64'000'000);
  client.Write(Pattern(16'000'000));
  client.transport().Close();
  s.Run([&] {
    peer.Recv(100'000);
    peer.Close();
  });
  s.UntilLost(client);
}

void WritePipeWithoutAReaderIsRefused(Stage& s) {
  Pipes pipes(s);
  pipes.ConnectWrite(s.NewProtocol("client"), pipes.MakeFifo("fifo"));
}

void ReadPipeOfNothingIsRefused(Stage& s) {
  Pipes pipes(s);
  pipes.ConnectRead(s.NewProtocol("client"), s.PathOf("none"));
}

}  // namespace

void AddPipeScenarios(Scenarios& scenarios) {
  scenarios.insert(scenarios.end(),
                   {
                       {"read_pipe_delivers_data_then_its_end", ReadPipeDeliversDataThenItsEnd},
                       {"read_pipe_ignores_what_eof_received_returns", ReadPipeIgnoresWhatEofReceivedReturns},
                       {"read_pipe_without_a_writer_has_no_end", ReadPipeWithoutAWriterHasNoEnd},
                       {"read_pipe_paused_holds_data_and_end_back", ReadPipePausedHoldsDataAndEndBack},
                       {"read_pipe_pause_in_data_received", ReadPipePauseInDataReceived},
                       {"read_pipe_close", ReadPipeClose},
                       {"read_pipe_close_in_data_received", ReadPipeCloseInDataReceived},
                       {"write_pipe_writes", WritePipeWrites},
                       {"write_pipe_close_flushes", WritePipeCloseFlushes},
                       {"write_pipe_write_eof_is_close", WritePipeWriteEofIsClose},
                       {"write_pipe_drops_what_is_written_while_it_flushes", WritePipeDropsWhatIsWrittenWhileItFlushes},
                       {"write_pipe_abort_drops", WritePipeAbortDrops},
                       {"write_pipe_pauses_and_resumes", WritePipePausesAndResumes},
                       {"write_pipe_notices_that_its_reader_is_gone", WritePipeNoticesThatItsReaderIsGone},
                       {"write_pipe_with_bytes_for_a_reader_that_is_gone", WritePipeWithBytesForAReaderThatIsGone},
                       {"write_pipe_closing_when_its_reader_goes", WritePipeClosingWhenItsReaderGoes},
                       {"write_pipe_without_a_reader_is_refused", WritePipeWithoutAReaderIsRefused},
                       {"read_pipe_of_nothing_is_refused", ReadPipeOfNothingIsRefused},
                   });
}

}  // namespace transportd::conformance
