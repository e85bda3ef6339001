import socket

from stage import pattern, scenario


def made_by(s, name):
    return lambda: s.is_made(name)


async def end(s, server, *peers):
    """Closes the server, and its transports from the peers' side."""
    server.close()
    for peer in peers:
        await s.run(lambda: (peer.shutdown(), peer.recv_all()))
    await s.until(lambda: all(p.lost for p in s.protocols if p.name.startswith("server")))


def note_hosts(server, trace):
    """Traces the hosts, sorted; returns the port of each."""
    ports = {sock.getsockname()[0]: sock.getsockname()[1] for sock in server.sockets}
    for host in sorted(ports):
        trace.add(f"host {host}")
    return ports


@scenario
async def server_accepts_in_order(s):
    server = await s.serve()
    first = await s.dial(s.port_of_server(server), "peer1")
    second = await s.dial(s.port_of_server(server), "peer2")
    third = await s.dial(s.port_of_server(server), "peer3")
    await s.until(made_by(s, "server3"))
    await end(s, server, first, second, third)


@scenario
async def server_echoes(s):
    server = await s.serve(s.factory(data=lambda p, data: p.transport.write(data)))
    peer = await s.dial(s.port_of_server(server))
    await s.run(lambda: (peer.send(b"hello"), peer.recv(5)))
    await end(s, server, peer)


@scenario
async def server_speaks_first(s):
    def made(p):
        p.transport.write(b"welcome")
        p.transport.close()

    server = await s.serve(s.factory(made=made))
    peer = await s.dial(s.port_of_server(server))
    await s.run(peer.recv_all)
    server.close()
    await s.until_lost(s.protocol_named("server1"))


@scenario
async def server_aborts_in_connection_made(s):
    server = await s.serve(s.factory(made=lambda p: p.transport.abort()))
    peer = await s.dial(s.port_of_server(server))
    await s.run(peer.recv_all)
    server.close()
    await s.until_lost(s.protocol_named("server1"))


@scenario
async def server_pauses_in_connection_made(s):
    server = await s.serve(s.factory(made=lambda p: p.transport.pause_reading()))
    peer = await s.dial(s.port_of_server(server))
    await s.run(lambda: (peer.send(b"early"), peer.shutdown()))
    await s.until(made_by(s, "server1"))
    await s.settle()
    client = s.protocol_named("server1")
    client.note("received_bytes", client.received_bytes)
    client.transport.resume_reading()
    await s.until_lost(client)
    server.close()
    await s.run(peer.recv_all)


@scenario
async def server_with_a_buffered_protocol(s):
    server = await s.serve(lambda: s.buffered("server1", 16))
    peer = await s.dial(s.port_of_server(server))
    await s.run(lambda: (peer.send(pattern(1000)), peer.shutdown(), peer.recv_all()))
    await s.until(lambda: s.protocol_named("server1") is not None and s.protocol_named("server1").lost)
    server.close()


@scenario
async def server_on_port_zero_says_its_port(s):
    trace = s.new_trace("server")
    server = await s.serve()
    trace.add(f"sockets {len(server.sockets)}")
    trace.add(f"host {server.sockets[0].getsockname()[0]}")
    trace.add(f"has a port {s.port_of_server(server) > 0}")
    trace.add(f"is_serving {server.is_serving()}")
    server.close()
    trace.add(f"is_serving {server.is_serving()}")
    trace.add(f"sockets {len(server.sockets)}")


@scenario
async def server_on_two_hosts(s):
    trace = s.new_trace("server")
    hosts = ["127.0.0.1", "127.0.0.2"] if s.is_v4 else ["127.0.0.1", "::1"]
    server = await s.serve(host=hosts)
    ports = note_hosts(server, trace)
    first = await s.dial(ports[hosts[0]], "peer1", host=hosts[0])
    await s.until(made_by(s, "server1"))
    second = await s.dial(ports[hosts[1]], "peer2", host=hosts[1])
    await s.until(made_by(s, "server2"))
    await end(s, server, first, second)


@scenario
async def server_binds_a_repeated_host_once(s):
    trace = s.new_trace("server")
    server = await s.serve(host=[s.host, s.host])
    trace.add(f"sockets {len(server.sockets)}")
    server.close()


@scenario
async def server_on_an_empty_host_listens_everywhere(s):
    trace = s.new_trace("server")
    server = await s.serve(host="")
    ports = note_hosts(server, trace)
    first = await s.dial(ports["0.0.0.0"], "peer1", host="127.0.0.1")
    await s.until(made_by(s, "server1"))
    second = await s.dial(ports["::"], "peer2", host="::1")
    await s.until(made_by(s, "server2"))
    await end(s, server, first, second)


@scenario
async def server_address_in_use(s):
    taken = s.listener("taken")
    await s.serve(trace=s.new_trace("server"), port=s.port_of(taken))


@scenario
async def server_port_out_of_range(s):
    await s.serve(trace=s.new_trace("server"), port=70000)


@scenario
async def server_close_keeps_connections(s):
    server = await s.serve(s.factory(data=lambda p, data: p.transport.write(data)))
    port = s.port_of_server(server)
    peer = await s.dial(port)
    await s.until(made_by(s, "server1"))
    server.close()
    server.close()
    await s.dial(port, "late peer")
    await s.run(lambda: (peer.send(b"still there?"), peer.recv(12)))
    await end(s, server, peer)


@scenario
async def server_does_not_listen_until_start_serving(s):
    trace = s.new_trace("server")
    server = await s.serve(start_serving=False)
    port = s.port_of_server(server)
    trace.add(f"is_serving {server.is_serving()}")
    await s.dial(port, "early peer")
    await server.start_serving()
    trace.add(f"is_serving {server.is_serving()}")
    await server.start_serving()
    peer = await s.dial(port)
    await s.until(made_by(s, "server1"))
    await end(s, server, peer)


@scenario
async def server_wait_closed_waits_for_connections(s):
    trace = s.new_trace("server")
    server = await s.serve()
    peer = await s.dial(s.port_of_server(server))
    await s.until(made_by(s, "server1"))
    waiting = s.loop.create_task(server.wait_closed())
    waiting.add_done_callback(lambda _: (trace.add("wait_closed returns"), s.changed()))
    server.close()
    await s.settle()
    trace.add(f"is waiting {not waiting.done()}")
    await s.run(lambda: (peer.shutdown(), peer.recv_all()))
    await s.until(lambda: s.protocol_named("server1").lost and waiting.done())


@scenario
async def server_wait_closed_waits_for_close(s):
    trace = s.new_trace("server")
    server = await s.serve()
    waiting = s.loop.create_task(server.wait_closed())
    await s.settle()
    trace.add(f"is waiting {not waiting.done()}")
    server.close()
    await waiting
    trace.add("wait_closed returns")
    await server.wait_closed()
    trace.add("wait_closed returns")


@scenario
async def server_transport_sends_much(s):
    def made(p):
        p.transport.write(pattern(16_000_000))
        p.transport.close()

    server = await s.serve(s.factory(made=made))
    peer = await s.dial(s.port_of_server(server))
    await s.run(peer.recv_all)
    server.close()
    await s.until_lost(s.protocol_named("server1"))


@scenario
async def servers_with_reuse_port_share_a_port(s):
    first = await s.serve(reuse_port=True)
    port = s.port_of_server(first)
    second = await s.serve(reuse_port=True, port=port)
    await s.serve(trace=s.new_trace("server"), port=port)
    first.close()
    second.close()


@scenario
async def server_family_chooses_the_addresses(s):
    trace = s.new_trace("server")
    for family in (socket.AF_INET, socket.AF_INET6):
        server = await s.serve(host=None, family=family)
        note_hosts(server, trace)
        server.close()


@scenario
async def server_flags_are_the_look_ups(s):
    await s.serve(trace=s.new_trace("server"), host="a-name.invalid", flags=socket.AI_NUMERICHOST)


@scenario
async def server_reuse_address_is_the_sockets(s):
    trace = s.new_trace("server")
    for reuse_address in (True, False):
        server = await s.serve(reuse_address=reuse_address)
        trace.add(f"SO_REUSEADDR {server.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)}")
        server.close()


@scenario
async def server_backlog_of_one(s):
    server = await s.serve(backlog=1)
    first = await s.dial(s.port_of_server(server), "peer1")
    second = await s.dial(s.port_of_server(server), "peer2")
    await s.until(made_by(s, "server2"))
    await end(s, server, first, second)
