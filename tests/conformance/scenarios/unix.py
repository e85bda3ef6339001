import os
import socket
import struct

from stage import scenario


async def serve(s, path, trace, **options):
    """None when it failed, which goes to `trace`."""
    try:
        server = await s.loop.create_unix_server(s.factory(), path, **options)
    except OSError as error:
        trace.add(f"create_unix_server {s.error(error)}")
        return None
    trace.add("create_unix_server returns")
    return server


async def connect(s, path, name="client"):
    protocol = s.protocol(name)
    try:
        await s.loop.create_unix_connection(lambda: protocol, path)
        protocol.note("create_unix_connection returns")
    except OSError as error:
        protocol.note(f"create_unix_connection {s.error(error)}")
    return protocol


async def talk_and_close(s, server, path):
    client = await connect(s, path)
    await s.until(lambda: s.is_made("server1"))
    accepted = s.protocol_named("server1")
    client.transport.write(b"hello")
    await s.until(lambda: accepted.received_bytes == 5)
    server.close()
    client.transport.close()
    await s.until(lambda: client.lost and accepted.lost)


def stale_file(s):
    """A socket file that nobody listens to any more."""
    path = s.path_of("stale")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
    return path


@scenario
async def unix_server_talks(s):
    path = s.path_of("socket")
    server = await serve(s, path, s.new_trace("server"))
    await talk_and_close(s, server, path)


@scenario
async def unix_server_takes_a_stale_files_place(s):
    path = stale_file(s)
    server = await serve(s, path, s.new_trace("server"))
    await talk_and_close(s, server, path)


@scenario
async def unix_server_leaves_what_is_no_socket(s):
    trace = s.new_trace("server")
    path = s.path_of("file")
    with open(path, "w", encoding="ascii") as file:
        file.write("content")
    await serve(s, path, trace)
    trace.add(f"exists {os.path.exists(path)}")
    await serve(s, s.path_of("no-folder") + "/socket", trace)


@scenario
async def unix_server_starts_serving_later(s):
    path = s.path_of("socket")
    trace = s.new_trace("server")
    server = await serve(s, path, trace, backlog=1, start_serving=False)
    trace.add(f"is_serving {server.is_serving()}")
    await connect(s, path, "early")
    await server.start_serving()
    trace.add("start_serving returns")
    await talk_and_close(s, server, path)


@scenario
async def unix_connection_fails(s):
    await connect(s, s.path_of("nothing"), "nothing")
    await connect(s, stale_file(s), "stale")
    await connect(s, s.path_of("no-folder") + "/socket", "no_folder")


@scenario
async def unix_peer_credentials(s):
    path = s.path_of("socket")
    server = await serve(s, path, s.new_trace("server"))
    client = await connect(s, path)
    await s.until(lambda: s.is_made("server1"))
    accepted = s.protocol_named("server1")
    for end in (client, accepted):
        sock = end.transport.get_extra_info("socket")
        pid, uid, gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        end.note(f"peer pid {pid > 0} uid {uid} gid {gid}")
        end.note(f"socket {int(sock.family)} {int(sock.type)} {sock.proto}")
    server.close()
    client.transport.close()
    await s.until(lambda: client.lost and accepted.lost)
