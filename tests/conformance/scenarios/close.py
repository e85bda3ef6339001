from stage import pattern, scenario


@scenario
async def close_with_an_empty_buffer(s):
    client, peer = await s.pair()
    client.transport.close()
    client.note("close returned")
    client.note_state()
    await s.run(peer.recv_all)
    await s.until_lost(client)
    client.note_state()


@scenario
async def close_flushes_a_large_write(s):
    client, peer = await s.pair()
    client.transport.write(pattern(16_000_000))
    client.note("write returned")
    client.transport.close()
    client.note("close returned")
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def close_twice(s):
    client, peer = await s.pair()
    client.transport.write(b"once")
    client.transport.close()
    client.transport.close()
    client.note_state()
    await s.run(peer.recv_all)
    await s.until_lost(client)
    client.transport.close()
    await s.settle()


@scenario
async def abort_drops_what_is_buffered(s):
    client, peer = await s.pair()
    client.transport.set_write_buffer_limits(high=64_000_000)
    client.transport.write(pattern(16_000_000))
    client.transport.abort()
    client.note("abort returned")
    client.note_state()
    await s.until_lost(client)
    await s.run(peer.drain)
    client.note("all arrived", peer.received_bytes == 16_000_000)


@scenario
async def abort_of_a_paused_writer_does_not_resume_it(s):
    client, peer = await s.pair()
    client.transport.write(pattern(16_000_000))
    client.transport.abort()
    await s.until_lost(client)
    await s.run(peer.drain)


@scenario
async def abort_ends_with_fin(s):
    client, peer = await s.pair()
    client.transport.abort()
    client.transport.abort()
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def abort_overtakes_close(s):
    client, peer = await s.pair()
    client.transport.set_write_buffer_limits(high=64_000_000)
    client.transport.write(pattern(16_000_000))
    client.transport.close()
    client.note("close returned")
    await s.settle()
    client.note("lost", client.lost)
    client.transport.abort()
    client.note("abort returned")
    await s.until_lost(client)
    await s.run(peer.drain)
    client.note("all arrived", peer.received_bytes == 16_000_000)


@scenario
async def abort_in_connection_made(s):
    client, peer = await s.pair(made=lambda p: p.transport.abort())
    await s.until_lost(client)
    await s.run(peer.recv_all)


@scenario
async def close_in_connection_made(s):
    def made(p):
        p.transport.write(b"hello and goodbye")
        p.transport.close()
        p.note_state()

    client, peer = await s.pair(made=made)
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def close_in_data_received(s):
    def data(p, _):
        p.transport.write(b"enough")
        p.transport.close()
        p.note_state()

    client, peer = await s.pair(data=data)
    await s.run(lambda: (peer.send(b"hello"), peer.recv_all()))
    await s.until_lost(client)


@scenario
async def abort_in_data_received(s):
    client, peer = await s.pair(data=lambda p, data: p.transport.abort())
    await s.run(lambda: (peer.send(b"hello"), peer.recv_all()))
    await s.until_lost(client)


@scenario
async def close_in_eof_received(s):
    def eof(p):
        p.transport.write(b"bye")
        p.transport.close()
        return True

    client, peer = await s.pair(eof=eof)
    await s.run(lambda: (peer.shutdown(), peer.recv_all()))
    await s.until_lost(client)


@scenario
async def abort_in_eof_received(s):
    def eof(p):
        p.transport.abort()
        return True

    client, peer = await s.pair(eof=eof)
    await s.run(lambda: (peer.shutdown(), peer.recv_all()))
    await s.until_lost(client)


@scenario
async def write_after_close_while_flushing_is_sent(s):
    client, peer = await s.pair()
    client.transport.set_write_buffer_limits(high=64_000_000)
    client.transport.write(pattern(16_000_000))
    client.transport.close()
    client.transport.write(b"the tail")
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def write_after_close_with_an_empty_buffer_is_dropped(s):
    client, peer = await s.pair()
    client.transport.close()
    client.transport.write(b"too late")
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def no_data_received_after_close(s):
    client, peer = await s.pair()
    client.transport.set_write_buffer_limits(high=64_000_000)
    client.transport.write(pattern(16_000_000))
    client.transport.close()
    await s.run(lambda: peer.send(b"nobody listens"))
    await s.settle()
    client.note("received_bytes", client.received_bytes)
    client.transport.abort()
    await s.until_lost(client)
    await s.run(peer.drain)


@scenario
async def pause_and_resume_go_on_while_closing(s):
    client, peer = await s.pair()
    client.transport.write(pattern(16_000_000))
    client.transport.close()
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def methods_after_connection_lost_are_harmless(s):
    client, peer = await s.pair()
    client.transport.close()
    await s.until_lost(client)
    t = client.transport
    t.close()
    t.abort()
    t.pause_reading()
    t.resume_reading()
    t.write(b"lost")
    t.writelines([b"lost", b"too"])
    if t.can_write_eof():
        t.write_eof()
    client.note("size", t.get_write_buffer_size())
    client.note_state()
    await s.run(peer.recv_all)
    await s.settle()


@scenario
async def write_in_connection_lost_is_dropped(s):
    def lost(p):
        p.transport.write(b"too late")
        p.transport.close()
        p.transport.abort()

    client, peer = await s.pair(lost=lost)
    await s.run(lambda: (peer.shutdown(), peer.recv_all()))
    await s.until_lost(client)
    await s.settle()
