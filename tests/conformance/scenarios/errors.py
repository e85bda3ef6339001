from stage import pattern, scenario


@scenario
async def reset_of_an_idle_connection(s):
    client, peer = await s.pair()
    await s.run(peer.reset)
    await s.until_lost(client)
    client.note_state()


@scenario
async def reset_after_data(s):
    client, peer = await s.pair()
    await s.run(lambda: peer.send(b"hello"))
    await s.until(lambda: client.received_bytes == 5)
    await s.run(peer.reset)
    await s.until_lost(client)


@scenario
async def reset_while_flushing(s):
    client, peer = await s.pair()
    client.transport.set_write_buffer_limits(high=64_000_000)
    client.transport.write(pattern(16_000_000))
    client.transport.close()
    await s.settle()
    await s.run(peer.reset)
    await s.until_lost(client)


@scenario
async def reset_of_a_paused_writer_does_not_resume_it(s):
    client, peer = await s.pair()
    client.transport.write(pattern(16_000_000))
    await s.settle()
    await s.run(peer.reset)
    await s.until_lost(client)


@scenario
async def half_open_peer_is_gone(s):
    client, peer = await s.pair(eof=lambda p: True)
    await s.run(peer.close)
    await s.until(lambda: client.got_eof)
    while not client.lost:
        client.transport.write(b"x")
        await s.settle()


@scenario
async def write_after_an_error_is_dropped(s):
    client, peer = await s.pair()
    await s.run(peer.reset)
    await s.until_lost(client)
    for _ in range(3):
        client.transport.write(b"dropped")
    client.note("size", client.transport.get_write_buffer_size())
    await s.settle()


@scenario
async def abort_after_an_error(s):
    client, peer = await s.pair(lost=lambda p: p.transport.abort())
    await s.run(peer.reset)
    await s.until_lost(client)
    client.transport.abort()
    await s.settle()
