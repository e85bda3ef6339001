"""transportd.socketpair(): its ends as `sock=`, as those of socket.socketpair() on asyncio's loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transportd
from transportd import ServiceSocket
from transportd._stream import ServiceTlsTransport, StreamTransport
from transportd.service import Service

from certificates import NAME, Certificate
from recorders import LoopFactory, StreamRecorder, run, soon, until


async def pair_of() -> tuple[Any, Any]:
    """Of the running loop's own."""
    if isinstance(asyncio.get_running_loop(), transportd.EventLoop):
        return await transportd.socketpair()
    return socket.socketpair()


async def exchange(one: StreamRecorder, other: StreamRecorder, size: int = 100_000) -> None:
    for side, peer in ((one, other), (other, one)):
        del peer.data[:]
        data = os.urandom(size)
        side.transport.write(data)
        assert await peer.wait_data(size) == data


def test_both_ends(both_loops: LoopFactory) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        first, second = await pair_of()
        assert (first.family, first.type, first.proto) == (socket.AF_UNIX, socket.SOCK_STREAM, 0)
        assert (first.getsockname(), first.getpeername()) == ("", "")
        transport, client = await loop.create_connection(StreamRecorder, sock=first)
        accepted, server = await loop.connect_accepted_socket(StreamRecorder, second)
        assert transport.get_extra_info("sockname") == ""
        assert transport.get_extra_info("socket").family == socket.AF_UNIX
        await exchange(client, server)
        transport.write_eof()
        assert await server.wait_lost() is None
        assert server.events == ["made", "eof", "lost"]
        assert await client.wait_lost() is None
        assert accepted.is_closing()

    run(both_loops, main)


def test_streams(both_loops: LoopFactory) -> None:
    async def main() -> None:
        first, second = await pair_of()
        reader, writer = await asyncio.open_connection(sock=first)
        other_reader, other_writer = await asyncio.open_unix_connection(sock=second)
        writer.write(b"line\n")
        assert await soon(other_reader.readline()) == b"line\n"
        other_writer.close()
        await other_writer.wait_closed()
        assert await soon(reader.read()) == b""
        writer.close()
        await writer.wait_closed()

    run(both_loops, main)


def test_closed_end(both_loops: LoopFactory) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        first, second = await pair_of()
        _, protocol = await loop.create_connection(StreamRecorder, sock=first)
        with second:
            protocol.transport.write(b"never read")
        second.close()
        await protocol.wait_lost()
        with pytest.raises(OSError, match="Bad file descriptor"):
            await loop.connect_accepted_socket(StreamRecorder, second)

    run(both_loops, main)


def test_an_end_is_used_once(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        first, second = await transportd.socketpair()
        assert "id=" in repr(first)
        assert first.fileno() == -1
        transport, _ = await loop.create_connection(StreamRecorder, sock=first)
        assert isinstance(transport, StreamTransport)
        assert repr(first) == "<ServiceSocket closed>"
        for call in (loop.create_connection, loop.create_unix_connection, loop.connect_accepted_socket):
            with pytest.raises(OSError, match="Bad file descriptor"):
                await call(StreamRecorder, sock=first)
        first.close()
        assert not transport.is_closing()
        transport.close()
        second.close()

    run(loop_factory, main)


@pytest.mark.parametrize("kind", ["context", "service", "asyncio"])
def test_tls(certificate: Certificate, loop_factory: LoopFactory, kind: str) -> None:
    """create_connection is the client, connect_accepted_socket the server."""
    tls = (
        (certificate.client_service(), certificate.server_service())
        if kind == "service"
        else (certificate.client_context(), certificate.server_context())
    )

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        first, second = await pair_of()
        (_, client), (_, server) = await soon(
            asyncio.gather(
                loop.create_connection(StreamRecorder, sock=first, ssl=tls[0], server_hostname=NAME),
                loop.connect_accepted_socket(StreamRecorder, second, ssl=tls[1]),
            )
        )
        assert client.transport.get_extra_info("peercert")["subject"] == ((("commonName", NAME),),)
        assert server.transport.get_extra_info("sslcontext") is tls[1]
        assert isinstance(client.transport, ServiceTlsTransport) is (kind == "service")
        await exchange(client, server)
        client.transport.close()
        assert await client.wait_lost() is None
        assert await server.wait_lost() is None

    run(asyncio.SelectorEventLoop if kind == "asyncio" else loop_factory, main)


@pytest.mark.parametrize("kind", ["context", "service"])
def test_a_handshake_that_fails_closes_the_socket(
    certificate: Certificate, loop_factory: LoopFactory, kind: str
) -> None:
    tls = certificate.client_service() if kind == "service" else certificate.client_context()

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        first, second = await transportd.socketpair()
        _, rude = await loop.connect_accepted_socket(StreamRecorder, second)
        rude.transport.write(b"220 this is not TLS at all")
        with pytest.raises(OSError, match="WRONG_VERSION_NUMBER"):
            await loop.create_connection(StreamRecorder, sock=first, ssl=tls, server_hostname=NAME)
        await rude.wait_lost()
        first, second = await transportd.socketpair()
        _, patient = await loop.connect_accepted_socket(StreamRecorder, second)
        with pytest.raises(ValueError, match="should be a positive number"):
            await loop.create_connection(
                StreamRecorder, sock=first, ssl=tls, server_hostname=NAME, ssl_handshake_timeout=0
            )
        await patient.wait_lost()

    run(loop_factory, main)


def test_wrong_arguments(both_loops: LoopFactory) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        first, second = await pair_of()
        with first, second:
            with pytest.raises(ValueError, match="host/port and sock can not be specified at the same time"):
                await loop.create_connection(StreamRecorder, "127.0.0.1", 1, sock=first)
            with pytest.raises(ValueError, match="path and sock can not be specified at the same time"):
                await loop.create_unix_connection(StreamRecorder, "/path", sock=first)
            with pytest.raises(ValueError, match="You must set server_hostname when using ssl without a host"):
                await loop.create_connection(StreamRecorder, sock=first, ssl=True)
            for call in (loop.create_connection, loop.connect_accepted_socket):
                with pytest.raises(ValueError, match="ssl_handshake_timeout is only meaningful with ssl"):
                    await call(StreamRecorder, sock=first, ssl_handshake_timeout=1)
            _, protocol = await loop.create_connection(StreamRecorder, sock=first)  # None of them has used it.
            protocol.transport.abort()
            await protocol.wait_lost()

    run(both_loops, main)


def test_only_of_its_own_loop(loop_factory: LoopFactory) -> None:
    with asyncio.Runner(loop_factory=loop_factory) as one, asyncio.Runner(loop_factory=loop_factory) as other:
        first, second = one.run(transportd.socketpair())

        async def use() -> None:
            loop: Any = asyncio.get_running_loop()
            with pytest.raises(ValueError, match="belongs to another event loop"):
                await loop.create_connection(StreamRecorder, sock=first)

        other.run(use())
        first.close()
        second.close()
    with pytest.raises(RuntimeError, match=r"needs a transportd\.EventLoop"):
        run(asyncio.SelectorEventLoop, transportd.socketpair)


def test_a_forgotten_end_is_closed(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        ends = list(await transportd.socketpair())
        _, protocol = await loop.create_connection(StreamRecorder, sock=ends.pop())
        with pytest.warns(ResourceWarning, match="unclosed <ServiceSocket id="):
            ends.clear()
        await protocol.wait_lost()

    run(loop_factory, main)
    first, second = run(loop_factory, transportd.socketpair)
    del first, second  # Closed with their loop: no warning.


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 50])
def test_cancelled(loop_factory: LoopFactory, turns: int) -> None:
    """Nothing is left in the service: its descriptors are counted when it stops."""

    async def cancelled(call: Any) -> Any:
        """None, or what it came to before that."""
        task = asyncio.ensure_future(call)
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            return await task
        return None

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        for end in await cancelled(transportd.socketpair()) or ():
            end.close()
        first, second = await transportd.socketpair()
        if connection := await cancelled(loop.create_connection(StreamRecorder, sock=first)):
            connection[0].close()
        first.close()
        _, protocol = await loop.create_connection(StreamRecorder, sock=second)
        await protocol.wait_lost()

    run(loop_factory, main)


def test_the_service_is_lost() -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        first, second = await transportd.socketpair()
        _, protocol = await loop.create_connection(StreamRecorder, sock=first)
        os.kill(service.pid, signal.SIGKILL)
        assert isinstance(await protocol.wait_lost(), transportd.SessionLostError)
        with pytest.raises(transportd.SessionLostError):
            await loop.create_connection(StreamRecorder, sock=second)
        with pytest.raises(transportd.SessionLostError):
            await transportd.socketpair()

    with Service() as service:
        run(lambda: transportd.new_event_loop(service.target), main)


# Sockets of this process


@pytest.mark.parametrize("is_tls", [False, True])
def test_local_sockets_are_local(both_loops: LoopFactory, certificate: Certificate, is_tls: bool) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        first, second = socket.socketpair()
        client_tls = {"ssl": certificate.client_context(), "server_hostname": NAME} if is_tls else {}
        server_tls = {"ssl": certificate.server_context()} if is_tls else {}
        (_, client), (_, server) = await soon(
            asyncio.gather(
                loop.create_connection(StreamRecorder, sock=first, **client_tls),
                loop.connect_accepted_socket(StreamRecorder, second, **server_tls),
            )
        )
        assert client.transport.get_extra_info("socket").fileno() == first.fileno()
        await exchange(client, server)
        client.transport.close()
        assert await client.wait_lost() is None
        assert await server.wait_lost() is None
        assert first.fileno() == second.fileno() == -1
        with socket.socket(type=socket.SOCK_DGRAM) as datagrams, pytest.raises(ValueError, match="A Stream Socket was"):
            await loop.connect_accepted_socket(StreamRecorder, datagrams)

    run(both_loops, main)


def test_accepted_here_and_served_there(loop_factory: LoopFactory, tmp_path: Path) -> None:
    """The documented way to hand a conversation to the service: a pair, one end of which is the program's."""

    async def main() -> None:
        first, second = await transportd.socketpair()
        assert isinstance(first, ServiceSocket)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def serve(sock: ServiceSocket, handler: Callable[..., Any]) -> None:
            await handler(*await asyncio.open_connection(sock=sock))
            done.set_result(None)

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(4))
            await writer.drain()
            writer.close()

        task = asyncio.ensure_future(serve(second, echo))
        reader, writer = await asyncio.open_connection(sock=first)
        writer.write(b"ping")
        assert await soon(reader.read()) == b"ping"
        await done
        await task
        writer.close()
        await until(lambda: writer.transport.is_closing())

    run(loop_factory, main)
