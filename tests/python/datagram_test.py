"""Datagram endpoints: everything that asyncio's own have, on both loops, so that asyncio's is the measure."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import logging
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import transportd
from transportd._datagram import DatagramTransport
from transportd.service import Service

from recorders import LIMIT_SECONDS, DatagramRecorder, LoopFactory, exceptions_of, run, soon, until

Address = Any


@contextlib.asynccontextmanager
async def endpoint(
    factory: Callable[[], DatagramRecorder] = DatagramRecorder, **arguments: Any
) -> AsyncIterator[DatagramRecorder]:
    """An open endpoint's protocol; closed at the end."""
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(factory, **arguments)
    assert protocol.transport is transport
    assert protocol.events[0] == "made"
    try:
        yield protocol
    finally:
        if not protocol.lost.done():
            transport.abort()
        await protocol.wait_lost()


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    """A UDP socket of the test's own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(LIMIT_SECONDS)
        yield peer


@pytest.fixture
def unix_peer(tmp_path: Path) -> Iterator[socket.socket]:
    """A Unix datagram socket of the test's own: it loses nothing, and holds few."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.bind(str(tmp_path / "peer"))
        peer.settimeout(LIMIT_SECONDS)
        yield peer


async def receive(peer: socket.socket, count: int = 1) -> list[bytes]:
    def all_of_them() -> list[bytes]:
        return [peer.recv(1 << 20) for _ in range(count)]

    return await asyncio.get_running_loop().run_in_executor(None, all_of_them)


# Addresses


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_exchange(both_loops: LoopFactory, host: str) -> None:
    async def main() -> None:
        async with endpoint(local_addr=(host, 0)) as server:
            name = server.transport.get_extra_info("sockname")
            async with endpoint(remote_addr=name[:2]) as client:
                assert client.transport.get_extra_info("peername") == name
                assert server.transport.get_extra_info("peername") is None
                client.transport.sendto(b"ping")
                data, address = await soon(server.received.get())
                assert (data, address) == (b"ping", client.transport.get_extra_info("sockname"))
                server.transport.sendto(bytearray(b"pong"), address)
                assert await soon(client.received.get()) == (b"pong", name)
                client.transport.sendto(memoryview(b"again"), name)
                assert (await soon(server.received.get()))[0] == b"again"

    run(both_loops, main)


def test_socket_and_types(both_loops: LoopFactory) -> None:
    async def main() -> None:
        async with endpoint(local_addr=("127.0.0.1", 0)) as protocol:
            transport = protocol.transport
            assert isinstance(transport, asyncio.Transport)
            assert transport.get_protocol() is protocol
            sock = transport.get_extra_info("socket")
            assert sock is transport.get_extra_info("socket")
            assert (sock.family, sock.type) == (socket.AF_INET, socket.SOCK_DGRAM)
            assert sock.getsockname() == transport.get_extra_info("sockname")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_DGRAM
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 131072
            with pytest.raises(NotImplementedError):
                transport.write_eof()
            with pytest.raises(RuntimeError, match="sendfile is not supported"):
                await asyncio.get_running_loop().sendfile(transport, io.BytesIO())
            assert transport.get_extra_info("nothing", 5) == 5

    run(both_loops, main)


def test_methods_of_streams(both_loops: LoopFactory) -> None:
    async def main() -> None:
        async with endpoint(local_addr=("127.0.0.1", 0)) as protocol:
            transport: Any = protocol.transport
            for call in (
                lambda: transport.write(b"data"),
                lambda: transport.writelines([b"data"]),
                transport.write_eof,
                transport.can_write_eof,
            ):
                with pytest.raises(NotImplementedError):
                    call()
            assert not isinstance(transport, DatagramTransport) or transport.is_reading()  # asyncio's: since 3.11.4.

    run(both_loops, main)


def test_is_a_datagram_transport(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with endpoint(local_addr=("127.0.0.1", 0)) as protocol:
            assert isinstance(protocol.transport, DatagramTransport)
            assert isinstance(protocol.transport, asyncio.DatagramTransport)
            assert "open" in repr(protocol.transport)
            assert protocol.transport.get_extra_info("socket").fileno() == -1

    run(loop_factory, main)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
def test_family_only(both_loops: LoopFactory, family: socket.AddressFamily) -> None:
    async def main() -> None:
        async with endpoint(family=family) as protocol:
            expected = {socket.AF_INET: ("0.0.0.0", 0), socket.AF_INET6: ("::", 0, 0, 0), socket.AF_UNIX: ""}
            assert protocol.transport.get_extra_info("sockname") == expected[family]
            assert protocol.transport.get_extra_info("peername") is None

    run(both_loops, main)


def test_names_are_resolved(both_loops: LoopFactory, peer: socket.socket) -> None:
    async def main() -> None:
        port = peer.getsockname()[1]
        async with endpoint(local_addr=("127.0.0.1", 0)) as protocol:
            for host in ("localhost", b"127.0.0.1", "127.1", ""):
                protocol.transport.sendto(repr(host).encode(), (host, port))
                assert await receive(peer) == [repr(host).encode()]
            for host in ("no-such-name.invalid", "x" * 100):
                protocol.transport.sendto(b"lost", (host, port))
                error = await soon(protocol.errors.get())
                assert isinstance(error, socket.gaierror)
                assert error.errno == socket.EAI_NONAME
            protocol.transport.sendto(b"lost", ("::1", port))
            assert isinstance(await soon(protocol.errors.get()), socket.gaierror)
            assert not protocol.transport.is_closing()
        async with endpoint(remote_addr=("localhost", port), family=socket.AF_INET) as protocol:
            assert protocol.transport.get_extra_info("peername") == ("127.0.0.1", port)

    run(both_loops, main)


def test_only_names_are_asked_for_each_time(
    loop_factory: LoopFactory, peer: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with endpoint(local_addr=("127.0.0.1", 0)) as protocol:
            session = protocol.transport._session
            asked: list[Any] = []
            request = session.request

            def counted(command: Any, done: Any) -> Any:
                asked.append(command)
                return request(command, done)

            monkeypatch.setattr(session, "request", counted)
            for host in ("127.0.0.1", "localhost"):
                for count in range(3):
                    assert len(asked) == (count if host == "localhost" else 0)
                    protocol.transport.sendto(b"x", (host, peer.getsockname()[1]))
                    assert await receive(peer) == [b"x"]
            # But once for all that wait for the same answer.
            for _ in range(100):
                protocol.transport.sendto(b"y", ("localhost", peer.getsockname()[1]))
            assert len(asked) == 4
            assert await receive(peer, 100) == [b"y"] * 100

    run(loop_factory, main)


@pytest.fixture
def still() -> Iterator[Service]:
    """A service that a test may stop."""
    with Service() as service:
        yield service
        os.kill(service.pid, signal.SIGCONT)


def test_names_stop_nobody_when_the_service_stands_still(still: Service, peer: socket.socket) -> None:
    """They are sent in order when it goes on; so is what does not need to be resolved."""

    async def main() -> None:
        port = peer.getsockname()[1]
        async with endpoint(local_addr=("127.0.0.1", 0)) as protocol:
            transport = protocol.transport
            os.kill(still.pid, signal.SIGSTOP)
            begun = time.monotonic()
            sent = []
            for number in range(10):
                host = ("localhost", "127.0.0.1", "127.1", "no-such-name.invalid")[number % 4]
                transport.sendto(b"%d" % number, (host, port))
                if number % 4 != 3:
                    sent.append(b"%d" % number)
            assert time.monotonic() - begun < 1
            assert transport.get_write_buffer_size() >= 10
            assert not protocol.errors.qsize()
            os.kill(still.pid, signal.SIGCONT)
            assert await receive(peer, len(sent)) == sent
            for _ in range(2):
                assert isinstance(await soon(protocol.errors.get()), socket.gaierror)
            await until(lambda: transport.get_write_buffer_size() == 0)
            # What waits for a name is sent before the end.
            for text in (b"last", b"of all"):
                transport.sendto(text, ("localhost", port))
            transport.close()
            assert await protocol.wait_lost() is None
            assert await receive(peer, 2) == [b"last", b"of all"]

    run(lambda: transportd.new_event_loop(still.target), main)


def test_names_that_are_none_do_not_stay_in_the_buffer(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with endpoint(local_addr=("127.0.0.1", 0)) as protocol:
            protocol.transport.set_write_buffer_limits(high=100)
            for _ in range(3):
                protocol.transport.sendto(bytes(100), ("no-such-name.invalid", 9))
            assert protocol.events[-1] == "pause"
            for _ in range(3):
                assert isinstance(await soon(protocol.errors.get()), socket.gaierror)
            await until(lambda: protocol.events.count("resume") == 1)
            assert protocol.transport.get_write_buffer_size() == 0
            protocol.transport.sendto(b"x", ("no-such-name.invalid", 9))
            protocol.transport.close()
            assert await protocol.wait_lost() is None

    run(loop_factory, main)


@pytest.mark.parametrize("end", ["abort", "kill"])
def test_the_end_while_a_name_is_resolved(still: Service, end: str) -> None:
    async def main() -> None:
        async with endpoint(local_addr=("127.0.0.1", 0)) as protocol:
            contexts = exceptions_of(asyncio.get_running_loop())
            os.kill(still.pid, signal.SIGSTOP)
            protocol.transport.sendto(b"x", ("localhost", 9))
            if end == "abort":
                protocol.transport.abort()
                assert await protocol.wait_lost() is None
                os.kill(still.pid, signal.SIGCONT)
                await soon(asyncio.get_running_loop().getaddrinfo("localhost", 9))
            else:
                os.kill(still.pid, signal.SIGKILL)
                assert isinstance(await protocol.wait_lost(), transportd.SessionLostError)
            assert protocol.events == ["made", "lost"]
            assert not contexts

    run(lambda: transportd.new_event_loop(still.target), main)


def test_the_loops_own_resolver_is_asked(both_loops: LoopFactory, peer: socket.socket) -> None:
    async def main() -> None:
        asked = []

        async def getaddrinfo(host: Any, port: Any, **options: Any) -> list[Any]:
            asked.append((host, port, options["type"]))
            kind = (socket.AF_INET, socket.SOCK_DGRAM, 17, "")
            return [(*kind, ("127.0.0.1", 1)), (*kind, peer.getsockname())]

        loop = asyncio.get_running_loop()
        loop.getaddrinfo = getaddrinfo  # type: ignore[method-assign]
        async with endpoint(remote_addr=("anything", "a service")) as protocol:
            assert asked == [("anything", "a service", socket.SOCK_DGRAM)]
            protocol.transport.sendto(b"found")
            assert await receive(peer) == [b"found"]

    run(both_loops, main)


def test_unix_addresses(both_loops: LoopFactory, tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "é")
        abstract = f"\0{tmp_path}"
        for _ in range(2):  # The second time a stale socket is in the way.
            async with endpoint(family=socket.AF_UNIX, local_addr=path) as server:
                assert server.transport.get_extra_info("sockname") == path
                async with endpoint(family=socket.AF_UNIX, remote_addr=path) as client:
                    assert client.transport.get_extra_info("peername") == path
                    client.transport.sendto(b"nobody")
                    assert await soon(server.received.get()) == (b"nobody", None)
                async with endpoint(family=socket.AF_UNIX, local_addr=abstract) as client:
                    assert client.transport.get_extra_info("sockname") == abstract.encode()
                    client.transport.sendto(b"somebody", path)
                    data, address = await soon(server.received.get())
                    assert (data, address) == (b"somebody", abstract.encode())
                    server.transport.sendto(b"answer", address)
                    assert await soon(client.received.get()) == (b"answer", path)
            assert (tmp_path / "é").is_socket()

    run(both_loops, main)


def test_relative_unix_path(both_loops: LoopFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def main() -> None:
        async with endpoint(family=socket.AF_UNIX, local_addr="here"):
            assert (tmp_path / "here").is_socket()

    run(both_loops, main)


BAD_ARGUMENTS: list[dict[str, Any]] = [
    {},
    {"local_addr": ("", 0)},
    {"local_addr": "127.0.0.1:0"},
    {"local_addr": ("127.0.0.1",)},
    {"remote_addr": ["127.0.0.1", 9]},
    {"local_addr": ("127.0.0.1", 0), "remote_addr": ("::1", 9)},
    {"local_addr": ("127.0.0.1", 0), "family": socket.AF_INET6},
    {"local_addr": ("127.0.0.1", 70000)},
    {"local_addr": ("127.0.0.1", -1)},
    {"remote_addr": ("127.0.0.1", 70000)},
    {"local_addr": ("192.0.2.1", 0)},
    {"remote_addr": ("no-such-name.invalid", 9)},
    {"remote_addr": ("x" * 70, 9)},
    {"remote_addr": ("127.0.0.1", "no-such-service")},
    {"remote_addr": ("255.255.255.255", 9)},
    {"family": 99},
    {"family": socket.AF_INET, "proto": socket.IPPROTO_TCP},
    {"family": socket.AF_UNIX, "proto": socket.IPPROTO_UDP},
    {"family": socket.AF_UNIX, "local_addr": ("127.0.0.1", 0)},
    {"family": socket.AF_UNIX, "local_addr": "/no/such/folder/socket"},
    {"family": socket.AF_UNIX, "remote_addr": "/no/such/folder/socket"},
    {"family": socket.AF_UNIX, "remote_addr": "/" + 200 * "x"},
]


@pytest.mark.parametrize("arguments", BAD_ARGUMENTS, ids=str)
def test_bad_arguments(loop_factory: LoopFactory, arguments: dict[str, Any]) -> None:
    async def main() -> str:
        with pytest.raises(Exception) as caught:
            await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, **arguments)
        return f"{type(caught.value)} {caught.value.args}"

    assert run(loop_factory, main) == run(asyncio.SelectorEventLoop, main)


def test_address_in_use(both_loops: LoopFactory, peer: socket.socket) -> None:
    async def main() -> None:
        with pytest.raises(OSError, match=r"^\[Errno 98\] Address already in use$"):
            await asyncio.get_running_loop().create_datagram_endpoint(DatagramRecorder, local_addr=peer.getsockname())

    run(both_loops, main)


def test_local_socket(both_loops: LoopFactory, peer: socket.socket) -> None:
    async def main() -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(peer.getsockname())
        async with endpoint(sock=sock) as protocol:
            assert protocol.transport.get_extra_info("socket").fileno() == sock.fileno()
            protocol.transport.sendto(b"local")
            assert await receive(peer) == [b"local"]
        with socket.socket() as stream, pytest.raises(ValueError, match="was expected, got"):
            await asyncio.get_running_loop().create_datagram_endpoint(DatagramRecorder, sock=stream)
        with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(ValueError, match="can not be used when"):
            await asyncio.get_running_loop().create_datagram_endpoint(
                DatagramRecorder, sock=sock, local_addr=("::1", 0)
            )

    run(both_loops, main)


def test_a_factory_that_raises_leaves_nothing(loop_factory: LoopFactory) -> None:
    def factory() -> DatagramRecorder:
        raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await asyncio.get_running_loop().create_datagram_endpoint(factory, local_addr=("127.0.0.1", 0))

    run(loop_factory, main)


# Options


def test_reuse_port(both_loops: LoopFactory) -> None:
    async def main() -> None:
        async with endpoint(local_addr=("127.0.0.1", 0), reuse_port=True) as first:
            name = first.transport.get_extra_info("sockname")
            option = (socket.SOL_SOCKET, socket.SO_REUSEPORT)
            assert first.transport.get_extra_info("socket").getsockopt(*option)
            async with endpoint(local_addr=name, reuse_port=True) as second:
                assert second.transport.get_extra_info("sockname") == name
        async with endpoint(local_addr=("127.0.0.1", 0)) as plain:
            assert not plain.transport.get_extra_info("socket").getsockopt(*option)

    run(both_loops, main)


def test_broadcast(both_loops: LoopFactory, peer: socket.socket) -> None:
    async def main() -> None:
        name = peer.getsockname()
        option = (socket.SOL_SOCKET, socket.SO_BROADCAST)
        async with endpoint(remote_addr=name, allow_broadcast=True) as protocol:
            transport = protocol.transport
            assert transport.get_extra_info("peername") is None
            assert transport.get_extra_info("socket").getsockopt(*option)
            transport.sendto(b"one")
            transport.sendto(b"two", name)
            assert await receive(peer, 2) == [b"one", b"two"]
            with pytest.raises(ValueError, match="Invalid address: must be None or"):
                transport.sendto(b"three", ("127.0.0.1", 1))
            with socket.socket(type=socket.SOCK_DGRAM) as other:  # It is not connected.
                other.sendto(b"from elsewhere", ("127.0.0.1", transport.get_extra_info("socket").getsockname()[1] or 1))
        async with endpoint(local_addr=("127.0.0.1", 0)) as protocol:
            protocol.transport.sendto(b"refused", ("<broadcast>", 9))
            error = await soon(protocol.errors.get())
            assert isinstance(error, PermissionError)
            protocol.transport.get_extra_info("socket").setsockopt(*option, 1)
            assert protocol.transport.get_extra_info("socket").getsockopt(*option)

    run(both_loops, main)


def test_multicast(both_loops: LoopFactory) -> None:
    group, loopback = "239.255.7.7", socket.if_nametoindex("lo")
    request = struct.pack("=4s4si", socket.inet_aton(group), bytes(4), loopback)

    async def main() -> None:
        async with endpoint(local_addr=("0.0.0.0", 0)) as member, endpoint(local_addr=("127.0.0.1", 0)) as sender:
            sock = member.transport.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
            with pytest.raises(OSError, match="Address already in use") as caught:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
            assert caught.value.errno == errno.EADDRINUSE
            out = sender.transport.get_extra_info("socket")
            interface = struct.pack("=4s4si", bytes(4), bytes(4), loopback)
            out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
            out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, struct.pack("b", 0))
            assert out.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 0
            to = (group, member.transport.get_extra_info("sockname")[1])
            sender.transport.sendto(b"to all", to)
            assert await soon(member.received.get()) == (b"to all", sender.transport.get_extra_info("sockname"))
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, request)
            with pytest.raises(OSError, match="Cannot assign requested address"):
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, request)

    run(both_loops, main)


GROUP = socket.inet_aton("239.255.7.8")
LOOPBACK = socket.inet_aton("127.0.0.1")
# As programs write them; ip(7).
MEMBERSHIPS = {
    "any, as long": struct.pack("4sl", GROUP, socket.INADDR_ANY),
    "any": GROUP + bytes(4),
    "by address": GROUP + LOOPBACK,
    "by address, mreqn": struct.pack("=4s4si", GROUP, LOOPBACK, 0),
    "by index, with a tail": struct.pack("=4s4si9x", GROUP, bytes(4), socket.if_nametoindex("lo")),
}


@pytest.mark.parametrize("kind", MEMBERSHIPS)
def test_multicast_recipes(both_loops: LoopFactory, kind: str) -> None:
    async def main() -> None:
        async with endpoint(local_addr=("0.0.0.0", 0)) as member, endpoint(local_addr=("127.0.0.1", 0)) as sender:
            sock = member.transport.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, MEMBERSHIPS[kind])
            with pytest.raises(OSError, match="Address already in use"):
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, MEMBERSHIPS[kind])
            if not kind.startswith("any"):
                out = sender.transport.get_extra_info("socket")
                out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, MEMBERSHIPS[kind])
                sender.transport.sendto(b"to all", ("239.255.7.8", member.transport.get_extra_info("sockname")[1]))
                assert await soon(member.received.get()) == (b"to all", sender.transport.get_extra_info("sockname"))
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, MEMBERSHIPS[kind])

    run(both_loops, main)


def test_multicast_interfaces(both_loops: LoopFactory) -> None:
    async def main() -> None:
        async with endpoint(local_addr=("127.0.0.1", 0)) as sender:
            out = sender.transport.get_extra_info("socket")
            for value in (LOOPBACK, 0, bytes(4), bytes(16), GROUP + LOOPBACK, struct.pack("=8xi", 1)):
                out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, value)
            for value in (b"", bytes(3)):
                with pytest.raises(OSError, match="Invalid argument"):
                    out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, value)
            for value in (GROUP, GROUP + bytes(3), 5):
                with pytest.raises(OSError, match="Invalid argument"):
                    out.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, value)
            with pytest.raises(OSError, match="No such device"):
                out.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("=4s4xi", GROUP, 1 << 30))

    run(both_loops, main)


def test_multicast_by_an_address_that_only_the_service_knows(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with endpoint(local_addr=("127.0.0.1", 0)) as protocol:
            sock = protocol.transport.get_extra_info("socket")
            for option, value in (
                (socket.IP_ADD_MEMBERSHIP, GROUP + socket.inet_aton("192.0.2.1")),
                (socket.IP_MULTICAST_IF, socket.inet_aton("192.0.2.1")),
            ):
                with pytest.raises(OSError, match=r"interface's index .*, not its address 192\.0\.2\.1") as caught:
                    sock.setsockopt(socket.IPPROTO_IP, option, value)
                assert caught.value.errno == errno.EOPNOTSUPP

    run(loop_factory, main)


# sendto


def test_what_sendto_refuses(both_loops: LoopFactory, peer: socket.socket) -> None:
    async def main() -> None:
        name = peer.getsockname()
        async with endpoint(remote_addr=name) as protocol:
            for data in ("text", 5, None, [1]):
                with pytest.raises(TypeError, match="data argument must be a bytes-like object, not"):
                    protocol.transport.sendto(data)
            for address in (list(name), ("localhost", name[1]), ("127.0.0.1", 1), "x"):
                with pytest.raises(ValueError, match=r"Invalid address: must be None or \('127.0.0.1', \d+\)"):
                    protocol.transport.sendto(b"x", address)
            assert not protocol.transport.is_closing()
            protocol.transport.sendto(b"last", name)
            assert await receive(peer) == [b"last"]

    run(both_loops, main)


BAD_DESTINATIONS: list[Address] = [
    None,
    "127.0.0.1",
    ["127.0.0.1", 9],
    ("127.0.0.1",),
    ("127.0.0.1", 9, 0),
    (None, 9),
    ("127.0.0.1", "9"),
    ("127.0.0.1", 9.0),
    ("127.0.0.1", 65536),
    ("127.0.0.1", -1),
    ("127.0.0.1\0", 9),
]


@pytest.mark.parametrize("address", BAD_DESTINATIONS, ids=str)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
def test_a_bad_destination_ends_the_endpoint(loop_factory: LoopFactory, family: int, address: Address) -> None:
    if family == socket.AF_INET6 and isinstance(address, tuple):
        address = tuple("::1" if part == "127.0.0.1" else part for part in address)
    if (family, address) in ((socket.AF_INET6, ("::1", 9, 0)), (socket.AF_UNIX, "127.0.0.1")):
        pytest.skip("not bad for this family")

    async def main() -> list[str]:
        contexts = exceptions_of(asyncio.get_running_loop())
        async with endpoint(family=family) as protocol:
            protocol.transport.sendto(b"x", address)
            assert protocol.transport.is_closing()
            lost = await protocol.wait_lost()
            assert contexts[0]["exception"] is lost
            assert contexts[0]["transport"] is protocol.transport
            assert len(contexts) == 1
            return [contexts[0]["message"], repr(lost)]

    told = run(loop_factory, main)
    if address != ("127.0.0.1\0", 9):  # CPython words it by version.
        assert told == run(asyncio.SelectorEventLoop, main)
    assert told[0] == "Fatal write error on datagram transport"


def test_errors_leave_the_endpoint_open(both_loops: LoopFactory, peer: socket.socket) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.bind(("127.0.0.1", 0))
            name = gone.getsockname()
        async with endpoint(remote_addr=name) as protocol:
            protocol.transport.sendto(b"nobody there")
            error = await soon(protocol.errors.get())
            assert isinstance(error, ConnectionRefusedError)
            assert error.args == (errno.ECONNREFUSED, "Connection refused")
            assert not protocol.transport.is_closing()
        async with endpoint(remote_addr=peer.getsockname()) as protocol:
            protocol.transport.sendto(bytes(65508))
            error = await soon(protocol.errors.get())
            assert error.args == (errno.EMSGSIZE, "Message too long")
            protocol.transport.sendto(bytes(65507))
            assert await receive(peer) == [bytes(65507)]
        async with endpoint(family=socket.AF_UNIX) as protocol:
            for path in ("/no/such/socket", b"/no/such/socket"):
                protocol.transport.sendto(b"x", path)
                assert (await soon(protocol.errors.get())).args == (errno.ENOENT, "No such file or directory")
            protocol.transport.sendto(b"x", "/" + 200 * "x")
            assert (await soon(protocol.errors.get())).args == ("AF_UNIX path too long",)

    run(both_loops, main)


def test_longer_than_a_frame_is_too_long(loop_factory: LoopFactory, unix_peer: socket.socket) -> None:
    async def main() -> None:
        async with endpoint(family=socket.AF_UNIX, remote_addr=unix_peer.getsockname()) as protocol:
            protocol.transport.sendto(bytes(5 << 20))
            assert (await soon(protocol.errors.get())).args == (errno.EMSGSIZE, "Message too long")
            protocol.transport.sendto(b"short")
            assert await receive(unix_peer) == [b"short"]

    run(loop_factory, main)


def test_empty_datagrams(both_loops: LoopFactory, peer: socket.socket) -> None:
    async def main() -> None:
        async with endpoint(local_addr=("127.0.0.1", 0)) as protocol:
            peer.sendto(b"", protocol.transport.get_extra_info("sockname"))
            assert await soon(protocol.received.get()) == (b"", peer.getsockname())
            protocol.transport.sendto(b"", peer.getsockname())
            protocol.transport.sendto(b"end", peer.getsockname())
            if sys.version_info >= (3, 13):
                assert await receive(peer, 2) == [b"", b"end"]
            else:
                assert await receive(peer) == [b"end"]

    run(both_loops, main)


def test_the_bytes_are_taken_at_the_call(both_loops: LoopFactory, unix_peer: socket.socket) -> None:
    async def main() -> None:
        async with endpoint(family=socket.AF_UNIX, remote_addr=unix_peer.getsockname()) as protocol:
            data = bytearray(b"first")
            for _ in range(1000):
                protocol.transport.sendto(data)
            data[:] = b"other"
            assert set(await receive(unix_peer, 1000)) == {b"first"}

    run(both_loops, main)


# The order of many, and the windows


def test_many_are_neither_lost_nor_mixed_up(loop_factory: LoopFactory, unix_peer: socket.socket) -> None:
    """Through the send window, with datagrams of every size up to what the kernel takes."""
    sizes = [1, 200_000, 70_000, 3, 150_000, 65_535, 65_536, 10] * 8

    async def main() -> None:
        async with endpoint(family=socket.AF_UNIX, remote_addr=unix_peer.getsockname()) as protocol:
            for index, size in enumerate(sizes):
                protocol.transport.sendto(bytes([index]) * size)
            received = await receive(unix_peer, len(sizes))
            assert [(data[0], len(data)) for data in received] == list(enumerate(sizes))
            await until(lambda: not protocol.transport.get_write_buffer_size())
            assert protocol.events == ["made", "pause", "resume"]

    run(loop_factory, main)


def test_more_than_the_receive_window(both_loops: LoopFactory, tmp_path: Path) -> None:
    count = 10_000

    def send(path: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(LIMIT_SECONDS)
            for index in range(count):
                sender.sendto(b"%d" % index * 20, path)

    async def main() -> None:
        path = str(tmp_path / "receiver")
        async with endpoint(family=socket.AF_UNIX, local_addr=path) as protocol:
            sending = asyncio.get_running_loop().run_in_executor(None, send, path)
            for index in range(count):
                assert (await protocol.received.get())[0] == b"%d" % index * 20
            await sending

    run(both_loops, main)


# Reading


needs_pause = pytest.mark.skipif(sys.version_info < (3, 11, 4), reason="asyncio cannot pause these before 3.11.4")


def check_pause(loops: LoopFactory, peer: socket.socket) -> None:
    async def main() -> None:
        async with endpoint(local_addr=("127.0.0.1", 0)) as protocol:
            transport, name = protocol.transport, protocol.transport.get_extra_info("sockname")
            assert transport.is_reading()
            for turn in range(3):
                transport.pause_reading()
                transport.pause_reading()
                assert not transport.is_reading()
                for index in range(20):
                    peer.sendto(b"%d %d" % (turn, index), name)
                # It still sends, and what it sends arrives behind what it does not read.
                transport.sendto(b"mark", peer.getsockname())
                assert await receive(peer) == [b"mark"]
                assert protocol.received.empty()
                transport.resume_reading()
                transport.resume_reading()
                assert transport.is_reading()
                for index in range(20):
                    assert (await soon(protocol.received.get()))[0] == b"%d %d" % (turn, index)
            transport.close()
            assert not transport.is_reading()
            transport.pause_reading()
            transport.resume_reading()

    run(loops, main)


@needs_pause
def test_pause_reading_as_asyncio(both_loops: LoopFactory, peer: socket.socket) -> None:
    check_pause(both_loops, peer)


def test_pause_reading(loop_factory: LoopFactory, peer: socket.socket) -> None:
    check_pause(loop_factory, peer)


def test_paused_in_the_middle_of_many(loop_factory: LoopFactory, tmp_path: Path) -> None:
    class OneByOne(DatagramRecorder):
        def datagram_received(self, data: bytes, addr: Address) -> None:
            super().datagram_received(data, addr)
            self.transport.pause_reading()

    async def main() -> None:
        path = str(tmp_path / "receiver")
        async with endpoint(OneByOne, family=socket.AF_UNIX, local_addr=path) as protocol:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                for index in range(10):
                    sender.sendto(b"%d" % index, path)
                for index in range(10):
                    assert (await soon(protocol.received.get()))[0] == b"%d" % index
                    assert protocol.received.empty()
                    protocol.transport.resume_reading()

    run(loop_factory, main)


def test_exceptions_of_the_protocol(both_loops: LoopFactory, peer: socket.socket) -> None:
    class Raising(DatagramRecorder):
        def datagram_received(self, data: bytes, addr: Address) -> None:
            super().datagram_received(data, addr)
            raise ZeroDivisionError(data)

        def error_received(self, exc: Exception) -> None:
            super().error_received(exc)
            raise ZeroDivisionError(str(exc))

    async def main() -> None:
        contexts = exceptions_of(asyncio.get_running_loop())
        async with endpoint(Raising, local_addr=("127.0.0.1", 0)) as protocol:
            for _ in range(2):
                peer.sendto(b"x", protocol.transport.get_extra_info("sockname"))
                await soon(protocol.received.get())
            assert not protocol.transport.is_closing()
        assert [type(context["exception"]) for context in contexts] == [ZeroDivisionError] * 2
        assert all(context["message"].startswith("Exception in callback") for context in contexts)
        contexts.clear()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.bind(("127.0.0.1", 0))
            name = gone.getsockname()
        async with endpoint(Raising, remote_addr=name) as protocol:
            protocol.transport.sendto(b"nobody there")
            await soon(protocol.errors.get())
            assert not protocol.transport.is_closing()
            assert [type(context["exception"]) for context in contexts] == [ZeroDivisionError]

    run(both_loops, main)


def test_keyboard_interrupt_leaves_the_loop(loop_factory: LoopFactory, peer: socket.socket) -> None:
    class Interrupting(DatagramRecorder):
        def datagram_received(self, data: bytes, addr: Address) -> None:
            super().datagram_received(data, addr)
            raise KeyboardInterrupt

    loop = loop_factory()
    try:

        async def main() -> DatagramRecorder:
            _, protocol = await loop.create_datagram_endpoint(Interrupting, local_addr=("127.0.0.1", 0))
            return protocol

        protocol = loop.run_until_complete(main())
        peer.sendto(b"x", protocol.transport.get_extra_info("sockname"))
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(asyncio.sleep(LIMIT_SECONDS))
        protocol.transport.abort()
        assert loop.run_until_complete(protocol.lost) is None
    finally:
        loop.close()


def test_set_protocol(both_loops: LoopFactory, peer: socket.socket) -> None:
    async def main() -> None:
        async with endpoint(local_addr=("127.0.0.1", 0)) as first:
            second = DatagramRecorder()
            first.transport.set_protocol(second)
            assert first.transport.get_protocol() is second
            peer.sendto(b"x", first.transport.get_extra_info("sockname"))
            await soon(second.received.get())
            assert first.received.empty()
            first.transport.set_protocol(first)

    run(both_loops, main)


# The buffer


def fill(protocol: DatagramRecorder, count: int = 400, size: int = 1000) -> None:
    for index in range(count):
        protocol.transport.sendto(b"%08d" % index + bytes(size - 8))


def test_watermarks(both_loops: LoopFactory, unix_peer: socket.socket) -> None:
    async def main() -> None:
        async with endpoint(family=socket.AF_UNIX, remote_addr=unix_peer.getsockname()) as protocol:
            transport = protocol.transport
            assert transport.get_write_buffer_limits() == (16384, 65536)
            transport.set_write_buffer_limits(high=5000, low=2000)
            assert transport.get_write_buffer_limits() == (2000, 5000)
            with pytest.raises(ValueError, match=r"high \(1\) must be >= low \(2\) must be >= 0"):
                transport.set_write_buffer_limits(high=1, low=2)
            assert transport.get_write_buffer_size() == 0
            fill(protocol)
            assert protocol.events == ["made", "pause"]
            size = transport.get_write_buffer_size()
            assert 5000 < size <= 400 * 1008
            assert size % (1008 if sys.version_info >= (3, 13) else 1000) == 0
            assert [int(data[:8]) for data in await receive(unix_peer, 400)] == list(range(400))
            await until(lambda: "resume" in protocol.events)
            assert transport.get_write_buffer_size() <= 2000
            await until(lambda: not transport.get_write_buffer_size())
            assert protocol.events == ["made", "pause", "resume"]
            transport.set_write_buffer_limits(high=0)
            transport.set_write_buffer_limits()
            assert transport.get_write_buffer_limits() == (16384, 65536)

    if sys.version_info[:2] == (3, 13) and both_loops is asyncio.SelectorEventLoop:
        pytest.skip("asyncio 3.13.0 does not count its headers down again")
    run(both_loops, main)


def test_close_sends_what_is_buffered(both_loops: LoopFactory, unix_peer: socket.socket) -> None:
    async def main() -> None:
        async with endpoint(family=socket.AF_UNIX, remote_addr=unix_peer.getsockname()) as protocol:
            fill(protocol, 200)
            protocol.transport.close()
            protocol.transport.close()
            assert protocol.transport.is_closing()
            protocol.transport.sendto(b"after close")
            received = await receive(unix_peer, 201)
            assert [int(data[:8]) for data in received[:-1]] == list(range(200))
            assert received[-1] == b"after close"
            assert await protocol.wait_lost() is None
            assert protocol.events == ["made", "pause", "resume", "lost"]

    run(both_loops, main)


def test_abort_drops_what_is_buffered(both_loops: LoopFactory, unix_peer: socket.socket) -> None:
    async def main() -> None:
        async with endpoint(family=socket.AF_UNIX, remote_addr=unix_peer.getsockname()) as protocol:
            fill(protocol, 400)
            protocol.transport.abort()
            protocol.transport.abort()
            assert protocol.events == ["made", "pause"]
            assert await protocol.wait_lost() is None
            assert protocol.transport.get_write_buffer_size() == 0 or not isinstance(
                protocol.transport, DatagramTransport
            )
        count = 0
        unix_peer.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while unix_peer.recv(2000):
                count += 1
        assert count < 400

    run(both_loops, main)


def test_after_the_end(both_loops: LoopFactory, peer: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with endpoint(remote_addr=peer.getsockname()) as protocol:
            transport = protocol.transport
            transport.close()
            peer.sendto(b"not read", transport.get_extra_info("sockname"))
            assert await protocol.wait_lost() is None
            for _ in range(8):
                transport.sendto(b"x")
            assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == [
                "socket.send() raised exception."
            ] * 4
            assert transport.is_closing()
            assert sys.version_info < (3, 11, 4) or not transport.is_reading()
            transport.close()
            transport.abort()
            assert transport.get_extra_info("peername") == peer.getsockname()
            assert protocol.events == ["made", "lost"]
        with pytest.raises(OSError, match="Bad file descriptor"):
            transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)

    with caplog.at_level(logging.WARNING, logger="asyncio"):
        run(both_loops, main)


def test_an_unconnected_one_drops_after_the_end(loop_factory: LoopFactory, peer: socket.socket) -> None:
    async def main() -> None:
        contexts = exceptions_of(asyncio.get_running_loop())
        async with endpoint(local_addr=("127.0.0.1", 0)) as protocol:
            protocol.transport.close()
            await protocol.wait_lost()
            protocol.transport.sendto(b"x", peer.getsockname())
            assert contexts == []

    run(loop_factory, main)


def test_closed_inside_a_callback(both_loops: LoopFactory, peer: socket.socket) -> None:
    class Closing(DatagramRecorder):
        def datagram_received(self, data: bytes, addr: Address) -> None:
            super().datagram_received(data, addr)
            self.transport.sendto(b"bye", addr)
            self.transport.close()

    async def main() -> None:
        async with endpoint(Closing, local_addr=("127.0.0.1", 0)) as protocol:
            for _ in range(5):
                peer.sendto(b"x", protocol.transport.get_extra_info("sockname"))
            assert await receive(peer) == [b"bye"]
            assert await protocol.wait_lost() is None
            assert protocol.events == ["made", "received", "lost"]

    run(both_loops, main)


def test_the_service_is_lost() -> None:
    async def main() -> None:
        async with endpoint(local_addr=("127.0.0.1", 0)) as idle, endpoint(local_addr=("127.0.0.1", 0)) as paused:
            paused.transport.pause_reading()
            os.kill(service.pid, signal.SIGKILL)
            for protocol in (idle, paused):
                assert isinstance(await protocol.wait_lost(), transportd.SessionLostError)
            with pytest.raises(transportd.SessionLostError):
                await asyncio.get_running_loop().create_datagram_endpoint(DatagramRecorder, local_addr=("127.0.0.1", 0))

    with Service() as service:
        run(lambda: transportd.new_event_loop(service.target), main)
