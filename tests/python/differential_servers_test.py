"""create_server, create_unix_server and asyncio.Server."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import re
import socket
import stat
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from differential import LEFT_OPEN, LoopFactory, Recorder, Same, World, read_all, soon


class Accepted:
    """A protocol factory of servers, and what it has made."""

    def __init__(self, world: World, actor: str = "server"):
        self.world = world
        self.actor = actor
        self.protocols: asyncio.Queue[Recorder] = asyncio.Queue()

    def __call__(self) -> Recorder:
        protocol = Recorder(self.world, self.actor)
        self.protocols.put_nowait(protocol)
        return protocol

    async def next(self) -> Recorder:
        """The next whose connection is made."""
        protocol = await soon(self.protocols.get())
        await protocol.until(lambda: protocol.transport is not None)
        return protocol


def name_of(world: World, server: Any, name: str = "server") -> Any:
    address = server.sockets[0].getsockname()
    if isinstance(address, tuple):
        world.name_port(address[1], name)
    return address


async def is_refused(address: Any) -> bool:
    def try_it() -> bool:
        family = socket.AF_UNIX if not isinstance(address, tuple) else socket.AF_INET
        with socket.socket(family) as peer:
            peer.settimeout(5)
            return peer.connect_ex(address) == errno.ECONNREFUSED

    return await asyncio.to_thread(try_it)


# Arguments


@LEFT_OPEN
@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((), {}),
        ((None, None), {}),
        (("127.0.0.1", 0), {"ssl": True}),
        (("127.0.0.1", 0), {"ssl": False}),
        (("127.0.0.1", 0), {"ssl_handshake_timeout": 1}),
        (("127.0.0.1", 0), {"ssl_shutdown_timeout": 1}),
        (("127.0.0.1", 0), {"sock": object()}),
        (("127.0.0.1", 65536), {}),
        (("127.0.0.1", -1), {}),
        (("127.0.0.1", "no-such-service"), {}),
        (("127.0.0.1", 0), {"backlog": "many"}),
        (("127.0.0.1", 0), {"backlog": 1.5}),
        (("127.0.0.1", 0), {"family": socket.AF_INET6}),
        (("127.0.0.1", 0), {"family": socket.AF_UNIX}),
        (("no-such-name.invalid", 0), {}),
        (("192.0.2.99", 0), {}),
        ((["127.0.0.1", "192.0.2.99"], 0), {}),
        ((["192.0.2.99", "localhost"], 0), {}),
        ((["192.0.2.99"], 0), {}),
        ((["127.0.0.1", "no-such-name.invalid"], 0), {}),
        (([], 0), {}),
        (("a..b", 0), {}),
        (("x\0y", 0), {}),
        (([""], 0), {}),
        ((["127.0.0.1", ""], 0), {}),
        (([b""], 0), {}),
        ((b"", 0), {}),
        ((set(), 0), {}),
    ],
    ids=repr,
)
def test_arguments_that_cannot_be(same: Same, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    async def main(world: World) -> None:
        try:
            server = await world.loop.create_server(Accepted(world), *arguments, **options)
        except Exception as error:
            world.log("caller", "raised", error)
        else:
            world.log("caller", "made", len(server.sockets))
            server.close()

    same(main)


@pytest.mark.parametrize("host", [b"127.0.0.1", 5, [5], [["127.0.0.1"]], object()], ids=repr)
def test_hosts_of_the_wrong_type(same: Same, host: Any) -> None:
    async def main(world: World) -> None:
        with pytest.raises(Exception) as caught:
            await world.loop.create_server(Accepted(world), host, 0)
        world.log("caller", "raised", type(caught.value))

    same(main)


def test_an_address_in_use(same: Same) -> None:
    async def main(world: World) -> None:
        for host in ("127.0.0.1", "localhost", ["127.0.0.2", "127.0.0.1"]):
            with pytest.raises(OSError) as caught:
                await world.loop.create_server(Accepted(world), host, world.listener.getsockname()[1])
            world.log("caller", "raised", caught.value)

    same(main)


@pytest.mark.parametrize(
    ("host", "family"),
    [
        (None, 0),
        ("", 0),
        ("127.0.0.1", 0),
        ("::1", 0),
        ("localhost", 0),
        ("localhost", socket.AF_INET),
        (["127.0.0.1", "127.0.0.1"], 0),
        (["127.0.0.1", "::1"], 0),
        (["127.0.0.1", "localhost"], 0),
        ([None, "127.0.0.2"], socket.AF_INET),
        (("127.0.0.1",), 0),
        ([b"127.0.0.1"], 0),
        ({"127.0.0.1": 1}, 0),
        ([None], 0),
        ("", socket.AF_INET),
        (None, socket.AF_INET6),
        ("0.0.0.0", 0),
        ("::", 0),
    ],
    ids=repr,
)
def test_hosts(same: Same, host: Any, family: int) -> None:
    async def main(world: World) -> None:
        server = await world.loop.create_server(Accepted(world), host, 0, family=family)
        found = []
        for sock in server.sockets:
            name = sock.getsockname()
            found.append((sock.family, sock.type, sock.proto, name[0], name[1] > 0, *name[2:]))
        world.log("caller", "listens", sorted(found))
        server.close()

    same(main)


@pytest.mark.parametrize("port", [0, "0", None, ""])
def test_ports_that_the_kernel_picks(same: Same, port: Any) -> None:
    async def main(world: World) -> None:
        server = await world.loop.create_server(Accepted(world), "127.0.0.1", port)
        world.log("caller", "port", server.sockets[0].getsockname()[1] > 0)
        server.close()

    same(main)


def test_options(same: Same) -> None:
    async def main(world: World) -> None:
        for options in ({}, {"reuse_address": False}, {"reuse_port": True}, {"backlog": 0}, {"backlog": 1_000_000}):
            server = await world.loop.create_server(Accepted(world), "127.0.0.1", 0, **options)
            sock = server.sockets[0]
            reuse = [
                bool(sock.getsockopt(socket.SOL_SOCKET, name)) for name in (socket.SO_REUSEADDR, socket.SO_REUSEPORT)
            ]
            world.log("caller", "options", options, reuse, sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
            server.close()

    same(main)


def test_servers_may_share_a_port(same: Same) -> None:
    async def main(world: World) -> None:
        first = await world.loop.create_server(Accepted(world), "127.0.0.1", 0, reuse_port=True)
        address = name_of(world, first)
        second = await world.loop.create_server(Accepted(world), *address, reuse_port=True)
        world.log("caller", "second", second.sockets[0].getsockname())
        first.close()
        second.close()

    same(main)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="keep_alive is new in 3.13")
def test_keep_alive(same: Same) -> None:
    async def main(world: World) -> None:
        for keep_alive in (None, False, True):
            server = await world.loop.create_server(Accepted(world), "127.0.0.1", 0, keep_alive=keep_alive)  # type: ignore[call-overload]
            option = server.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            world.log("caller", "keep_alive", keep_alive, option)
            server.close()

    same(main)


# A server's life


def test_methods(same: Same) -> None:
    async def main(world: World) -> None:
        server = await world.loop.create_server(Accepted(world), "127.0.0.1", 0)
        address = name_of(world, server)
        world.log("caller", "open", server.is_serving(), server.get_loop() is world.loop, type(server.sockets))
        kept = server.sockets[0]
        world.log("caller", "socket", kept.family, kept.type, kept.proto, kept.getsockname(), kept.gettimeout())
        await server.start_serving()
        await server.start_serving()
        world.log("caller", "close", server.close(), server.close(), server.is_serving(), server.sockets)  # type: ignore[func-returns-value]
        world.log("caller", "refused", await is_refused(address))
        await soon(server.wait_closed())
        world.log("caller", "kept", kept.fileno())
        with pytest.raises(OSError) as closed:
            kept.getsockname()
        world.log("caller", "raised", closed.value)
        for call in (server.start_serving, server.serve_forever):
            with pytest.raises(Exception) as caught:
                await call()
            world.log("caller", "raised", type(caught.value), str(caught.value).rpartition(">")[2])

    same(main)


@pytest.mark.parametrize("debug", [False, True])
def test_a_server_shows_its_addresses(same: Same, debug: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "asyncio")

    async def main(world: World) -> None:
        caplog.clear()
        server = await world.loop.create_server(Accepted(world), "127.0.0.1", 0)
        name_of(world, server)
        world.log("caller", "shown", re.sub(r"fd=-?\d+", "", repr(server)))
        text = "".join(record.getMessage() for record in caplog.records if "is serving" in record.msg)
        world.log("caller", "told", re.sub(r"fd=-?\d+", "", text))
        server.close()
        world.log("caller", "closed", repr(server))

    assert "laddr=" in same(main, debug=debug)["caller"][0][1]


def test_as_a_context(same: Same) -> None:
    async def main(world: World) -> None:
        async with await world.loop.create_server(Accepted(world), "127.0.0.1", 0) as server:
            address = name_of(world, server)
            world.log("caller", "inside", server.is_serving())
        world.log("caller", "outside", server.is_serving(), await is_refused(address))

    same(main)


def test_a_connect_right_after_close_is_refused(same: Same) -> None:
    async def main(world: World) -> None:
        for _ in range(20):
            server = await world.loop.create_server(Accepted(world), "127.0.0.1", 0)
            address = name_of(world, server)
            server.close()
            with socket.socket() as peer:
                # In the loop's own thread: nothing happens in between.
                world.log("caller", "refused", peer.connect_ex(address) == errno.ECONNREFUSED)

    same(main)


def test_a_connect_right_after_create_server_is_accepted(same: Same) -> None:
    async def main(world: World) -> None:
        accepted = Accepted(world)
        server = await world.loop.create_server(accepted, "127.0.0.1", 0)
        peer = socket.create_connection(name_of(world, server), 5)
        world.own(peer).close()
        await (await accepted.next()).lost()
        server.close()

    same(main)


def test_without_start_serving_it_is_bound_only(same: Same) -> None:
    async def main(world: World) -> None:
        accepted = Accepted(world)
        server = await world.loop.create_server(accepted, "127.0.0.1", 0, start_serving=False)
        address = name_of(world, server)
        world.log("caller", "made", server.is_serving(), await is_refused(address))
        await server.start_serving()
        world.log("caller", "started", server.is_serving())
        peer = await world.dial(address)
        protocol = await accepted.next()
        peer.close()
        await protocol.lost()
        server.close()

    same(main)


def test_serve_forever(same: Same) -> None:
    async def main(world: World) -> None:
        accepted = Accepted(world)
        server = await world.loop.create_server(accepted, "127.0.0.1", 0, start_serving=False)
        address = name_of(world, server)
        serving = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0)
        world.log("caller", "serving", server.is_serving())
        with pytest.raises(RuntimeError) as caught:
            await server.serve_forever()
        world.log("caller", "raised", str(caught.value).rpartition(">")[2])
        peer = await world.dial(address)
        protocol = await accepted.next()
        peer.close()
        await protocol.lost()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(serving)
        world.log("caller", "cancelled", server.is_serving(), server.sockets, await is_refused(address))

    same(main)


def test_close_cancels_serve_forever(same: Same) -> None:
    async def main(world: World) -> None:
        server = await world.loop.create_server(Accepted(world), "127.0.0.1", 0)
        serving = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0)
        server.close()
        with pytest.raises(asyncio.CancelledError):
            await soon(serving)
        world.log("caller", "cancelled", server.is_serving())

    same(main)


def test_connections_outlive_close_and_wait_closed_waits_as_the_version_does(same: Same) -> None:
    async def main(world: World) -> None:
        accepted = Accepted(world)
        server = await world.loop.create_server(accepted, "127.0.0.1", 0)
        peer = await world.dial(name_of(world, server))
        protocol = await accepted.next()
        before = asyncio.create_task(server.wait_closed())
        await world.settle()
        world.log("caller", "open", before.done())
        server.close()
        after = asyncio.create_task(server.wait_closed())
        await world.settle()
        world.log("caller", "closed", before.done(), after.done())
        peer.sendall(b"still here")
        await protocol.until_data(10)
        protocol.transport.write(b"I, too")
        protocol.transport.close()
        world.log("peer", "read", await read_all(peer))
        await protocol.lost()
        await soon(asyncio.gather(before, after))
        world.log("caller", "both")

    same(main)


def test_wait_closed_without_connections(same: Same) -> None:
    async def main(world: World) -> None:
        server = await world.loop.create_server(Accepted(world), "127.0.0.1", 0)
        waiting = asyncio.create_task(server.wait_closed())
        await world.settle()
        world.log("caller", "open", waiting.done())
        server.close()
        await soon(waiting)
        await soon(server.wait_closed())

    same(main)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
@pytest.mark.parametrize("method", ["close_clients", "abort_clients"])
def test_clients_may_be_ended(same: Same, method: str) -> None:
    async def main(world: World) -> None:
        accepted = Accepted(world)
        server = await world.loop.create_server(accepted, "127.0.0.1", 0)
        peers = [await world.dial(name_of(world, server)) for _ in range(3)]
        protocols = [await accepted.next() for _ in range(3)]
        protocols[0].transport.write(b"last")
        await world.settle()
        getattr(server, method)()
        for protocol in protocols:
            await protocol.lost()
        for peer in peers:
            world.log("peer", "read", await read_all(peer))
        world.log("caller", "still serves", server.is_serving())
        server.close()
        await soon(server.wait_closed())

    same(main)


def test_a_connection_that_nobody_accepted_is_reset_by_close(same: Same) -> None:
    async def main(world: World) -> None:
        accepted = Accepted(world)
        server = await world.loop.create_server(accepted, "127.0.0.1", 0, start_serving=False)
        address = name_of(world, server)
        await server.start_serving()
        peer = await world.dial(address)
        protocol = await accepted.next()
        server.close()
        protocol.transport.abort()
        world.log("peer", "read", await read_all(peer))
        await protocol.lost()

    same(main)


def test_a_server_that_nobody_holds_goes_on_serving(same: Same) -> None:
    async def main(world: World) -> None:
        accepted = Accepted(world)
        server = await world.loop.create_server(accepted, "127.0.0.1", 0)
        address = name_of(world, server)
        reference = weakref.ref(server)
        del server
        gc.collect()
        peer = await world.dial(address)
        protocol = await accepted.next()
        peer.sendall(b"hello")
        await protocol.until_data(5)
        protocol.transport.abort()
        await protocol.lost()
        kept = reference()
        world.log("caller", "kept", kept is not None)
        assert kept is not None
        kept.close()
        await soon(kept.wait_closed())
        del kept, protocol
        await world.settle()
        gc.collect()
        world.log("caller", "freed", reference() is None)

    same(main)


def test_many_connections(same: Same) -> None:
    async def main(world: World) -> None:
        accepted = Accepted(world)
        server = await world.loop.create_server(accepted, ["127.0.0.1", "127.0.0.2"], 0, backlog=5)
        peers = []
        for sock in server.sockets:
            peers += [await world.dial(sock.getsockname()) for _ in range(50)]
        protocols = [await accepted.next() for _ in peers]
        world.log("caller", "different", len({protocol.transport for protocol in protocols}))
        names = {protocol.transport.get_extra_info("peername") for protocol in protocols}
        world.log("caller", "names", names == {peer.getsockname() for peer in peers})
        server.close()
        for protocol in protocols:
            protocol.transport.close()
        for protocol in protocols:
            await protocol.lost()

    same(main)


def test_names_of_accepted_connections(same: Same) -> None:
    async def main(world: World) -> None:
        for host in ("127.0.0.1", "::1", None):
            accepted = Accepted(world)
            server = await world.loop.create_server(accepted, host, 0)
            for sock in server.sockets:
                address = sock.getsockname()
                target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address[0], address[0])
                world.name_port(address[1], "server")
                await world.dial((target, address[1]))
                transport = (await accepted.next()).transport
                for key in ("sockname", "peername"):
                    world.log("server", key, transport.get_extra_info(key))
                transport.abort()
            server.close()
        world.events["server"].sort(key=repr)

    same(main)


def test_a_resolver_of_one_s_own(same: Same) -> None:
    async def main(world: World) -> None:
        async def resolve(host: Any, port: Any, **hints: Any) -> Any:
            world.log("resolver", "asked", host, port, hints)
            if host == "none.test":
                return []
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", port))]

        world.loop.getaddrinfo = resolve  # type: ignore[method-assign]
        server = await world.loop.create_server(Accepted(world), "peer.test", 0)
        world.log("caller", "listens", server.sockets[0].getsockname()[0])
        server.close()
        with pytest.raises(OSError) as caught:
            await world.loop.create_server(Accepted(world), "none.test", 0)
        world.log("caller", "raised", caught.value)
        server = await world.loop.create_server(Accepted(world), "", 0)
        server.close()

    same(main)


def test_a_name_with_an_address_that_is_not_here(same: Same) -> None:
    async def main(world: World) -> None:
        async def resolve(host: Any, port: Any, **_: Any) -> Any:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in ("127.0.0.2", "192.0.2.99")]

        world.loop.getaddrinfo = resolve  # type: ignore[method-assign]
        with socket.create_server(("127.0.0.2", 0)) as taken:
            port = taken.getsockname()[1]
        try:
            server = await world.loop.create_server(Accepted(world), "peer.test", port)
        except OSError as error:
            world.log("caller", "raised", error.errno)
            # Nothing is bound of it.
            socket.create_server(("127.0.0.2", port)).close()
        else:
            world.log("caller", "made", len(server.sockets))
            server.close()

    same(main)


def test_start_server(same: Same) -> None:
    async def main(world: World) -> None:
        async def reverse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            world.log("server", "read", await reader.read())
            writer.write(b"bye")
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            world.log("server", "closed")
            done.set()

        done = asyncio.Event()
        server = await asyncio.start_server(reverse, "127.0.0.1", 0)
        peer = await world.dial(name_of(world, server))
        peer.sendall(b"hello")
        peer.shutdown(socket.SHUT_WR)
        world.log("peer", "read", await read_all(peer))
        await soon(done.wait())
        server.close()
        await soon(server.wait_closed())

    same(main)


# Unix


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_unix(same: Same, folder: Path, kind: Callable[[Path], Any]) -> None:
    async def main(world: World) -> None:
        path = folder / "ü"
        accepted = Accepted(world)
        server = await world.loop.create_unix_server(accepted, kind(path))
        sock = server.sockets[0]
        world.log("caller", "listens", name_of(world, server), sock.family, sock.type, sock.proto)
        world.log("caller", "mode", oct(path.stat().st_mode))
        peer = world.own(socket.socket(socket.AF_UNIX))
        await asyncio.to_thread(peer.connect, str(path))
        protocol = await accepted.next()
        for key in ("sockname", "peername"):
            world.log("server", key, protocol.transport.get_extra_info(key))
        peer.sendall(b"hello")
        await protocol.until_data(5)
        server.close()
        world.log("caller", "refused", path.exists() and await is_refused(str(path)))
        peer.close()
        await protocol.lost()
        await soon(server.wait_closed())
        world.log("caller", "stays", path.exists())
        path.unlink(missing_ok=True)

    same(main)


def test_unix_relative_paths_are_absolute_for_the_service(
    loop_factory: LoopFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()

    async def main() -> None:
        monkeypatch.chdir(tmp_path)
        server = await asyncio.get_running_loop().create_unix_server(asyncio.Protocol, "s")
        assert server.sockets[0].getsockname() == str(tmp_path / "s")
        server.close()
        monkeypatch.chdir(deep)
        for call in ("create_unix_server", "create_unix_connection"):
            with pytest.raises(OSError, match="AF_UNIX path too long") as caught:
                await getattr(asyncio.get_running_loop(), call)(asyncio.Protocol, "s")
            assert caught.value.__notes__[0].endswith(f"longer than 107 bytes: {deep}/s")

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def test_unix_abstract(same: Same) -> None:
    async def main(world: World) -> None:
        for name in (f"\0transportd-test-{os.getpid()}", b"\0transportd-test-\xff"):
            accepted = Accepted(world)
            server = await world.loop.create_unix_server(accepted, name)  # type: ignore[arg-type]
            world.log("caller", "listens", name_of(world, server))
            peer = world.own(socket.socket(socket.AF_UNIX))
            await asyncio.to_thread(peer.connect, name)
            transport = (await accepted.next()).transport
            world.log("server", "sockname", transport.get_extra_info("sockname"), transport.get_extra_info("peername"))
            transport.abort()
            server.close()

    same(main)


def test_unix_takes_the_place_of_another(same: Same, folder: Path) -> None:
    async def main(world: World) -> None:
        first, second = Accepted(world, "first"), Accepted(world, "second")
        one = await world.loop.create_unix_server(first, "place")
        two = await world.loop.create_unix_server(second, "place")
        peer = world.own(socket.socket(socket.AF_UNIX))
        await asyncio.to_thread(peer.connect, "place")
        (await second.next()).transport.abort()
        one.close()
        world.log("caller", "exists", Path("place").exists())
        two.close()
        world.log("caller", "exists", Path("place").exists())
        Path("place").unlink(missing_ok=True)

    same(main)


def test_unix_a_stale_socket_is_removed(same: Same, folder: Path) -> None:
    async def main(world: World) -> None:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as stale:
            stale.bind("stale")
        server = await world.loop.create_unix_server(Accepted(world), "stale")
        world.log("caller", "made", stat.S_ISSOCK(Path("stale").stat().st_mode))
        server.close()
        Path("stale").unlink(missing_ok=True)

    same(main)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="cleanup_socket is new in 3.13")
@pytest.mark.parametrize("cleanup", [True, False])
def test_unix_cleanup_socket(same: Same, folder: Path, cleanup: bool) -> None:
    async def main(world: World) -> None:
        server = await world.loop.create_unix_server(Accepted(world), "place", cleanup_socket=cleanup)  # type: ignore[call-arg]
        server.close()
        world.log("caller", "exists", Path("place").exists())
        Path("place").unlink(missing_ok=True)

    same(main)


@LEFT_OPEN
@pytest.mark.parametrize(
    ("path", "options"),
    [
        (None, {}),
        ("", {}),
        (b"", {}),
        ("place", {"sock": object()}),
        ("place", {"ssl": True}),
        ("place", {"ssl_handshake_timeout": 1}),
        ("place", {"ssl_shutdown_timeout": 1}),
        ("place", {"backlog": "many"}),
        ("file", {}),
        ("folder", {}),
        ("missing/place", {}),
        ("file/place", {}),
        ("x" * 200, {}),
        ("\0" + "x" * 200, {}),
        (5, {}),
    ],
    ids=repr,
)
def test_unix_arguments_that_cannot_be(same: Same, folder: Path, path: Any, options: dict[str, Any]) -> None:
    (folder / "file").touch()
    (folder / "folder").mkdir()

    async def main(world: World) -> None:
        with pytest.raises(Exception) as caught:
            await world.loop.create_unix_server(Accepted(world), path, **options)
        world.log("caller", "raised", caught.value)
        world.events.pop("logger", None)  # The stock loop says why it removed nothing.
        Path("place").unlink(missing_ok=True)

    same(main)


def test_unix_streams(same: Same, folder: Path) -> None:
    async def main(world: World) -> None:
        async def reverse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readline())[::-1])
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_unix_server(reverse, "place")
        reader, writer = await asyncio.open_unix_connection("place")
        writer.write(b"hello\n")
        world.log("client", "read", await soon(reader.read()))
        writer.close()
        await soon(writer.wait_closed())
        server.close()
        Path("place").unlink(missing_ok=True)

    same(main)
