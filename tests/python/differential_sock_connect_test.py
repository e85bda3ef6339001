"""loop.sock_connect, and what libraries do with such a socket: its connection is in the service."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import harness
import pytest
import transportd

from differential import LoopFactory, Recorder, Same, World, read_all, read_exactly, reset, soon

BIG = bytes(range(256)) * 8000


def new_socket(world: World, family: int = socket.AF_INET) -> socket.socket:
    sock = world.stack.enter_context(socket.socket(family))
    sock.setblocking(False)
    return sock


async def connected(world: World) -> tuple[socket.socket, socket.socket]:
    sock = new_socket(world)
    await soon(world.loop.sock_connect(sock, world.listener.getsockname()))
    return sock, await world.accept()


def test_a_conversation(same: Same) -> None:
    async def main(world: World) -> None:
        sock, peer = await connected(world)
        await soon(world.loop.sock_sendall(sock, b"hello"))
        world.log("peer", "read", await read_exactly(peer, 5))
        peer.sendall(b"bye")
        world.log("client", "read", await soon(world.loop.sock_recv(sock, 100)))
        buffer = bytearray(10)
        peer.sendall(b"again")
        world.log("client", "read", await soon(world.loop.sock_recv_into(sock, buffer)), bytes(buffer))
        peer.shutdown(socket.SHUT_WR)
        world.log("client", "read", await soon(world.loop.sock_recv(sock, 100)))
        await soon(world.loop.sock_sendall(sock, b"still"))
        sock.close()
        world.log("peer", "read", await read_all(peer))

    same(main)


def test_half_closed_by_the_socket(same: Same) -> None:
    async def main(world: World) -> None:
        sock, peer = await connected(world)
        await soon(world.loop.sock_sendall(sock, b"all"))
        sock.shutdown(socket.SHUT_WR)
        world.log("peer", "read", await read_all(peer))
        peer.sendall(b"answer")
        peer.close()
        received = bytearray()
        while piece := await soon(world.loop.sock_recv(sock, 100)):
            received += piece
        world.log("client", "read", bytes(received))

    same(main)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", b"127.0.0.1", ("127.0.0.1",), ("127.0.0.1", 9, 0, 0, 0), ["127.0.0.1"], 5, None],
    ids=repr,
)
def test_addresses_of_the_wrong_type(same: Same, address: Any) -> None:
    async def main(world: World) -> None:
        with socket.socket() as sock:
            sock.setblocking(False)
            with pytest.raises((TypeError, ValueError)) as caught:
                await world.loop.sock_connect(sock, address)
            world.log("client", "raised", type(caught.value))

    same(main)


def test_much_both_ways(same: Same) -> None:
    async def main(world: World) -> None:
        sock, peer = await connected(world)
        sending = asyncio.create_task(world.loop.sock_sendall(sock, BIG))
        reading = asyncio.create_task(read_exactly(peer, len(BIG)))
        world.log("peer", "read", await soon(reading))
        await soon(sending)
        answering = asyncio.create_task(asyncio.to_thread(peer.sendall, BIG))
        received = bytearray()
        while len(received) < len(BIG):
            received += await soon(world.loop.sock_recv(sock, 1 << 16))
        await soon(answering)
        world.log("client", "read", bytes(received))

    same(main)


@pytest.mark.parametrize("is_waiting", [False, True])
def test_a_reset(same: Same, is_waiting: bool) -> None:
    """It is no orderly end: what came before is read, then it is told, once."""

    async def main(world: World) -> None:
        sock, peer = await connected(world)
        peer.sendall(b"before")
        world.log("client", "read", await soon(world.loop.sock_recv(sock, 100)))
        if is_waiting:
            waiting = asyncio.create_task(world.loop.sock_recv(sock, 100))
            await world.settle()
        reset(peer)
        with pytest.raises(OSError) as caught:
            await soon(waiting if is_waiting else world.loop.sock_recv(sock, 100))
        world.log("client", "raised", caught.value)
        world.log("client", "read", await soon(world.loop.sock_recv(sock, 100)))
        with pytest.raises(OSError) as caught:
            await soon(world.loop.sock_sendall(sock, b"more"))
        world.log("client", "raised", caught.value)

    same(main)


def test_a_reset_behind_bytes(same: Same) -> None:
    async def main(world: World) -> None:
        sock, peer = await connected(world)
        await soon(world.loop.sock_sendall(sock, b"unread"))
        # What is still on its way to a socket that was reset fails there, and what came before is lost with it.
        await soon(asyncio.to_thread(peer.recv, 6, socket.MSG_PEEK | socket.MSG_WAITALL))
        peer.sendall(BIG[:50_000])
        reset(peer)
        received = bytearray()
        with pytest.raises(OSError) as caught:
            while piece := await soon(world.loop.sock_recv(sock, 1000)):
                received += piece
        world.log("client", "raised", caught.value)
        world.log("client", "read", bytes(received))

    same(main)


def test_connected_again(same: Same) -> None:
    async def main(world: World) -> None:
        sock, peer = await connected(world)
        address = world.listener.getsockname()
        await soon(world.loop.sock_connect(sock, address))
        for _ in range(2):
            with pytest.raises(OSError) as caught:
                await soon(world.loop.sock_connect(sock, address))
            world.log("client", "raised", caught.value)
        await soon(world.loop.sock_sendall(sock, b"hello"))
        world.log("peer", "read", await read_exactly(peer, 5))

    same(main)


def test_the_service_goes(mortal: harness.Service) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as sock:
            sock.setblocking(False)
            await soon(loop.sock_connect(sock, listener.getsockname()))
            reading = asyncio.create_task(loop.sock_recv(sock, 100))
            await asyncio.sleep(0)
            mortal.process.kill()
            mortal.process.wait()
            with pytest.raises(ConnectionResetError):
                await soon(reading)

    with asyncio.Runner(loop_factory=lambda: transportd.EventLoop(mortal.target)) as runner:
        runner.run(main())


def test_create_connection_takes_it_over(same: Same) -> None:
    async def main(world: World) -> None:
        sock, peer = await connected(world)
        transport, protocol = await world.loop.create_connection(lambda: Recorder(world), sock=sock)
        for key in ("sockname", "peername"):
            world.log("client", key, transport.get_extra_info(key))
        peer.sendall(b"hello")
        await protocol.until_data(5)
        transport.write(BIG)
        transport.close()
        world.log("peer", "read", await read_all(peer))
        await protocol.lost()
        world.log("client", "socket", sock.fileno())
        world.events["client"] = [event for event in world.events["client"] if event[0] not in ("pause", "resume")]

    same(main)


def test_what_came_before_it_is_taken_over(same: Same) -> None:
    async def main(world: World) -> None:
        sock, peer = await connected(world)
        peer.sendall(b"early")
        peer.shutdown(socket.SHUT_WR)
        await world.settle()
        _, protocol = await world.loop.create_connection(lambda: Recorder(world), sock=sock)
        await protocol.lost()

    same(main)


def test_taken_over_long_after_it_was_connected(same: Same) -> None:
    async def main(world: World) -> None:
        sock, peer = await connected(world)
        await asyncio.sleep(0.05)  # Longer than it waits for that.
        peer.sendall(b"hello")
        transport, protocol = await world.loop.create_connection(lambda: Recorder(world), sock=sock)
        await protocol.until_data(5)
        transport.write(b"bye")
        transport.close()
        world.log("peer", "read", await read_all(peer))
        await protocol.lost()

    same(main)


def test_taken_over_by_streams(same: Same) -> None:
    async def main(world: World) -> None:
        sock, peer = await connected(world)
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(b"hello\n")
        world.log("peer", "read", await read_exactly(peer, 6))
        peer.sendall(b"bye\n")
        world.log("client", "read", await soon(reader.readline()))
        writer.close()
        await soon(writer.wait_closed())

    same(main)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_refused(same: Same, host: str) -> None:
    async def main(world: World) -> None:
        bound = world.stack.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))
        world.name_port(bound.getsockname()[1], "dead")
        sock = new_socket(world)
        with pytest.raises(OSError) as caught:
            await soon(world.loop.sock_connect(sock, (host, bound.getsockname()[1])))
        world.log("client", "raised", caught.value)

    same(main)


@pytest.mark.parametrize("host", ["localhost", "127.1"])
def test_names(same: Same, host: str) -> None:
    async def main(world: World) -> None:
        sock = new_socket(world)
        await soon(world.loop.sock_connect(sock, (host, world.listener.getsockname()[1])))
        peer = await world.accept()
        peer.sendall(b"hello")
        world.log("client", "read", await soon(world.loop.sock_recv(sock, 100)))

    same(main)


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, ("no-such-name.invalid", 80)),
        (socket.AF_INET, ("::1", 80)),
        (socket.AF_INET6, ("127.0.0.1", 80)),
        (socket.AF_INET, ("127.0.0.1", 65536)),
        (socket.AF_UNIX, "/no/such/place"),
    ],
)
def test_addresses_that_cannot_be(same: Same, family: int, address: Any) -> None:
    async def main(world: World) -> None:
        sock = new_socket(world, family)
        with pytest.raises((OSError, OverflowError)) as caught:
            await soon(world.loop.sock_connect(sock, address))
        world.log("client", "raised", caught.value)

    same(main)


def test_a_bound_socket_keeps_its_address(same: Same) -> None:
    async def main(world: World) -> None:
        sock = new_socket(world)
        sock.bind(("127.0.0.2", 0))
        await soon(world.loop.sock_connect(sock, world.listener.getsockname()))
        peer = await world.accept()
        world.log("peer", "of", peer.getpeername()[0])

    same(main)


def test_a_blocking_socket_is_refused_in_debug_mode(same: Same) -> None:
    async def main(world: World) -> None:
        sock = world.stack.enter_context(socket.socket())
        with pytest.raises(ValueError, match="non-blocking") as caught:
            await world.loop.sock_connect(sock, world.listener.getsockname())
        world.log("client", "raised", caught.value)

    same(main, debug=True)


def test_add_reader(same: Same) -> None:
    async def main(world: World) -> None:
        sock, peer = await connected(world)
        readable = asyncio.Event()
        world.loop.add_reader(sock, readable.set)
        peer.sendall(b"hello")
        await soon(readable.wait())
        world.log("client", "read", sock.recv(100))
        world.log("client", "removed", world.loop.remove_reader(sock))

    same(main)


def test_the_peer_resets_it(same: Same) -> None:
    async def main(world: World) -> None:
        sock, peer = await connected(world)
        transport, protocol = await world.loop.create_connection(lambda: Recorder(world), sock=sock)
        reset(peer)
        await protocol.lost()
        world.log("client", "closing", transport.is_closing())

    same(main)


def test_cancelled_and_tried_again(same: Same) -> None:
    async def main(world: World) -> None:
        sock = new_socket(world)
        connecting = asyncio.create_task(world.loop.sock_connect(sock, ("127.0.0.1", world.listen(0).getsockname()[1])))
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await soon(world.loop.sock_connect(sock, world.listener.getsockname()))
        await world.accept()
        world.log("client", "connected")

    same(main)


@pytest.fixture
def local_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        far.settimeout(20)
        yield near, far


def test_a_socket_of_this_process_is_served_here(
    loop_factory: LoopFactory, local_pair: tuple[socket.socket, socket.socket]
) -> None:
    near, far = local_pair

    async def main() -> None:
        reader, writer = await asyncio.open_connection(sock=near)
        writer.write(b"hello")
        assert await asyncio.to_thread(far.recv, 100) == b"hello"
        far.sendall(b"bye")
        far.shutdown(socket.SHUT_WR)
        assert await soon(reader.read()) == b"bye"
        writer.close()
        await soon(writer.wait_closed())

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def test_a_listener_of_this_process_is_served_here(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async def reverse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readline())[::-1])
            writer.close()

        listener = socket.create_server(("127.0.0.1", 0))
        server = await asyncio.start_server(reverse, sock=listener)
        assert server.sockets[0].fileno() == listener.fileno()
        with socket.create_connection(listener.getsockname(), 20) as peer:
            peer.sendall(b"hello\n")
            assert await asyncio.to_thread(peer.recv, 100) == b"\nolleh"
        server.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def test_closing_the_loop_closes_what_is_passed_on(loop_factory: LoopFactory) -> None:
    loop = loop_factory()
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as sock:
        sock.setblocking(False)
        loop.run_until_complete(loop.sock_connect(sock, listener.getsockname()))
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(20)
            loop.run_until_complete(loop.sock_sendall(sock, b"hello"))
            loop.run_until_complete(asyncio.sleep(0.02))
            loop.close()
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                sock.send(b"x")
            assert sock.recv(100) == b""
            assert peer.recv(100) == b"hello"
            assert peer.recv(100) == b""
