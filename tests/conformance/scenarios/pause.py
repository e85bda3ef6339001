from stage import pattern, scenario


@scenario
async def pause_holds_data(s):
    client, peer = await s.pair()
    client.transport.pause_reading()
    client.note_state()
    await s.run(lambda: peer.send(b"wait for it"))
    await s.settle()
    client.note("received_bytes", client.received_bytes)
    client.transport.resume_reading()
    client.note("resume_reading returned")
    client.note_state()
    await s.until(lambda: client.received_bytes == 11)
    client.transport.close()
    await s.until_lost(client)


@scenario
async def pause_holds_fin(s):
    client, peer = await s.pair()
    client.transport.pause_reading()
    await s.run(lambda: (peer.send(b"last words"), peer.close()))
    await s.settle()
    client.note("got_eof", client.got_eof)
    client.transport.resume_reading()
    await s.until_lost(client)


@scenario
async def pause_holds_reset(s):
    client, peer = await s.pair()
    client.transport.pause_reading()
    await s.settle()
    await s.run(peer.reset)
    await s.settle()
    client.note("lost", client.lost)
    client.transport.resume_reading()
    await s.until_lost(client)


@scenario
async def pause_in_connection_made_holds(s):
    client, peer = await s.pair(made=lambda p: p.transport.pause_reading())
    await s.run(lambda: (peer.send(b"early"), peer.close()))
    await s.settle()
    client.note("received_bytes", client.received_bytes)
    client.note_state()
    client.transport.resume_reading()
    await s.until_lost(client)


@scenario
async def pause_and_resume_in_connection_made(s):
    def made(p):
        p.transport.pause_reading()
        p.transport.resume_reading()
        p.note_state()

    client, peer = await s.pair(made=made)
    await s.run(lambda: (peer.send(b"hello"), peer.close()))
    await s.until_lost(client)


@scenario
async def pause_in_data_received_holds_the_rest(s):
    def data(p, _):
        p.transport.pause_reading()
        p.note_state()

    client, peer = await s.pair(data=data)
    await s.run(lambda: peer.send(b"one"))
    await s.until(lambda: client.received_bytes == 3)
    await s.run(lambda: (peer.send(b"two"), peer.close()))
    await s.settle()
    client.note("received_bytes", client.received_bytes)
    client.transport.resume_reading()
    await s.until(lambda: client.received_bytes == 6)
    await s.settle()
    client.note("got_eof", client.got_eof)
    client.transport.resume_reading()
    await s.until_lost(client)


@scenario
async def pause_and_resume_are_idempotent(s):
    client, peer = await s.pair()
    client.transport.resume_reading()
    client.transport.pause_reading()
    client.transport.pause_reading()
    client.note_state()
    client.transport.resume_reading()
    client.transport.resume_reading()
    client.note_state()
    await s.run(lambda: (peer.send(b"hello"), peer.close()))
    await s.until_lost(client)


@scenario
async def pausing_over_and_over_loses_nothing(s):
    def data(p, _):
        p.transport.pause_reading()
        p.stage.loop.call_soon(p.transport.resume_reading)

    client, peer = await s.pair(data=data)
    await s.run(lambda: (peer.send(pattern(2_000_000)), peer.close()))
    await s.until_lost(client)


@scenario
async def close_while_paused(s):
    client, peer = await s.pair()
    client.transport.pause_reading()
    await s.settle()
    await s.run(lambda: peer.send(b"unread"))
    await s.settle()
    client.transport.close()
    client.note_state()
    client.transport.resume_reading()
    client.note_state()
    await s.until_lost(client)
    await s.run(peer.drain)


@scenario
async def abort_while_paused(s):
    client, peer = await s.pair()
    client.transport.pause_reading()
    client.transport.abort()
    await s.until_lost(client)
    await s.run(peer.recv_all)


@scenario
async def write_error_ends_a_paused_transport(s):
    client, peer = await s.pair()
    client.transport.pause_reading()
    await s.settle()
    await s.run(peer.reset)
    client.transport.write(b"into the void")
    await s.until_lost(client)


@scenario
async def writing_goes_on_while_paused(s):
    client, peer = await s.pair()
    client.transport.pause_reading()
    client.transport.write(b"hello")
    await s.run(lambda: peer.recv(5))
    client.transport.resume_reading()
    await s.run(lambda: (peer.shutdown(), peer.recv_all()))
    await s.until_lost(client)


@scenario
async def states_at_every_point(s):
    def state(p, *_):
        p.note_state()

    client, peer = await s.pair(made=state, data=state, eof=state, lost=state)
    client.note_state()
    await s.run(lambda: (peer.send(b"hello"), peer.recv(0), peer.close()))
    await s.until_lost(client)
    client.note_state()
