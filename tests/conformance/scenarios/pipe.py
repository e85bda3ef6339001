import pipe_end
from stage import pattern, scenario


@scenario
async def read_pipe_delivers_data_then_its_end(s):
    client, peer = await pipe_end.read(s)
    await s.run(lambda: (peer.send(pattern(200_000)), peer.close()))
    await s.until(lambda: client.lost)
    client.note("is_closing", client.transport.is_closing())


@scenario
async def read_pipe_ignores_what_eof_received_returns(s):
    client, peer = await pipe_end.read(s, eof=lambda p: True)
    await s.run(lambda: (peer.send(b"last words"), peer.close()))
    await s.until(lambda: client.lost)


@scenario
async def read_pipe_without_a_writer_has_no_end(s):
    client = s.protocol("client")
    await pipe_end.connect_read(s, client, pipe_end.make_fifo(s, "fifo"))
    await s.settle()
    client.note("lost", client.lost)
    client.transport.close()
    await s.until(lambda: client.lost)


@scenario
async def read_pipe_paused_holds_data_and_end_back(s):
    client, peer = await pipe_end.read(s)
    client.transport.pause_reading()
    await s.run(lambda: (peer.send(b"data"), peer.close()))
    await s.settle()
    client.note("received", client.received_bytes)
    client.transport.resume_reading()
    await s.until(lambda: client.lost)


@scenario
async def read_pipe_pause_in_data_received(s):
    def data(p, _):
        p.transport.pause_reading()
        p.stage.loop.call_soon(p.transport.resume_reading)

    client, peer = await pipe_end.read(s, data=data)
    await s.run(lambda: (peer.send(pattern(1_000_000)), peer.close()))
    await s.until(lambda: client.lost)


@scenario
async def read_pipe_close(s):
    client, peer = await pipe_end.read(s)
    client.transport.close()
    client.transport.close()
    await s.until(lambda: client.lost)
    await s.run(lambda: peer.send(b"x"))


@scenario
async def read_pipe_close_in_data_received(s):
    client, peer = await pipe_end.read(s, data=lambda p, _: p.transport.close())
    await s.run(lambda: peer.send(b"x"))
    await s.until(lambda: client.lost)


@scenario
async def write_pipe_writes(s):
    client, peer = await pipe_end.write(s)
    client.note("can_write_eof", client.transport.can_write_eof())
    client.transport.write(b"hello")
    await s.run(lambda: peer.recv(5))
    client.transport.writelines([b"a", b"", b"bc"])
    await s.run(lambda: peer.recv(3))
    client.transport.close()
    await s.run(peer.recv_all)
    await s.until(lambda: client.lost)


@scenario
async def write_pipe_close_flushes(s):
    client, peer = await pipe_end.write(s)
    client.transport.set_write_buffer_limits(high=64_000_000)
    client.transport.write(pattern(16_000_000))
    client.transport.close()
    client.note("is_closing", client.transport.is_closing())
    await s.run(peer.recv_all)
    await s.until(lambda: client.lost)


@scenario
async def write_pipe_write_eof_is_close(s):
    client, peer = await pipe_end.write(s)
    client.transport.write(b"all")
    client.transport.write_eof()
    client.note("is_closing", client.transport.is_closing())
    client.transport.write(b"dropped")
    client.transport.write_eof()
    await s.run(peer.recv_all)
    await s.until(lambda: client.lost)


@scenario
async def write_pipe_drops_what_is_written_while_it_flushes(s):
    client, peer = await pipe_end.write(s)
    client.transport.set_write_buffer_limits(high=64_000_000)
    client.transport.write(pattern(1_000_000))
    client.transport.close()
    client.transport.write(b"dropped")
    await s.run(peer.recv_all)
    await s.until(lambda: client.lost)


@scenario
async def write_pipe_abort_drops(s):
    client, peer = await pipe_end.write(s)
    client.transport.set_write_buffer_limits(high=64_000_000)
    client.transport.write(pattern(16_000_000))
    client.transport.abort()
    await s.until(lambda: client.lost)
    client.note("is_closing", client.transport.is_closing())


@scenario
async def write_pipe_pauses_and_resumes(s):
    client, peer = await pipe_end.write(s)
    client.transport.write(pattern(1_000_000))
    await s.run(lambda: peer.recv(1_000_000))
    await s.until_drained(client)
    client.transport.close()
    await s.until(lambda: client.lost)


@scenario
async def write_pipe_notices_that_its_reader_is_gone(s):
    client, peer = await pipe_end.write(s)
    client.transport.write(b"hello")
    await s.run(lambda: (peer.recv(5), peer.close()))
    await s.until(lambda: client.lost)
    client.note("is_closing", client.transport.is_closing())
    client.transport.write(b"nobody")


@scenario
async def write_pipe_with_bytes_for_a_reader_that_is_gone(s):
    client, peer = await pipe_end.write(s)
    client.transport.set_write_buffer_limits(high=64_000_000)
    client.transport.write(pattern(16_000_000))
    await s.run(lambda: (peer.recv(100_000), peer.close()))
    await s.until(lambda: client.lost)


@scenario
async def write_pipe_closing_when_its_reader_goes(s):
    client, peer = await pipe_end.write(s)
    client.transport.set_write_buffer_limits(high=64_000_000)
    client.transport.write(pattern(16_000_000))
    client.transport.close()
    await s.run(lambda: (peer.recv(100_000), peer.close()))
    await s.until(lambda: client.lost)


@scenario
async def write_pipe_without_a_reader_is_refused(s):
    client = s.protocol("client")
    await pipe_end.connect_write(s, client, pipe_end.make_fifo(s, "fifo"))


@scenario
async def read_pipe_of_nothing_is_refused(s):
    client = s.protocol("client")
    await pipe_end.connect_read(s, client, s.path_of("none"))
