from stage import pattern, scenario


@scenario
async def data_both_ways(s):
    client, peer = await s.pair(data=lambda p, data: p.transport.write(data))
    await s.run(lambda: (peer.send(b"hello"), peer.recv(5), peer.send(b"again"), peer.recv(5), peer.shutdown()))
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def data_arrives_whole_and_in_order(s):
    client, peer = await s.pair()
    await s.run(lambda: (peer.send(pattern(3_000_000)), peer.send(b"the end"), peer.close()))
    await s.until_lost(client)


@scenario
async def data_is_echoed_whole(s):
    client, peer = await s.pair(data=lambda p, data: p.transport.write(data))
    client.transport.set_write_buffer_limits(high=64_000_000)
    reader = s.second_hand(peer, "reader")
    sending = s.start(lambda: (peer.send(pattern(4_000_000)), peer.shutdown()))
    reading = s.start(reader.recv_all)
    await sending
    await reading
    await s.until_lost(client)


@scenario
async def writes_keep_their_order(s):
    client, peer = await s.pair()
    for i in range(100):
        client.transport.write(b"%02d;" % i)
    client.transport.close()
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def writelines_writes_all_lines(s):
    client, peer = await s.pair()
    client.transport.writelines([b"one ", b"", b"two ", b"three"])
    client.transport.writelines([])
    client.transport.write(b"")
    client.transport.close()
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def write_takes_a_copy(s):
    client, peer = await s.pair()
    client.transport.set_write_buffer_limits(high=64_000_000)
    data = bytearray(pattern(16_000_000))
    client.transport.write(data)
    data[:] = bytes(len(data))
    client.transport.close()
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def write_in_connection_made(s):
    client, peer = await s.pair(made=lambda p: p.transport.write(b"first"))
    client.transport.write(b" second")
    client.transport.close()
    await s.run(peer.recv_all)
    await s.until_lost(client)


@scenario
async def write_buffer_size_falls_to_zero(s):
    client, peer = await s.pair()
    client.note("size", client.transport.get_write_buffer_size())
    client.transport.set_write_buffer_limits(high=64_000_000)
    client.transport.write(pattern(16_000_000))
    client.note("is buffered", client.transport.get_write_buffer_size() > 0)
    reading = s.start(lambda: peer.recv(16_000_000))
    await s.until_drained(client)
    client.note("size", client.transport.get_write_buffer_size())
    await reading
    client.transport.close()
    await s.until_lost(client)


@scenario
async def set_protocol_takes_effect_with_the_next_callback(s):
    other = s.protocol("other")
    client, peer = await s.pair(data=lambda p, data: p.transport.set_protocol(other))
    other.transport, other.made = client.transport, True
    await s.run(lambda: peer.send(b"for the first"))
    await s.until(lambda: client.received_bytes == 13)
    client.note("protocol is the other", client.transport.get_protocol() is other)
    await s.run(lambda: (peer.send(b"for the other"), peer.close()))
    await s.until_lost(other)
    client.lost = True
