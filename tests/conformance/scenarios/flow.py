from stage import pattern, scenario


@scenario
async def write_buffer_limits_are_resolved(s):
    client, peer = await s.pair()
    client.note_limits()
    for limits in (
        {"high": 1000},
        {"low": 1000},
        {"high": 300, "low": 200},
        {"high": 200, "low": 200},
        {"high": 0},
        {"low": 0},
        {"high": 3},
        {},
    ):
        client.try_set_limits(**limits)
        client.note_limits()
    client.transport.close()
    await s.until_lost(client)


@scenario
async def bad_write_buffer_limits_change_nothing(s):
    client, peer = await s.pair()
    client.try_set_limits(high=1, low=2)
    client.note_limits()
    client.try_set_limits(high=0, low=1)
    client.note_limits()
    client.transport.close()
    await s.until_lost(client)


@scenario
async def pause_writing_comes_inside_write(s):
    client, peer = await s.pair()
    client.note("write")
    client.transport.write(pattern(16_000_000))
    client.note("write returned")
    await s.run(lambda: peer.recv(16_000_000))
    await s.until_drained(client)
    client.transport.close()
    await s.until_lost(client)


@scenario
async def pause_writing_comes_strictly_over_the_high_water_mark(s):
    client, peer = await s.pair()
    client.transport.set_write_buffer_limits(high=64_000_000)
    client.transport.write(pattern(16_000_000))
    size = client.transport.get_write_buffer_size()
    client.transport.set_write_buffer_limits(high=size)
    client.note("at the mark")
    client.transport.write(b"+")
    client.note("one over it")
    client.transport.write(b"+")
    client.note("two over it")
    await s.run(lambda: peer.recv(16_000_002))
    await s.until_drained(client)
    client.transport.close()
    await s.until_lost(client)


@scenario
async def setting_limits_pauses_but_never_resumes(s):
    client, peer = await s.pair()
    client.transport.set_write_buffer_limits(high=64_000_000)
    client.transport.write(pattern(16_000_000))
    client.note("written")
    client.transport.set_write_buffer_limits(high=1000)
    client.note("lowered")
    client.transport.set_write_buffer_limits(high=64_000_000, low=48_000_000)
    client.note("raised")
    reading = s.start(lambda: peer.recv(16_000_000))
    await s.until_drained(client)
    await reading
    client.transport.close()
    await s.until_lost(client)


@scenario
async def high_of_zero_pauses_when_anything_is_buffered(s):
    client, peer = await s.pair()
    client.transport.set_write_buffer_limits(high=0)
    client.transport.write(pattern(16_000_000))
    client.note("write returned")
    await s.run(lambda: peer.recv(16_000_000))
    await s.until_drained(client)
    client.transport.close()
    await s.until_lost(client)


@scenario
async def resume_writing_comes_at_or_under_the_low_water_mark(s):
    client, peer = await s.pair(
        resume=lambda p: p.note("at most low", p.transport.get_write_buffer_size() <= 10_000)
    )
    client.transport.set_write_buffer_limits(high=100_000, low=10_000)
    client.transport.write(pattern(16_000_000))
    await s.run(lambda: peer.recv(16_000_000))
    await s.until_drained(client)
    client.transport.close()
    await s.until_lost(client)


@scenario
async def pause_and_resume_alternate(s):
    rounds = 0

    def resume(p):
        nonlocal rounds
        rounds += 1
        if rounds < 4:
            p.transport.write(pattern(16_000_000))
            p.note("write in resume_writing returned")

    client, peer = await s.pair(resume=resume)
    client.transport.write(pattern(16_000_000))
    client.note("write returned")
    await s.run(lambda: peer.recv(64_000_000))
    await s.until(lambda: rounds == 4)
    client.transport.close()
    await s.until_lost(client)


@scenario
async def several_writes_over_the_mark_pause_once(s):
    client, peer = await s.pair()
    for _ in range(3):
        client.transport.write(pattern(16_000_000))
    await s.run(lambda: peer.recv(48_000_000))
    await s.until_drained(client)
    client.transport.close()
    await s.until_lost(client)


@scenario
async def close_in_resume_writing(s):
    client, peer = await s.pair(resume=lambda p: p.transport.close())
    client.transport.write(pattern(16_000_000))
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def abort_in_resume_writing(s):
    client, peer = await s.pair(resume=lambda p: p.transport.abort())
    client.transport.set_write_buffer_limits(high=64_000, low=0)
    client.transport.write(pattern(16_000_000))
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def close_in_pause_writing(s):
    client, peer = await s.pair(pause=lambda p: p.transport.close())
    client.transport.write(pattern(16_000_000))
    client.note_state()
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def abort_in_pause_writing(s):
    client, peer = await s.pair(pause=lambda p: p.transport.abort())
    client.transport.write(pattern(16_000_000))
    client.note_state()
    await s.until_lost(client)
    await s.run(peer.drain)


@scenario
async def write_in_pause_writing(s):
    client, peer = await s.pair(pause=lambda p: p.transport.write(b"the tail"))
    client.transport.write(pattern(16_000_000))
    client.transport.close()
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def write_eof_in_resume_writing(s):
    client, peer = await s.pair(resume=lambda p: p.transport.write_eof())
    client.transport.write(pattern(16_000_000))
    await s.run(lambda: (peer.recv_all(), peer.send(b"thanks"), peer.close()))
    await s.until_lost(client)
