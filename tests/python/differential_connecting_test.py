"""create_connection and create_unix_connection: arguments, names, addresses, errors and their texts."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from differential import LoopFactory, Recorder, Same, World, read_all, soon


async def attempt(world: World, *arguments: Any, **options: Any) -> Any:
    """The transport; None and an entry in the log when it fails."""
    try:
        transport, _ = await soon(world.loop.create_connection(lambda: Recorder(world), *arguments, **options))
    except Exception as error:
        world.log("caller", "raised", error)
        return None
    world.log("caller", "connected")
    return transport


def dead_port(world: World, host: str = "127.0.0.1") -> int:
    """Nobody listens there, and nobody else gets it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = world.stack.enter_context(socket.socket(family))
    bound.bind((host, 0))
    port: int = bound.getsockname()[1]
    world.name_port(port, "dead")
    return port


# Arguments

CONTEXT = ssl.create_default_context()


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((), {}),
        ((None, None), {}),
        (("localhost", 1), {"server_hostname": ""}),
        (("localhost", 1), {"server_hostname": "name"}),
        (("", 1), {"ssl": True}),
        ((None, 1), {"ssl": CONTEXT}),
        (("localhost", 1), {"ssl_handshake_timeout": 1}),
        (("localhost", 1), {"ssl_shutdown_timeout": 1}),
        (("localhost", 1), {"sock": object()}),
        ((), {"sock": object(), "server_hostname": "name"}),
        (("127.0.0.1", 1), {"ssl": object()}),
        (("127.0.0.1", 65536), {}),
        (("127.0.0.1", -1), {}),
        (("127.0.0.1", "no-such-service"), {}),
        (("127.0.0.1", "65536"), {}),
        (("127.0.0.1", 1.5), {}),
        (("127.0.0.1", 1), {"local_addr": ("127.0.0.1",)}),
        (("127.0.0.1", 1), {"local_addr": ("::1", 0)}),
        (("127.0.0.1", 1), {"family": socket.AF_INET6}),
        (("::1", 1), {"family": socket.AF_INET}),
        (("127.0.0.1", 1), {"family": socket.AF_UNIX}),
        (("127.0.0.1", 1), {"family": 99}),
        (("localhost", 1), {"proto": socket.IPPROTO_UDP}),
        (("", 1), {}),
        ((b"", 1), {}),
        (("no-such-name.invalid", 1), {}),
        (("a..b", 1), {}),
        (("x" * 64 + ".invalid", 1), {}),
        (("x\0y", 1), {}),
        (("[::1]", 1), {}),
        (("127.0.0.1%lo", 1), {}),
        (("no-such-name.invalid", 1), {"flags": socket.AI_NUMERICHOST}),
    ],
    ids=repr,
)
def test_arguments_that_cannot_be(same: Same, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    async def main(world: World) -> None:
        assert await attempt(world, *arguments, **options) is None

    same(main)


@pytest.mark.parametrize("host", [5, ["127.0.0.1"], ("127.0.0.1",), object()], ids=repr)
def test_hosts_of_the_wrong_type(same: Same, host: Any) -> None:
    async def main(world: World) -> None:
        with pytest.raises(Exception) as caught:
            await world.loop.create_connection(lambda: Recorder(world), host, 1)
        world.log("caller", "raised", type(caught.value))

    same(main)


NUMBERS = [-1, 99, 2**31 - 1, 2**31, -(2**31) - 1, 2**64, "1", 1.5, None]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("call", ["getaddrinfo", "create_connection", "create_server", "create_datagram_endpoint"])
def test_numbers_of_getaddrinfo_that_cannot_be(same: Same, call: str, host: str) -> None:
    names = {
        "getaddrinfo": ("family", "type", "proto", "flags"),
        "create_connection": ("family", "proto", "flags"),
        "create_server": ("family", "flags"),
        "create_datagram_endpoint": ("family", "proto", "flags"),
    }

    def begin(world: World, **options: Any) -> Any:
        loop, port = world.loop, world.listener.getsockname()[1]
        if call == "getaddrinfo":
            return loop.getaddrinfo(host, port, **options)
        if call == "create_connection":
            return loop.create_connection(asyncio.Protocol, host, port, **options)
        if call == "create_server":
            return loop.create_server(asyncio.Protocol, host, 0, **options)
        return loop.create_datagram_endpoint(asyncio.DatagramProtocol, (host, 0), **options)

    async def main(world: World) -> None:
        for name in names[call]:
            for value in NUMBERS:
                try:
                    made = await soon(begin(world, **{name: value}))
                except Exception as error:
                    world.log(name, repr(value), error)
                    continue
                world.log(name, repr(value), "made")
                if isinstance(made, asyncio.Server):
                    made.close()
                elif isinstance(made, tuple):
                    made[0].abort()

    same(main)


@pytest.mark.parametrize(
    "address", [("127.0.0.1",), (), "h", 5, {"127.0.0.1": 1}, ("", 0), ("127.0.0.1", "x"), ("127.0.0.1", [])], ids=repr
)
def test_addresses_that_are_none(same: Same, address: Any) -> None:
    """As the local address of a connection, and as what sock_connect connects to, here and in the service."""

    async def main(world: World) -> None:
        where = world.listener.getsockname()
        await attempt(world, *where, local_addr=address)
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(type=kind) as sock:
                sock.setblocking(False)
                try:
                    await soon(world.loop.sock_connect(sock, address))
                except Exception as error:
                    world.log("sock_connect", kind.name, error)
                else:
                    world.log("sock_connect", kind.name)

    same(main)


@pytest.mark.parametrize(
    ("sockaddr", "flags"),
    [
        (("127.0.0.1", 80), 2**31),
        (("127.0.0.1", 80), None),
        (("127.0.0.1", "80"), 0),
        (("127.0.0.1", 80, 0), 0),
        (("127.0.0.1", 80, 0, 0), 0),
        (("127.0.0.1",), 0),
        (["127.0.0.1", 80], 0),
        (("127.0.0.1\0", 80), 0),
        (("127.0.0.1", -1), 0),
        (("::1", -1), 0),
        (("127.0.0.1", 1 << 31), 0),
    ],
    ids=repr,
)
def test_getnameinfo_arguments_that_cannot_be(same: Same, sockaddr: Any, flags: Any) -> None:
    async def main(world: World) -> None:
        with pytest.raises(Exception) as caught:
            await world.loop.getnameinfo(sockaddr, flags)
        world.log("caller", "raised", caught.value)

    same(main)


@pytest.mark.parametrize("port", [65536, 70000, (1 << 31) - 1])
def test_getnameinfo_takes_ports_as_getaddrinfo_does(same: Same, port: int) -> None:
    async def main(world: World) -> None:
        for host in ("127.0.0.1", "::1"):
            names = await world.loop.getnameinfo((host, port), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
            world.log("caller", "names", names)

    same(main)


@pytest.mark.parametrize("host", ["l\0", "\0", b"l\0"], ids=repr)
def test_names_with_a_byte_0(same: Same, host: str | bytes) -> None:
    async def main(world: World) -> None:
        with pytest.raises(socket.gaierror) as caught:
            await world.loop.getaddrinfo(host, 80)
        world.log("caller", "raised", caught.value)

    same(main)


def test_ports_with_a_byte_0_are_no_service_s_names(loop_factory: LoopFactory) -> None:
    with asyncio.Runner(loop_factory=loop_factory) as runner, pytest.raises(socket.gaierror) as caught:
        runner.run(runner.get_loop().getaddrinfo("127.0.0.1", "8\0"))
    assert caught.value.errno == socket.EAI_SERVICE


@pytest.mark.parametrize("kind", ["datagram", "SSLSocket", "closed", "unix datagram"])
def test_sockets_that_cannot_be(same: Same, kind: str) -> None:
    async def main(world: World) -> None:
        if kind == "SSLSocket":
            plain = world.stack.enter_context(socket.socket())
            sock: socket.socket = CONTEXT.wrap_socket(plain, server_hostname="name", do_handshake_on_connect=False)
            world.stack.enter_context(sock)
        elif kind == "unix datagram":
            sock = world.stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        else:
            type_ = socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM
            sock = world.stack.enter_context(socket.socket(type=type_))
        if kind == "closed":
            sock.close()
        assert await attempt(world, sock=sock) is None
        world.events["caller"] = [tuple(str(detail).partition("<")[0] for detail in world.events["caller"][0])]

    same(main)


# Hosts and ports


@pytest.mark.parametrize(
    "host", ["127.0.0.1", b"127.0.0.1", "127.1", "localhost", b"localhost", "LOCALHOST", "::1", None]
)
@pytest.mark.parametrize("port_type", [int, str, lambda port: str(port).encode()], ids=["int", "str", "bytes"])
def test_hosts_and_ports(same: Same, host: Any, port_type: Callable[[int], Any]) -> None:
    async def main(world: World) -> None:
        listener = world.own(socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True))
        port = listener.getsockname()[1]
        world.name_port(port, "peer")
        transport = await attempt(world, host, port_type(port))
        world.log("caller", "peername", transport.get_extra_info("peername"))
        transport.abort()

    same(main)


def test_unicode_names_are_encoded(same: Same) -> None:
    async def main(world: World) -> None:
        await attempt(world, "bücher.invalid", 80)

    same(main)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="")
def test_a_scoped_address(same: Same) -> None:
    async def main(world: World) -> None:
        listener = world.own(socket.create_server(("::1", 0), family=socket.AF_INET6))
        port = listener.getsockname()[1]
        world.name_port(port, "peer")
        transport = await attempt(world, "::1%lo", port)
        if transport is not None:
            world.log("caller", "peername", transport.get_extra_info("peername"))
            transport.abort()

    same(main)


@pytest.mark.parametrize("host", ["fe80::1%lo", "fe80::1%1", "ff02::1%lo"])
def test_getaddrinfo_says_a_scope_as_a_number(same: Same, host: str) -> None:
    async def main(world: World) -> None:
        infos = await world.loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
        world.log("caller", "found", infos)
        world.log("caller", "is", infos[0][4] == ("f" + host[1:].partition("%")[0], 80, 0, 1))

    assert same(main)["caller"][-1] == ("is", True)


def test_a_link_local_address(same: Same) -> None:
    """A stream's and a datagram's names have the scope as a number, and as such it leads back."""
    lines = [line.split() for line in Path("/proc/net/if_inet6").read_text().splitlines()]
    found = [(line[0], line[5]) for line in lines if line[3] == "20"]
    if not found:
        pytest.skip("this machine has no link-local address")
    host = f"{socket.inet_ntop(socket.AF_INET6, bytes.fromhex(found[0][0]))}%{found[0][1]}"

    async def main(world: World) -> None:
        server = await world.loop.create_server(asyncio.Protocol, host, 0)
        where = server.sockets[0].getsockname()
        world.name_port(where[1], "server")
        for each in (host, f"{where[0]}%{where[3]}"):
            transport = await attempt(world, each, where[1])
            world.log("caller", "peername", transport.get_extra_info("peername"))
            world.log("caller", "sockname", transport.get_extra_info("sockname")[0::2])
            transport.abort()
        server.close()
        endpoint, _ = await world.loop.create_datagram_endpoint(asyncio.DatagramProtocol, (host, 0))
        name = endpoint.get_extra_info("sockname")
        endpoint.sendto(b"to itself", name)
        world.log("caller", "endpoint", name[0::2], name[3])
        endpoint.abort()

    same(main)


# Refused


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", None])
def test_refused(same: Same, host: Any) -> None:
    async def main(world: World) -> None:
        port = dead_port(world, "::1" if host == "::1" else "127.0.0.1")
        await attempt(world, host, port)

    same(main)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="all_errors is new in 3.12")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_all_errors(same: Same, host: str) -> None:
    async def main(world: World) -> None:
        port = dead_port(world)
        await attempt(world, host, port, all_errors=True)
        await attempt(world, host, port, all_errors=False)

    same(main)


def test_addresses_that_cannot_be_reached(same: Same) -> None:
    async def main(world: World) -> None:
        await attempt(world, "255.255.255.255", 9)
        await attempt(world, "127.0.0.1", 0)

    same(main)


# local_addr


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_local_addr(same: Same, host: str) -> None:
    async def main(world: World) -> None:
        transport = await attempt(world, *world.listener.getsockname(), local_addr=(host, 0))
        peer = await world.accept()
        world.log("caller", "sockname", transport.get_extra_info("sockname"), peer.getpeername())
        transport.abort()

    same(main)


def test_local_addr_in_use(same: Same) -> None:
    async def main(world: World) -> None:
        taken = dead_port(world)
        await attempt(world, *world.listener.getsockname(), local_addr=("127.0.0.1", taken))

    same(main)


@pytest.mark.parametrize(
    "local_addr",
    [
        ("192.0.2.99", 0),
        ("no-such-name.invalid", 0),
        ("127.0.0.1", 65536),
        ("127.0.0.1", "no-such-service"),
        ("::1", 0),
    ],
)
def test_local_addr_that_cannot_be(same: Same, local_addr: Any) -> None:
    async def main(world: World) -> None:
        await attempt(world, *world.listener.getsockname(), local_addr=local_addr)

    same(main)


def test_local_addr_passes_over_other_families(same: Same) -> None:
    async def main(world: World) -> None:
        port = world.listener.getsockname()[1]
        transport = await attempt(world, "127.0.0.1", port, local_addr=("localhost", 0))
        await world.accept()
        world.log("caller", "sockname", transport.get_extra_info("sockname"))
        transport.abort()

    same(main)


# A resolver of one's own


class Resolver:
    """Takes the place of loop.getaddrinfo, for names that end in .test."""

    def __init__(self, world: World, answers: dict[str, list[str]]):
        self.world = world
        self.answers = answers
        world.loop.getaddrinfo = self  # type: ignore[method-assign]

    async def __call__(self, host: Any, port: Any, **hints: Any) -> list[tuple[Any, ...]]:
        self.world.log("resolver", "asked", host, port, {name: int(value) for name, value in hints.items()})
        await asyncio.sleep(0)
        number = 0 if port is None else int(port)
        out: list[tuple[Any, ...]] = []
        for address in self.answers.get(host, [host]):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sockaddr = (address, number, 0, 0) if family == socket.AF_INET6 else (address, number)
            out.append((family, socket.SOCK_STREAM, 6, "", sockaddr))
        return out


def test_a_resolver_of_one_s_own(same: Same) -> None:
    async def main(world: World) -> None:
        Resolver(world, {"peer.test": ["127.0.0.1"], "local.test": ["127.0.0.2"]})
        port = world.listener.getsockname()[1]
        transport = await attempt(world, "peer.test", port, local_addr=("local.test", 0))
        await world.accept()
        world.log("caller", "names", transport.get_extra_info("sockname"), transport.get_extra_info("peername"))
        transport.abort()

    same(main)


@pytest.mark.parametrize(
    "addresses", [["127.0.0.2", "127.0.0.1"], ["::1", "127.0.0.1"], ["127.0.0.1", "127.0.0.1"], []]
)
@pytest.mark.parametrize("options", [{}, {"interleave": 1}, {"happy_eyeballs_delay": 0.25}], ids=repr)
def test_addresses_are_tried_in_order(same: Same, addresses: list[str], options: dict[str, Any]) -> None:
    async def main(world: World) -> None:
        Resolver(world, {"peer.test": addresses})
        port = world.listener.getsockname()[1]
        transport = await attempt(world, "peer.test", port, **options)
        if transport is not None:
            await world.accept()
            world.log("caller", "peername", transport.get_extra_info("peername"))
            transport.abort()

    same(main)


@pytest.mark.parametrize("addresses", [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.1"], ["::1", "127.0.0.1"]])
@pytest.mark.parametrize("options", [{}, {"happy_eyeballs_delay": 0.25}], ids=repr)
def test_all_addresses_fail(same: Same, addresses: list[str], options: dict[str, Any]) -> None:
    async def main(world: World) -> None:
        Resolver(world, {"peer.test": addresses})
        port = dead_port(world)
        await attempt(world, "peer.test", port, **options)
        if sys.version_info >= (3, 12):
            await attempt(world, "peer.test", port, all_errors=True, **options)

    same(main)


@pytest.mark.parametrize("error", [OSError(5, "mine"), socket.gaierror(-2, "mine"), ZeroDivisionError("mine")])
def test_a_resolver_that_fails(same: Same, error: Exception) -> None:
    async def main(world: World) -> None:
        async def fail(*_: Any, **__: Any) -> Any:
            raise error

        world.loop.getaddrinfo = fail  # type: ignore[method-assign]
        await attempt(world, "peer.test", 80)
        await attempt(world, "peer.test", 80, happy_eyeballs_delay=0.1)

    same(main)


def test_happy_eyeballs(same: Same) -> None:
    async def main(world: World) -> None:
        silent = world.listen(backlog=0)
        fillers = []
        for _ in range(4):
            filler = world.stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(silent.getsockname())
            fillers.append(filler)
        answering = world.own(socket.socket())
        answering.bind(("127.0.0.2", silent.getsockname()[1]))
        answering.listen()
        world.name_port(silent.getsockname()[1], "peer")
        Resolver(world, {"peer.test": ["127.0.0.1", "127.0.0.2"]})
        transport = await attempt(world, "peer.test", silent.getsockname()[1], happy_eyeballs_delay=0.05)
        world.log("caller", "peername", transport.get_extra_info("peername"))
        transport.abort()

    same(main)


@pytest.mark.parametrize("delay", [None, 0, 0.25])
@pytest.mark.parametrize("interleave", [None, 0, 1, 2])
def test_localhost(same: Same, delay: float | None, interleave: int | None) -> None:
    async def main(world: World) -> None:
        port = world.listener.getsockname()[1]
        transport = await attempt(world, "localhost", port, happy_eyeballs_delay=delay, interleave=interleave)
        world.log("caller", "peername", transport.get_extra_info("peername"))
        transport.abort()

    same(main)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize(
    "options",
    [
        {"happy_eyeballs_delay": -1},
        {"happy_eyeballs_delay": math.inf},
        {"happy_eyeballs_delay": 1e9},
        {"happy_eyeballs_delay": 0.25, "interleave": -1},
        {"interleave": -1},
        {"interleave": 1 << 40},
        {"flags": 1 << 30},
        {"proto": socket.IPPROTO_UDP},
        {"proto": socket.IPPROTO_UDP, "local_addr": ("127.0.0.1", 0)},
        {"proto": socket.IPPROTO_UDP, "local_addr": ("localhost", 0)},
        {"local_addr": ("", 0)},
    ],
    ids=repr,
)
def test_odd_options(same: Same, host: str, options: dict[str, Any]) -> None:
    async def main(world: World) -> None:
        transport = await attempt(world, host, world.listener.getsockname()[1], **options)
        if transport is not None:
            world.log("caller", "peername", transport.get_extra_info("peername"))
            transport.abort()

    same(main)


# Unix


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_unix(same: Same, tmp_path: Path, kind: Any) -> None:
    async def main(world: World) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            path = tmp_path / "ü"
            path.unlink(missing_ok=True)
            listener.bind(str(path))
            listener.listen()
            transport, protocol = await world.loop.create_unix_connection(lambda: Recorder(world), kind(path))
            peer = await asyncio.to_thread(listener.accept)
            world.own(peer[0]).sendall(b"hello")
            world.log("client", "names", transport.get_extra_info("sockname"), transport.get_extra_info("peername"))
            await protocol.until_data(5)
            transport.write(b"bye")
            transport.close()
            world.log("peer", "read", await read_all(peer[0]))
            await protocol.lost()

    same(main)


@pytest.mark.parametrize("kind", [str, str.encode])
def test_unix_abstract(same: Same, kind: Any) -> None:
    async def main(world: World) -> None:
        name = f"\0transportd-test-{os.getpid()}"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(name)
            listener.listen()
            transport, _ = await world.loop.create_unix_connection(lambda: Recorder(world), kind(name))
            world.log("client", "names", transport.get_extra_info("sockname"), transport.get_extra_info("peername"))
            transport.abort()

    same(main)


def test_unix_relative_paths_begin_in_the_program_s_folder(same: Same, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)

    async def main(world: World) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            Path("relative").unlink(missing_ok=True)
            listener.bind("relative")
            listener.listen()
            transport, _ = await world.loop.create_unix_connection(lambda: Recorder(world), "relative")
            transport.abort()
            world.log("client", "connected")

    same(main)


@pytest.mark.parametrize(
    ("path", "options"),
    [
        (None, {}),
        ("/some", {"sock": object()}),
        ("/some", {"ssl": CONTEXT}),
        ("/some", {"server_hostname": "name"}),
        ("/some", {"ssl_handshake_timeout": 1}),
        ("/some", {"ssl_shutdown_timeout": 1}),
        ("missing", {}),
        ("folder/missing", {}),
        ("file", {}),
        ("file/inside", {}),
        ("stale", {}),
        ("", {}),
        (b"", {}),
        ("x" * 200, {}),
        (b"x" * 200, {}),
        ("\0" + "x" * 200, {}),
        ("\0no-such-name", {}),
        (5, {}),
    ],
    ids=repr,
)
def test_unix_arguments_that_cannot_be(
    same: Same, tmp_path: Path, monkeypatch: Any, path: Any, options: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind("stale")

    async def main(world: World) -> None:
        with pytest.raises(Exception) as caught:
            await world.loop.create_unix_connection(lambda: Recorder(world), path, **options)
        world.log("caller", "raised", caught.value)

    same(main)
