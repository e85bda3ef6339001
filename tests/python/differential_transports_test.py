"""What a stream transport is besides its bytes: contexts, get_extra_info, its socket, what is freed and warned of."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import pickle
import re
import socket
import struct
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transportd
from transportd import _datagram, _server, _stream, _subprocess

from differential import LoopFactory, Recorder, Same, World, fill, read_all, soon

WHERE: contextvars.ContextVar[str] = contextvars.ContextVar("where", default="nowhere")


class InContext(Recorder):
    """Writes down in which context each callback is called."""

    def log(self, what: str, *details: Any) -> None:
        super().log(what, WHERE.get(), *details)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.log("data in")


# Contexts


def test_callbacks_are_in_the_context_of_create_connection(same: Same) -> None:
    async def main(world: World) -> None:
        WHERE.set("create")
        _, protocol, peer = await world.connect(lambda: InContext(world))
        WHERE.set("later")
        peer.sendall(b"hello")
        peer.shutdown(socket.SHUT_WR)
        await protocol.lost()

    assert same(main)["client"][-1] == ("lost", "create", None)


def test_after_resume_reading_they_are_in_its_context(same: Same) -> None:
    async def main(world: World) -> None:
        WHERE.set("create")
        transport, protocol, peer = await world.connect(lambda: InContext(world))
        WHERE.set("pause")
        transport.pause_reading()
        WHERE.set("resume")
        transport.resume_reading()
        WHERE.set("later")
        peer.sendall(b"hello")
        peer.shutdown(socket.SHUT_WR)
        await protocol.lost()

    same(main)


@pytest.mark.parametrize("method", ["close", "abort"])
def test_connection_lost_is_in_the_context_of_close(same: Same, method: str) -> None:
    async def main(world: World) -> None:
        WHERE.set("create")
        transport, protocol, _ = await world.connect(lambda: InContext(world))
        WHERE.set("close")
        getattr(transport, method)()
        WHERE.set("later")
        await protocol.lost()

    same(main)


def test_pause_writing_is_in_the_context_of_write(same: Same) -> None:
    async def main(world: World) -> None:
        WHERE.set("create")
        transport, protocol, peer = await world.connect(lambda: InContext(world))
        size = await fill(world, transport, protocol)
        transport.set_write_buffer_limits(high=size + 100, low=size)
        WHERE.set("later")
        while not any(event[0] == "resume" for event in world.events["client"]):
            await asyncio.to_thread(peer.recv, 1 << 16)
            await world.settle()
        world.events["client"].clear()
        WHERE.set("write")
        while not world.events["client"]:
            transport.write(bytes(1 << 16))
            await world.settle()
        transport.abort()
        await protocol.lost()
        del world.events["client"][1:]

    assert same(main)["client"] == [("pause", "write")]


def test_a_server_s_callbacks_are_in_the_context_of_create_server(same: Same) -> None:
    async def main(world: World) -> None:
        made: asyncio.Future[InContext] = world.loop.create_future()

        def factory() -> InContext:
            world.log("server", "factory", WHERE.get())
            WHERE.set("factory")
            protocol = InContext(world, "server")
            world.loop.call_soon(made.set_result, protocol)
            return protocol

        WHERE.set("create")
        server = await world.loop.create_server(factory, "127.0.0.1", 0)
        WHERE.set("later")
        peer = await world.dial(server.sockets[0].getsockname())
        peer.sendall(b"hello")
        peer.shutdown(socket.SHUT_WR)
        await (await soon(made)).lost()
        server.close()
        world.log("server", "still", WHERE.get())

    same(main)


def test_of_a_server_that_is_started_later_in_the_context_of_that(same: Same) -> None:
    async def main(world: World) -> None:
        called = asyncio.Event()

        def factory() -> Recorder:
            world.log("server", "factory", WHERE.get())
            called.set()
            return Recorder(world, "server")

        WHERE.set("create")
        server = await world.loop.create_server(factory, "127.0.0.1", 0, start_serving=False)
        WHERE.set("start")
        await server.start_serving()
        WHERE.set("later")
        peer = await world.dial(server.sockets[0].getsockname())
        await soon(called.wait())
        world.log("peer", "read", peer.close())  # type: ignore[func-returns-value]
        await world.settle()
        server.close()

    same(main)


def test_a_task_made_in_connection_made_is_in_its_context(same: Same) -> None:
    async def main(world: World) -> None:
        async def reverse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            world.log("server", "task", WHERE.get())
            WHERE.set("task")
            await reader.read()
            writer.close()
            world.log("server", "task", WHERE.get())

        WHERE.set("create")
        server = await asyncio.start_server(reverse, "127.0.0.1", 0)
        WHERE.set("later")
        for _ in range(2):
            peer = await world.dial(server.sockets[0].getsockname())
            peer.shutdown(socket.SHUT_WR)
            world.log("peer", "read", await read_all(peer))
        server.close()

    same(main)


# get_extra_info


def test_extra_info(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, _ = await world.connect()
        for state in ("open", "closing", "lost"):
            if state == "closing":
                transport.close()
            elif state == "lost":
                await protocol.lost()
            for key in ("sockname", "peername", "nothing"):
                world.log("client", state, key, transport.get_extra_info(key))
            world.log("client", state, "default", transport.get_extra_info("nothing", "default"))
            sock = transport.get_extra_info("socket")
            world.log("client", state, type(sock).__name__, sock is transport.get_extra_info("socket"))
            world.log("client", state, sock.family, sock.type, sock.proto, isinstance(sock.fileno(), int))
        world.log("client", "socket", sock.fileno())

    same(main)


def test_the_transport_is_what_it_should_be(same: Same) -> None:
    async def main(world: World) -> None:
        transport, _, _ = await world.connect()
        kinds = (asyncio.Transport, asyncio.ReadTransport, asyncio.WriteTransport, asyncio.DatagramTransport)
        world.log("client", "is", [isinstance(transport, kind) for kind in kinds])
        transport.abort()
        world.log("client", "repr", "clos" in repr(transport))

    same(main)


@pytest.mark.parametrize(
    ("kind", "of_asyncio"),
    [
        (_stream.StreamTransport, asyncio.Transport),
        (_stream.ServiceTlsTransport, asyncio.Transport),
        (_stream.ReadPipeTransport, asyncio.Transport),
        (_stream.WritePipeTransport, asyncio.Transport),
        (_datagram.DatagramTransport, asyncio.DatagramTransport),
        (_subprocess.SubprocessTransport, asyncio.SubprocessTransport),
        (_server.RemoteServer, asyncio.Server),
    ],
)
def test_only_what_is_asyncio_s_is_public(kind: type, of_asyncio: type) -> None:
    public = {name for name in dir(kind) if not name.startswith("_")}
    assert public - set(dir(of_asyncio)) <= (
        set(dir(asyncio.Transport)) if kind is _datagram.DatagramTransport else set()
    )


def test_the_socket(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        sock = transport.get_extra_info("socket")
        world.log("client", "names", sock.getsockname(), sock.getpeername())
        world.log("client", "blocking", sock.gettimeout(), sock.settimeout(0), sock.setblocking(False))
        for call in (lambda: sock.settimeout(1), lambda: sock.setblocking(True)):
            with pytest.raises(ValueError, match="transport sockets") as caught:
                call()  # type: ignore[no-untyped-call]
            world.log("client", "raised", caught.value)
        for copying in (pickle.dumps, copy.copy):
            with pytest.raises(TypeError):
                copying(sock)
        world.log("client", "inheritable", sock.get_inheritable())
        world.log("client", "no such method", hasattr(sock, "send"), hasattr(sock, "recv"), hasattr(sock, "close"))
        sock.shutdown(socket.SHUT_WR)
        world.log("peer", "read", await read_all(peer))
        transport.abort()
        await protocol.lost()
        world.log("client", "lost", sock.fileno(), sock.family, sock.type)
        for call in (
            lambda: sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            lambda: sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            sock.getsockname,
            sock.getpeername,
            sock.get_inheritable,
            lambda: sock.shutdown(socket.SHUT_WR),
        ):
            with pytest.raises(OSError) as closed:
                call()
            world.log("client", "raised", closed.value)

    same(main)


def test_socket_options(same: Same) -> None:
    async def main(world: World) -> None:
        transport, _, _ = await world.connect()
        sock = transport.get_extra_info("socket")
        tcp, general = socket.IPPROTO_TCP, socket.SOL_SOCKET
        world.log("client", "at first", sock.getsockopt(tcp, socket.TCP_NODELAY))
        for level, option, value in (
            (tcp, socket.TCP_NODELAY, 0),
            (tcp, socket.TCP_KEEPIDLE, 77),
            (tcp, socket.TCP_USER_TIMEOUT, 12345),
            (general, socket.SO_KEEPALIVE, 1),
            (general, socket.SO_KEEPALIVE, True),
            (general, socket.SO_KEEPALIVE, struct.pack("i", 1)),
            (general, socket.SO_RCVBUF, 8192),
            (general, socket.SO_SNDBUF, 8192),
        ):
            world.log("client", "set", level, option, sock.setsockopt(level, option, value))
            world.log("client", "get", sock.getsockopt(level, option), sock.getsockopt(level, option, 4))
        sock.setsockopt(general, socket.SO_LINGER, struct.pack("ii", 1, 0))
        world.log("client", "linger", sock.getsockopt(general, socket.SO_LINGER, 8))
        sock.setsockopt(general, socket.SO_LINGER, struct.pack("ii", 0, 0))
        world.log("client", "linger", sock.getsockopt(general, socket.SO_LINGER, 8))
        world.log(
            "client", "fixed", sock.getsockopt(general, socket.SO_TYPE), sock.getsockopt(general, socket.SO_ERROR)
        )
        for level, option, wrong in ((tcp, socket.TCP_KEEPIDLE, 0), (tcp, socket.TCP_KEEPIDLE, 1_000_000)):
            with pytest.raises(OSError) as caught:
                sock.setsockopt(level, option, wrong)
            world.log("client", "raised", caught.value.errno)
        transport.abort()

    same(main)


WRONG_OPTIONS: list[tuple[Any, ...]] = [
    ("getsockopt", socket.SOL_SOCKET, socket.SO_REUSEADDR, 5000),
    ("getsockopt", socket.SOL_SOCKET, socket.SO_REUSEADDR, -1),
    ("getsockopt", socket.SOL_SOCKET, socket.SO_REUSEADDR, "4"),
    ("getsockopt", "a", 1),
    ("getsockopt", 1, "a"),
    ("getsockopt", 1 << 40, 1),
    ("getsockopt", 77, 1),
    ("getsockopt", socket.IPPROTO_UDP, 1),
    ("setsockopt", "a", 1, 1),
    ("setsockopt", 1, "a", 1),
    ("setsockopt", socket.SOL_SOCKET, socket.SO_REUSEADDR, "a"),
    ("setsockopt", socket.SOL_SOCKET, socket.SO_REUSEADDR, 1.5),
    ("setsockopt", socket.SOL_SOCKET, socket.SO_REUSEADDR, 1 << 40),
    ("setsockopt", socket.SOL_SOCKET, socket.SO_REUSEADDR, None),
    ("setsockopt", socket.SOL_SOCKET, socket.SO_REUSEADDR, None, 4),
    ("setsockopt", socket.SOL_SOCKET, socket.SO_REUSEADDR, 1, 4),
    ("setsockopt", socket.SOL_SOCKET, socket.SO_REUSEADDR, b""),
    ("setsockopt", socket.SOL_SOCKET, socket.SO_REUSEADDR, b"1"),
    ("setsockopt", socket.SOL_SOCKET, socket.SO_LINGER, 0),
    ("setsockopt", 77, 1, 1),
    ("setsockopt", socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.255.7.7") + bytes(4)),
    ("setsockopt", socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, 1),
    ("shutdown", 5),
    ("shutdown", "a"),
]


@pytest.mark.parametrize("call", WRONG_OPTIONS, ids=repr)
def test_socket_options_that_cannot_be(same: Same, call: tuple[Any, ...]) -> None:
    async def main(world: World) -> None:
        transport, _, _ = await world.connect()
        with pytest.raises((OSError, TypeError, OverflowError)) as caught:
            getattr(transport.get_extra_info("socket"), call[0])(*call[1:])
        world.log("client", "raised", caught.value)
        transport.abort()

    same(main)


def test_socket_options_of_other_lengths(same: Same) -> None:
    async def main(world: World) -> None:
        transport, _, _ = await world.connect()
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, b"\x07")
        world.log("client", "one byte", sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, struct.pack("l", 77))
        world.log("client", "eight bytes", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))
        for is_on in (1, 0):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("iii", is_on, 0, 5))
            world.log("client", "linger", sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER))
        transport.abort()

    same(main)


def test_a_socket_shows_its_addresses(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, _ = await world.connect()
        world.name_port(transport.get_extra_info("sockname")[1], "client")
        sock = transport.get_extra_info("socket")
        world.log("client", "shown", re.sub(r"fd=-?\d+", "", repr(sock)))
        transport.abort()
        await protocol.lost()
        world.log("client", "lost", repr(sock))

    assert "raddr=" in same(main)["client"][1][1]


def test_a_reset_on_purpose(same: Same) -> None:
    async def main(world: World) -> None:
        transport, protocol, peer = await world.connect()
        linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
        await protocol.lost()
        world.log("peer", "read", await read_all(peer))

    same(main)


def test_unix_credentials_are_the_kernel_s(same: Same, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        path = str(tmp_path / "place")
        server = await world.loop.create_unix_server(lambda: Recorder(world, "server"), path)
        transport, _ = await world.loop.create_unix_connection(lambda: Recorder(world), path)
        for key in ("sockname", "peername"):
            world.log("client", key, transport.get_extra_info(key))
        sock = transport.get_extra_info("socket")
        world.log("client", "socket", sock.family, sock.type, sock.proto, sock.getpeername())
        transport.abort()
        await world.settle()
        server.close()
        Path(path).unlink(missing_ok=True)

    same(main)


# Ends


def kinds_of_warnings(caught: list[warnings.WarningMessage]) -> list[tuple[str, str]]:
    return sorted((one.category.__name__, str(one.message).partition("<")[0]) for one in caught)


@pytest.fixture(params=["asyncio", "transportd"])
def each_loop(request: pytest.FixtureRequest, loop_factory: Callable[[], transportd.EventLoop]) -> LoopFactory:
    return asyncio.SelectorEventLoop if request.param == "asyncio" else loop_factory


def test_what_is_left_open_is_warned_of_when_its_loop_is_gone(each_loop: LoopFactory) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            loop = each_loop()
            loop.run_until_complete(loop.create_connection(asyncio.Protocol, *listener.getsockname()))
            loop.run_until_complete(loop.create_server(asyncio.Protocol, "127.0.0.1", 0))
            loop.close()
            del loop
            gc.collect()
    found = kinds_of_warnings(caught)
    assert ("ResourceWarning", "unclosed transport ") in found
    if each_loop is not asyncio.SelectorEventLoop:  # The stock loop warns of sockets besides.
        assert found == [("ResourceWarning", "unclosed server "), ("ResourceWarning", "unclosed transport ")]


def test_a_loop_that_is_left_open_is_warned_of(each_loop: LoopFactory) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loop = each_loop()
        loop.run_until_complete(asyncio.sleep(0))
        del loop
        gc.collect()
    assert ("ResourceWarning", "unclosed event loop ") in kinds_of_warnings(caught)


@pytest.mark.parametrize("how", ["close", "abort", "eof", "flush"])
def test_transport_and_protocol_are_freed_without_the_collector(loop_factory: LoopFactory, how: str) -> None:
    # As asyncio's own from 3.13 on; before that, its transports hold themselves.
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            lost = loop.create_future()

            class Losing(asyncio.Protocol):
                def connection_lost(self, exc: Exception | None) -> None:
                    lost.set_result(exc)

            transport, protocol = await loop.create_connection(Losing, *listener.getsockname())
            peer, _ = await asyncio.to_thread(listener.accept)
            references = [weakref.ref(transport), weakref.ref(protocol)]
            transport.write(b"hello")
            if how == "abort":
                transport.abort()
            elif how == "eof":
                peer.shutdown(socket.SHUT_WR)
            else:
                if how == "flush":
                    transport.write(bytes(10_000_000))
                transport.close()
            del transport, protocol
            reading = asyncio.to_thread(lambda: [None for _ in iter(lambda: peer.recv(1 << 16), b"")])
            await soon(reading)
            await soon(lost)
            await asyncio.sleep(0)
            peer.close()
            assert [reference() for reference in references] == [None, None]  # type: ignore[operator]

    gc.disable()
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())
    finally:
        gc.enable()
