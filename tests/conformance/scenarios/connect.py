import asyncio
import socket

from stage import scenario


@scenario
async def connection_made_before_create_connection_returns(s):
    client, peer = await s.pair()
    client.note_state()
    client.note("protocol", client.transport.get_protocol() is client)
    client.transport.close()
    await s.run(peer.recv_all)
    await s.until(lambda: client.lost)


@scenario
async def data_waiting_comes_after_create_connection_returned(s):
    listener = s.listener()
    client = s.protocol("client")
    # Sent as soon as the kernel has the connection.
    greeting = s.start_accept(listener, "peer", lambda peer: peer.send(b"hello"))
    await s.connect(client, s.port_of(listener))
    await greeting
    await s.until(lambda: client.received_bytes == 5)
    client.transport.close()
    await s.until(lambda: client.lost)


@scenario
async def extra_info_survives_connection_lost(s):
    client, peer = await s.pair()
    client.transport.close()
    await s.until(lambda: client.lost)
    client.note("peername", s.address(client.transport.get_extra_info("peername")))
    client.note("sockname", s.address(client.transport.get_extra_info("sockname")))
    client.note_state()


@scenario
async def connect_refused(s):
    client = s.protocol("client")
    await s.connect(client, s.closed_port())


@scenario
async def connect_refused_at_every_address(s):
    client = s.protocol("client")
    await s.connect(client, s.closed_port(), host=None)


@scenario
async def connect_takes_the_second_address_when_the_first_refuses(s):
    listener, port = s.port_listening_on_v4_only()
    client = s.protocol("client")
    await s.connect(client, port, host=None)
    peer = await s.accept(listener)
    client.transport.close()
    await s.run(peer.recv_all)
    await s.until(lambda: client.lost)


@scenario
async def happy_eyeballs_takes_the_second_address_when_the_first_refuses(s):
    listener, port = s.port_listening_on_v4_only()
    client = s.protocol("client")
    await s.connect(client, port, host=None, happy_eyeballs_delay=10)
    peer = await s.accept(listener)
    client.transport.close()
    await s.run(peer.recv_all)
    await s.until(lambda: client.lost)


@scenario
async def happy_eyeballs_refused_at_every_address(s):
    client = s.protocol("client")
    await s.connect(client, s.closed_port(), host=None, happy_eyeballs_delay=10)


@scenario
async def local_address_is_used(s):
    host = "127.0.0.2" if s.is_v4 else "::1"
    client = s.protocol("client")
    listener = s.listener()
    await s.connect(client, s.port_of(listener), local_addr=(host, 0))
    await s.accept(listener)
    client.transport.close()
    await s.until(lambda: client.lost)


@scenario
async def local_address_in_use(s):
    client = s.protocol("client")
    listener = s.listener()
    taken = s.listener("taken")
    await s.connect(client, s.port_of(listener), local_addr=(s.host, s.port_of(taken)))


@scenario
async def port_out_of_range(s):
    client = s.protocol("client")
    await s.connect(client, 70000)


@scenario
async def connect_family_chooses_the_addresses(s):
    port = s.closed_port()
    await s.connect(s.protocol("inet"), port, host=None, family=socket.AF_INET)
    await s.connect(s.protocol("inet6"), port, host=None, family=socket.AF_INET6)


@scenario
async def connect_flags_and_proto_are_the_look_ups(s):
    listener = s.listener()
    client = s.protocol("client")
    await s.connect(client, s.port_of(listener), proto=socket.IPPROTO_TCP)
    await s.accept(listener)
    client.transport.close()
    await s.until(lambda: client.lost)
    numeric = {"host": "a-name.invalid", "flags": socket.AI_NUMERICHOST}
    await s.connect(s.protocol("no_number"), s.port_of(listener), **numeric)


@scenario
async def connect_interleave(s):
    port = s.closed_port()
    for count in range(3):
        await s.connect(s.protocol(f"client{count}"), port, host=None, happy_eyeballs_delay=10, interleave=count)


@scenario
async def connect_cancelled(s):
    # The backlog is full, so the kernel does not answer the second connection.
    listener = s.listener(backlog=0)
    filler = await s.dial(s.port_of(listener), "filler")
    client = s.protocol("client")
    connecting = asyncio.ensure_future(s.connect(client, s.port_of(listener)))
    await s.settle()
    connecting.cancel()
    await connecting
    filler.close()
