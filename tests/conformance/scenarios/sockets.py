import asyncio
import socket
import tempfile

from stage import pattern, scenario


async def note_infos(s, trace, host, port, **hints):
    try:
        infos = await s.loop.getaddrinfo(host, port, **hints)
    except socket.gaierror as error:
        trace.add(f"gaierror {error.errno}")
        return
    for family, kind, proto, canonname, address in infos:
        trace.add(f"{int(family)} {int(kind)} {proto} '{canonname}' {address[0]} {address[1]}")


@scenario
async def sockets_getaddrinfo(s):
    trace = s.new_trace("names")
    await note_infos(s, trace, "127.0.0.1", "80")
    await note_infos(s, trace, "::1", "http", type=socket.SOCK_STREAM)
    await note_infos(s, trace, "127.0.0.1", None, flags=socket.AI_CANONNAME)
    await note_infos(s, trace, None, "7", family=socket.AF_INET, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
    await note_infos(s, trace, "localhost", "1", family=socket.AF_INET, proto=socket.IPPROTO_TCP)
    await note_infos(s, trace, "name", None, flags=socket.AI_NUMERICHOST)
    await note_infos(s, trace, "127.0.0.1", "no-such-service")
    await note_infos(s, trace, "127.0.0.1", None, type=77)


@scenario
async def sockets_getnameinfo(s):
    trace = s.new_trace("names")
    numeric_host = socket.NI_NUMERICHOST
    for flags in (numeric_host | socket.NI_NUMERICSERV, numeric_host, numeric_host | socket.NI_DGRAM):
        host, service = await s.loop.getnameinfo((s.host, 80), flags)
        trace.add(f"{host} {service}")


@scenario
async def sockets_extra_info_tells_the_socket(s):
    client, peer = await s.pair()
    sock = client.transport.get_extra_info("socket")
    client.note(f"socket {int(sock.family)} {int(sock.type)} {sock.proto}")
    client.transport.close()
    await s.until(lambda: client.lost)


@scenario
async def sockets_pair_talks(s):
    one, other = socket.socketpair()
    first = s.protocol("first")
    second = s.protocol("second", data=lambda p, data: p.transport.write(data))
    await s.loop.create_connection(lambda: first, sock=one)
    first.note("create_connection returns")
    await s.loop.connect_accepted_socket(lambda: second, other)
    second.note("connect_accepted_socket returns")
    first.transport.write(b"hello")
    await s.until(lambda: first.received_bytes == 5)
    first.transport.close()
    await s.until(lambda: first.lost)
    await s.until(lambda: second.lost)


@scenario
async def sockets_sendfile_in_order(s):
    client, peer = await s.pair()
    reading = s.start(peer.recv_all)
    with tempfile.TemporaryFile() as file:
        file.write(pattern(3_000_000))
        file.flush()
        client.transport.write(pattern(60_000))
        sending = s.loop.create_task(s.loop.sendfile(client.transport, file, 1000, 2_500_000))
        await asyncio.sleep(0)
        try:
            client.transport.write(b"bare")
            client.note("bare write is taken")
        except RuntimeError:
            client.note("bare write is refused")
        client.note(f"sendfile {await sending}")
    client.transport.write(b"after")
    client.transport.close()
    await s.until(lambda: client.lost)
    await reading
