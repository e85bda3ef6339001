from stage import pattern, scenario


@scenario
async def eof_closes_when_eof_received_returns_false(s):
    client, peer = await s.pair()
    await s.run(lambda: (peer.send(b"last words"), peer.shutdown(), peer.recv_all()))
    await s.until_lost(client)
    client.note_state()


@scenario
async def eof_flushes_before_it_closes(s):
    client, peer = await s.pair(data=lambda p, data: p.transport.write(pattern(16_000_000)))
    await s.run(lambda: (peer.send(b"?"), peer.shutdown(), peer.recv_all()))
    await s.until_lost(client)


@scenario
async def eof_keeps_open_when_eof_received_returns_true(s):
    client, peer = await s.pair(eof=lambda p: True)
    await s.run(peer.shutdown)
    await s.until(lambda: client.got_eof)
    client.note_state()
    await s.settle()
    client.note("lost", client.lost)
    client.transport.write(b"still here")
    await s.run(lambda: peer.recv(10))
    client.transport.close()
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def write_eof_then_the_peer_answers(s):
    client, peer = await s.pair()
    client.note("can_write_eof", client.transport.can_write_eof())
    client.transport.write(b"question")
    client.transport.write_eof()
    client.note_state()
    await s.run(lambda: (peer.recv_all(), peer.send(b"answer"), peer.close()))
    await s.until_lost(client)


@scenario
async def write_eof_flushes_first(s):
    client, peer = await s.pair()
    client.transport.set_write_buffer_limits(high=64_000_000)
    client.transport.write(pattern(16_000_000))
    client.transport.write_eof()
    await s.run(lambda: (peer.recv_all(), peer.send(b"thanks"), peer.close()))
    await s.until_lost(client)


@scenario
async def write_eof_twice(s):
    client, peer = await s.pair()
    client.transport.write_eof()
    client.transport.write_eof()
    await s.run(lambda: (peer.recv_all(), peer.close()))
    await s.until_lost(client)


@scenario
async def write_after_write_eof_is_refused(s):
    client, peer = await s.pair()
    client.transport.write_eof()
    client.try_write(b"more")
    client.try_write(b"")
    client.try_writelines([b"more"])
    client.try_writelines([])
    client.note_state()
    await s.run(lambda: (peer.recv_all(), peer.close()))
    await s.until_lost(client)


@scenario
async def write_eof_after_close_is_nothing(s):
    client, peer = await s.pair()
    client.transport.write(b"all")
    client.transport.close()
    client.transport.write_eof()
    client.try_write(b"")
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def half_closed_by_both_stays_open_until_close(s):
    client, peer = await s.pair(eof=lambda p: True)
    client.transport.write_eof()
    await s.run(lambda: (peer.recv_all(), peer.shutdown()))
    await s.until(lambda: client.got_eof)
    await s.settle()
    client.note("lost", client.lost)
    client.note_state()
    client.transport.close()
    await s.until_lost(client)


@scenario
async def half_closed_by_the_peer_first(s):
    client, peer = await s.pair(eof=lambda p: True)
    await s.run(lambda: (peer.send(b"question"), peer.shutdown()))
    await s.until(lambda: client.got_eof)
    client.transport.write(b"answer")
    client.transport.write_eof()
    await s.run(peer.recv_all)
    await s.settle()
    client.note("lost", client.lost)
    client.transport.close()
    await s.until_lost(client)


@scenario
async def close_after_write_eof(s):
    client, peer = await s.pair()
    client.transport.set_write_buffer_limits(high=64_000_000)
    client.transport.write(pattern(16_000_000))
    client.transport.write_eof()
    client.transport.close()
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def write_eof_in_eof_received(s):
    def eof(p):
        p.transport.write(b"bye")
        p.transport.write_eof()

    client, peer = await s.pair(eof=eof)
    await s.run(lambda: (peer.shutdown(), peer.recv_all()))
    await s.until_lost(client)
