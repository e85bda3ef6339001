import asyncio
import socket

from stage import data_text, errno_name, pattern, scenario


class TracingDatagrams(asyncio.DatagramProtocol):
    def __init__(self, stage, name):
        self.stage = stage
        self.name = name
        self.trace = stage.new_trace(name)
        self.transport = None
        self.received_count = self.error_count = 0
        self.lost = self.echoes = False

    def note(self, line):
        self.trace.add(line)

    def note_state(self):
        self.note(f"state is_closing={self.transport.is_closing()}")

    def sendto(self, data, addr=None):
        try:
            self.transport.sendto(data, addr)
        except ValueError:
            self.note("sendto INVALID_ADDRESS")

    @property
    def port(self):
        return self.transport.get_extra_info("sockname")[1]

    def connection_made(self, transport):
        self.transport = transport
        self.stage.name_port(self.port, self.name)
        peername = transport.get_extra_info("peername")
        peer = "None" if peername is None else self.stage.address(peername)
        self.note(f"connection_made peername={peer} sockname={self.stage.address(transport.get_extra_info('sockname'))}")
        self.stage.changed()

    def datagram_received(self, data, addr):
        self.received_count += 1
        self.note(f"datagram_received {data_text(data)} from {self.stage.address(addr)}")
        if self.echoes:
            self.sendto(data, addr)
        self.stage.changed()

    def error_received(self, exc):
        self.error_count += 1
        self.note(f"error_received {errno_name(exc)}")
        self.stage.changed()

    def connection_lost(self, exc):
        self.lost = True
        self.note(f"connection_lost {errno_name(exc)}")
        self.stage.changed()


async def create(s, name, **options):
    protocol = TracingDatagrams(s, name)
    try:
        await s.loop.create_datagram_endpoint(lambda: protocol, **options)
        protocol.note("create_datagram_endpoint None")
    except OSError as exc:
        protocol.note(f"create_datagram_endpoint {errno_name(exc)}")
    return protocol


async def bound(s, name):
    return await create(s, name, local_addr=(s.host, 0))


async def connected_to(s, name, port):
    return await create(s, name, remote_addr=(s.host, port))


async def close(s, protocol):
    protocol.transport.close()
    await s.until(lambda: protocol.lost)


@scenario
async def datagram_echo(s):
    server = await bound(s, "server_endpoint")
    server.echoes = True
    client = await connected_to(s, "client", server.port)
    for data in (b"hello", b"world", b"!"):
        client.sendto(data)
    await s.until(lambda: client.received_count == 3)
    client.note_state()
    await close(s, client)
    client.note_state()
    await close(s, server)


@scenario
async def datagram_boundaries_and_order_are_kept(s):
    server = await bound(s, "server_endpoint")
    client = await connected_to(s, "client", server.port)
    for size in (1, 60000, 2, 1200, 1200, 1200, 700, 3):
        count = server.received_count
        client.sendto(pattern(size))
        if size > 10000:
            await s.until(lambda count=count: server.received_count > count)
    await s.until(lambda: server.received_count == 8)
    await close(s, client)
    await close(s, server)


@scenario
async def datagram_connected_takes_its_own_address_only(s):
    server = await bound(s, "server_endpoint")
    client = await connected_to(s, "client", server.port)
    address = client.transport.get_extra_info("peername")
    client.sendto(b"same", address)
    await s.until(lambda: server.received_count == 1)
    client.sendto(b"other", (address[0], address[1] + 1, *address[2:]))
    client.note_state()
    await close(s, client)
    await close(s, server)


@scenario
async def datagram_refused_is_told_and_the_endpoint_stays_open(s):
    gone = await bound(s, "gone")
    port = gone.port
    await close(s, gone)
    client = await connected_to(s, "client", port)
    client.sendto(b"x")
    await s.until(lambda: client.error_count == 1)
    client.note_state()
    await close(s, client)


@scenario
async def datagram_too_long_is_told_and_the_next_one_goes(s):
    server = await bound(s, "server_endpoint")
    client = await connected_to(s, "client", server.port)
    client.sendto(pattern(70000))
    client.sendto(b"next")
    await s.until(lambda: client.error_count == 1 and server.received_count == 1)
    client.note_state()
    await close(s, client)
    await close(s, server)


@scenario
async def datagram_after_close_is_dropped(s):
    server = await bound(s, "server_endpoint")
    client = await connected_to(s, "client", server.port)
    client.sendto(b"before")
    client.transport.close()
    client.transport.close()
    await s.until(lambda: client.lost and server.received_count == 1)
    client.sendto(b"after")
    await s.settle()
    server.transport.abort()
    await s.until(lambda: server.lost)


@scenario
async def datagram_bind_fails(s):
    used = await bound(s, "used")
    await create(s, "second", local_addr=(s.host, used.port))
    await close(s, used)


@scenario
async def datagram_family_and_no_address(s):
    server = await bound(s, "server_endpoint")
    client = await create(s, "client", family=socket.AF_INET if s.is_v4 else socket.AF_INET6)
    client.sendto(b"hello", (s.host, server.port))
    await s.until(lambda: server.received_count == 1)
    await close(s, client)
    await close(s, server)


@scenario
async def datagram_flags_and_proto_are_the_look_ups(s):
    await close(s, await create(s, "udp", local_addr=(s.host, 0), proto=socket.IPPROTO_UDP))
    await create(s, "no_number", remote_addr=("a-name.invalid", 7), flags=socket.AI_NUMERICHOST)


@scenario
async def datagram_reuse_port_shares_a_port(s):
    first = await create(s, "first", local_addr=(s.host, 0), reuse_port=True)
    second = await create(s, "second", local_addr=(s.host, first.port), reuse_port=True)
    await create(s, "third", local_addr=(s.host, first.port))
    await close(s, first)
    await close(s, second)


@scenario
async def datagram_allow_broadcast(s):
    for name, allow_broadcast in (("not_allowed", None), ("allowed", True)):
        client = await create(s, name, local_addr=("127.0.0.1", 0), allow_broadcast=allow_broadcast)
        sock = client.transport.get_extra_info("socket")
        client.note(f"SO_BROADCAST {sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)}")
        client.sendto(b"hello", ("127.255.255.255", client.port))
        if not allow_broadcast:
            await s.until(lambda: client.error_count == 1)
        await close(s, client)
