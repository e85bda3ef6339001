from stage import pattern, scenario


@scenario
async def buffered_protocol_receives(s):
    client, peer = await s.pair(s.buffered("client", 65536))
    await s.run(lambda: (peer.send(b"hello"), peer.send(pattern(500_000)), peer.close()))
    await s.until_lost(client)


@scenario
async def buffered_protocol_with_a_small_buffer(s):
    sizes = []
    client, peer = await s.pair(s.buffered("client", 7, data=lambda p, data: sizes.append(len(data))))
    await s.run(lambda: (peer.send(pattern(3000)), peer.close()))
    await s.until_lost(client)
    client.note("never more than the buffer holds", max(sizes) <= 7)


@scenario
async def buffered_protocol_keeps_open_at_eof(s):
    client, peer = await s.pair(s.buffered("client", 100, eof=lambda p: True))
    await s.run(lambda: (peer.send(b"question"), peer.shutdown()))
    await s.until(lambda: client.got_eof)
    client.transport.write(b"answer")
    client.transport.close()
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def buffered_protocol_pauses_and_resumes(s):
    client, peer = await s.pair(s.buffered("client", 5, data=lambda p, data: p.transport.pause_reading()))
    await s.run(lambda: (peer.send(b"12345"), peer.send(b"67890"), peer.close()))
    await s.until(lambda: client.received_bytes == 5)
    await s.settle()
    client.note("received_bytes", client.received_bytes)
    client.transport.resume_reading()
    await s.until(lambda: client.received_bytes == 10)
    await s.settle()
    client.note("got_eof", client.got_eof)
    client.transport.resume_reading()
    await s.until_lost(client)


@scenario
async def set_protocol_between_plain_and_buffered(s):
    last = s.protocol("last")
    buffered = s.buffered("buffered", 64, data=lambda p, data: p.transport.set_protocol(last))
    client, peer = await s.pair(data=lambda p, data: p.transport.set_protocol(buffered))
    for other in (buffered, last):
        other.transport, other.made = client.transport, True
    await s.run(lambda: peer.send(b"plain"))
    await s.until(lambda: client.received_bytes == 5)
    await s.run(lambda: peer.send(b"into a buffer"))
    await s.until(lambda: buffered.received_bytes == 13)
    await s.run(lambda: (peer.send(b"plain again"), peer.close()))
    await s.until_lost(last)
    client.lost = buffered.lost = True
